"""Repetition is counted as its definitions say, and stands in every table, absent where unknown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.analysis.log_scale_statistics import t_interval
from codewatt.analysis.proportions import wilson_interval
from codewatt.analysis.repetition_metrics import (
    LOOP_TIMES,
    LOOP_TOKENS,
    ends_in_loop,
    measure_repetition,
    repeated_lines_share,
    repeated_ngrams_share,
)
from tests.unit.analysis.conftest import tables

tokens_of_few = st.lists(st.integers(0, 2), max_size=40)


def test_repeated_4grams_are_counted_as_in_the_paper() -> None:
    # 1 2 3 4 1 2 3 4 1: six 4-grams, of which 1234 and 2341 come twice.
    assert repeated_ngrams_share([1, 2, 3, 4, 1, 2, 3, 4, 1]) == pytest.approx(1 - 4 / 6)
    assert repeated_ngrams_share([1, 2, 3, 4, 5, 6]) == 0
    assert repeated_ngrams_share([7] * 103) == pytest.approx(1 - 1 / 100)
    assert repeated_ngrams_share([1, 2, 3]) is None
    assert repeated_ngrams_share([]) is None


@given(tokens_of_few, st.integers(1, 6))
def test_a_repeated_ngram_is_one_that_stood_before(tokens: list[int], n: int) -> None:
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    before = sum(gram in grams[:i] for i, gram in enumerate(grams))
    share = repeated_ngrams_share(tokens, n)
    if not grams:
        assert share is None
        return
    assert share == pytest.approx(before / len(grams))
    assert 0 <= share < 1


def test_repeated_lines_are_those_that_stood_before() -> None:
    assert repeated_lines_share("a\nb\na\na\n") == pytest.approx(0.5)
    assert repeated_lines_share("a\n\n\n\nb\n  \n") == 0, "blank lines do not count"
    assert repeated_lines_share("x = 1  \nx = 1\n") == pytest.approx(0.5), "white space at the end"
    assert repeated_lines_share("return 1\n    return 1\n") == 0, "indentation is content"
    assert repeated_lines_share("") is None
    assert repeated_lines_share("\n \n") is None


@given(st.lists(st.sampled_from(["a", "b", "    a", "", "  "]), max_size=20))
def test_the_share_of_repeated_lines_does_not_depend_on_their_order(lines: list[str]) -> None:
    share = repeated_lines_share("\n".join(lines))
    assert share == repeated_lines_share("\n".join(reversed(lines)))
    kept = [line for line in lines if line.strip()]
    before = sum(line in kept[:i] for i, line in enumerate(kept))
    assert share == (pytest.approx(before / len(kept)) if kept else None)


@pytest.mark.parametrize(
    ("tokens", "looping"),
    [
        ([1, 2, 3, 4] * 3, True),
        ([9, 8, 7, *[1, 2, 3, 4] * 3], True),
        ([9, 8, 7, *[1, 2, 3, 4] * 5, 1, 2], True),  # the end falls within the phrase
        ([1, 2, 3, 4] * 2, False),
        ([*[1, 2, 3, 4] * 5, 9], False),  # it got out of the loop
        ([5] * 12, True),
        ([1, 2, 3, 5, 0, 0, 0, 0, 0, 0], False),  # the zeros of a number
        ([1, 2, 3] * 3, False),  # nine tokens are too few
        ([1, 2, 3] * 4, True),
        (list(range(100)) * 3, True),
        (list(range(100)) * 2, False),
        ([], False),
    ],
)
def test_loops_by_hand(tokens: list[int], looping: bool) -> None:
    assert ends_in_loop(tokens) is looping


@given(st.one_of(tokens_of_few, st.lists(st.integers(0, 1), max_size=24)))
def test_a_loop_is_what_its_definition_says(tokens: list[int]) -> None:
    """Every phrase is tried at the end, with every number of tokens that it may take up."""
    size = len(tokens)
    found = any(
        all(tokens[i] == tokens[i + period] for i in range(size - covered, size - period))
        for period in range(1, size + 1)
        for covered in range(max(LOOP_TIMES * period, LOOP_TOKENS), size + 1)
    )
    assert ends_in_loop(tokens) is found


@given(tokens_of_few, st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(3, 6))
def test_whatever_came_before_a_phrase_said_again_and_again_is_a_loop(
    before: list[int], phrase: list[int], times: int
) -> None:
    long_enough = times * len(phrase) >= LOOP_TOKENS
    assert ends_in_loop([*before, *phrase * times]) or not long_enough
    assert not ends_in_loop([*before, *phrase * times, 99])


def test_a_long_completion_is_looked_at_in_linear_time() -> None:
    """Trying each phrase by itself would be 10^10 comparisons."""
    assert ends_in_loop([0] * 200_000)
    assert not ends_in_loop([*[0] * 200_000, 1])


def test_what_is_not_known_is_absent() -> None:
    assert vars(measure_repetition(None, None)) == {
        "repeated_4grams_share": None,
        "repeated_lines_share": None,
        "ends_in_loop": None,
    }
    assert measure_repetition(None, "a\na").repeated_lines_share == 0.5
    assert measure_repetition([1] * 50, None).ends_in_loop is True


EOS = 99
LOOPING = [1, 2, 3, 4] * 5


def looping_in(*looping: str, repeats: tuple[int, ...] = (0, 1, 2)) -> Any:
    """New tokens (ended by EOS, as the fixture says): a loop in some tasks and repeats."""
    return lambda r, s, t: [*(LOOPING if t in looping and r in repeats else range(20)), EOS]


def test_each_table_has_its_figures(study: Any) -> None:
    study.cell(
        "fp32",
        tokens=looping_in("t0"),
        texts=lambda r, s, t: "a\na\na\na" if t == "t0" else "a\nb",
    )
    made = tables(study)
    first, second = made["task"][:2]
    assert (first["ends_in_loop"], second["ends_in_loop"]) == (True, False)
    assert first["repeated_4grams_share"] == pytest.approx(1 - 4 / 17), "without the last token"
    assert (first["repeated_lines_share"], second["repeated_lines_share"]) == (0.75, 0.0)
    for run in made["run"]:
        assert run["loops_share"] == 0.25
        assert run["repeated_4grams_share"] == pytest.approx((1 - 4 / 17) / 4)
        assert run["repeated_lines_share"] == pytest.approx(0.75 / 4)
    (cell,) = made["cell"]
    assert cell["loops_share"] == 0.25
    ends = cell["loops_share_wilson95_low"], cell["loops_share_wilson95_high"]
    assert ends == pytest.approx(wilson_interval(1, 4)), "four tasks, however often they ran"
    assert cell["repeated_lines_share"] == pytest.approx(0.75 / 4)
    ends = cell["repeated_lines_share_ci95_low"], cell["repeated_lines_share_ci95_high"]
    low, high = t_interval([0.75, 0.0, 0.0, 0.0])
    assert low < 0, "a share has no such end: the interval is cut"
    assert ends == pytest.approx((0.0, high))


def test_repeats_that_differ_are_told_apart_and_averaged(study: Any) -> None:
    study.cell("fp32", tokens=looping_in("t0", "t1", repeats=(1,)))
    made = tables(study)
    assert [run["loops_share"] for run in made["run"]] == [0.0, 0.5, 0.0]
    assert made["cell"][0]["loops_share"] == pytest.approx(0.5 / 3)


def test_equal_tokens_that_ended_otherwise_are_not_taken_for_the_same(study: Any) -> None:
    """A token that ended the completion is not part of it; the last of its limit is."""
    import pyarrow.parquet

    from codewatt.files import describe_files, read_json, write_json

    entry = study.cell("fp32", tokens=lambda r, s, t: [5] * 12)
    table = pyarrow.parquet.read_table(entry["tasks"]).to_pylist()
    for row in table:
        row["stop_reason"] = "eos" if row["task_id"] == "t0" else "length"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), entry["tasks"])
    described = describe_files(entry["tasks"].parent)["tasks.parquet"]
    generate = read_json(entry["generate"]) | {"files": {"tasks.parquet": described}}
    write_json(entry["generate"], generate)
    assert [t["ends_in_loop"] for t in tables(study)["task"][:2]] == [False, True]


def test_cells_of_before_tokens_were_kept_have_lines_only(study: Any) -> None:
    study.cell("fp32", texts=lambda r, s, t: "a\na")
    made = tables(study)
    for row in (made["run"][0], made["cell"][0]):
        assert row["repeated_lines_share"] == 0.5
        assert row["repeated_4grams_share"] is row["loops_share"] is None
    assert made["cell"][0]["loops_share_wilson95_low"] is None
    assert made["task"][0]["ends_in_loop"] is None


def test_without_completions_tokens_tell_what_they_can(study: Any) -> None:
    entry = study.cell("fp32", tokens=looping_in("t0"))
    del entry["completions"]
    cell = tables(study)["cell"][0]
    assert cell["loops_share"] == 0.25
    assert cell["repeated_lines_share"] is cell["repeated_lines_share_ci95_low"] is None


def test_completions_too_short_for_a_4gram_do_not_count_as_without_repetition(study: Any) -> None:
    study.cell("fp32", tokens=lambda r, s, t: [*([1] * 8 if t == "t0" else [1]), EOS])
    made = tables(study)
    assert made["task"][1]["repeated_4grams_share"] is None
    assert made["cell"][0]["repeated_4grams_share"] == pytest.approx(1 - 1 / 5)
    assert made["cell"][0]["repeated_4grams_share_ci95_low"] is None, "one task has no interval"


def test_an_infeasible_cell_repeats_nothing(study: Any) -> None:
    study.infeasible("int8", "no GPU")
    assert tables(study)["cell"][0]["loops_share"] is None
