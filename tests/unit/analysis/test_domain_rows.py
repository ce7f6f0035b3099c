"""The tables of domains and of comparisons by domain, beside what scipy computes of the tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from codewatt.analysis.columns import CELL_IDS, DOMAIN, DOMAIN_COMPARISON, SESSION_IDS
from codewatt.analysis.compared_pairs import Pair, StudyRows
from codewatt.analysis.confounding import CONFOUNDED
from codewatt.analysis.domain_comparison_rows import compare_domains
from codewatt.analysis.domain_rows import domain_rows, pool_sessions
from codewatt.analysis.tables import to_table

Json = dict[str, Any]
#: Energies of a task in each repeat, by session.
Joules = Mapping[int, Sequence[float | None]]


def task_row(task: str, domains: str | None, solved: bool | None, joules: float | None) -> Json:
    figures = {"solved_base": solved, "energy_j": joules, "new_tokens": 10, "valid": True}
    return {
        **dict.fromkeys(SESSION_IDS),
        "repeat": 0,
        "task_id": task,
        "domains": domains,
        **figures,
    }


def test_a_domain_has_the_figures_of_its_tasks() -> None:
    rows = [
        task_row("a", "Network, Time", True, 4.0),
        task_row("b", "Time", False, 2.0),
        task_row("c", "Time", None, 30.0),
        task_row("d", None, True, 1.0),
    ]
    network, of_time = domain_rows(rows, meaningful=True)
    assert (network["domain"], network["tasks"], network["pass_at_1_base"]) == ("Network", 1, 1.0)
    assert (of_time["tasks"], of_time["tasks_judged"], of_time["valid"]) == (3, 2, True)
    assert of_time["pass_at_1_base"] == pytest.approx(1 / 2)
    assert of_time["j_per_task"] == pytest.approx((4 + 2 + 30) / 3)
    assert of_time["j_per_correct_task_base"] == pytest.approx((4 + 2) / 1)
    assert of_time["pass_at_1_base_wilson95_low"] == pytest.approx(
        proportion_confint(1, 2, method="wilson")[0]
    )
    assert "j_per_task_ci95_low" not in of_time  # one repeat
    random = domain_rows(rows, meaningful=False)[0]
    assert "pass_at_1_base" not in random
    assert random["j_per_task"] == pytest.approx(4.0)


def test_the_interval_of_energy_per_task_is_students_of_the_repeats() -> None:
    repeats = [(3.0, 5.0), (4.0, 5.5), (3.5, 4.5)]
    rows = [
        {**task_row(task, "Time", True, joules), "repeat": repeat}
        for repeat, values in enumerate(repeats)
        for task, joules in zip("ab", values, strict=True)
    ]
    (found,) = domain_rows(rows, meaningful=True)
    logs = np.log(np.mean(repeats, axis=1))
    ends = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    assert [found["j_per_task_ci95_low"], found["j_per_task_ci95_high"]] == pytest.approx(
        np.exp(ends)
    )
    rows[0]["energy_j"] = None
    (found,) = domain_rows(rows, meaningful=True)
    assert found["j_per_task"] is None
    assert "j_per_task_ci95_low" not in found


def test_sessions_are_pooled_as_independent_values() -> None:
    joules = (10.0, 12.0, 11.0)
    rows = [
        {**dict.fromkeys(DOMAIN), "cell_id": "x", "domain": "Time", "tasks_judged": 9, "tasks": 9,
         "valid": valid, "session": session, "j_per_task": value}
        for session, (value, valid) in enumerate(zip(joules, (True, True, False), strict=True))
    ]  # fmt: skip
    (pooled,) = pool_sessions(rows)
    logs = np.log(joules)
    ends = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    assert pooled["j_per_task"] == pytest.approx(stats.gmean(joules))
    assert pooled["j_per_task_ci95_high"] == pytest.approx(math.exp(ends[1]))
    assert pooled["valid"] is False
    rows[1]["j_per_task"] = None
    assert pool_sessions(rows)[0]["j_per_task"] is None


class Cells:
    """A baseline and variants with given verdicts and energies of each task."""

    def __init__(self, domains: Mapping[str, str | None]) -> None:
        self.domains = domains
        self.cells: dict[str, Json] = {}
        self.runs: dict[str, list[Json]] = {}
        self.tasks: dict[str, list[Json]] = {}

    def add(
        self,
        name: str,
        solved: Mapping[str, Sequence[bool | None]],
        joules: Mapping[str, Joules],
        **changes: Any,
    ) -> None:
        """Add a cell. solved, joules: task -> its value in each repeat (of each session)."""
        self.tasks[name] = [
            {"task_id": task, "domains": domains, "session": session, "repeat": repeat,
             "solved_base": solved[task][repeat % len(solved[task])], "energy_j": value}
            for task, domains in self.domains.items()
            for session, values in joules[task].items()
            for repeat, value in enumerate(values)
        ]  # fmt: skip
        sessions = {row["session"] for row in self.tasks[name]}
        self.runs[name] = [{"session": session, "energy_j": 1.0} for session in sessions]
        self.cells[name] = {
            **dict.fromkeys(CELL_IDS), "cell_id": name, "status": "ok", "valid": True,
            "pass_at_1_base": 0.5, "gpu_names": "H100", "cpu_name": "Xeon", "cpu_share": None,
            "energy_boundary": "gpu", "gpu_energy_status": "measured",
            "gpu_energy_method": "counters", **changes,
        }  # fmt: skip

    def infeasible(self, name: str) -> None:
        """Add a cell that could not run."""
        self.add(name, {t: [None] for t in self.domains}, {key: {} for key in self.domains})
        self.cells[name] |= {"status": "infeasible", "valid": None, "pass_at_1_base": None}

    def compare(self, **of_pair: Any) -> dict[tuple[str, str, str], Json]:
        """(cell, domain, metric) -> row, each cell beside the cell "base"."""
        study = StudyRows(self.cells, self.runs, self.tasks, {})
        known = {"of_baseline": True, "note": None, "same_places": True, "board_spread": 0.0}
        pairs = [
            Pair(cell, self.cells["base"], **{**known, **of_pair}) for cell in self.cells.values()
        ]
        rows = compare_domains(study, pairs)
        to_table(rows, DOMAIN_COMPARISON)  # no other columns than these
        return {(r["cell_id"], r["domain"], r["metric"]): r for r in rows}


NAMES = [f"t{n:02d}" for n in range(30)]
#: 20 tasks of Time, 12 of Network (8 of them of both) and 6 of no domain.
DOMAINS = {
    name: "Network, Time" if n < 8 else "Time" if n < 20 else "Network" if n < 24 else None
    for n, name in enumerate(NAMES)
}
IN = {
    domain: [t for t, of in DOMAINS.items() if of and domain in of]
    for domain in ("Network", "Time")
}


def drawn(seed: int, scale: float, sessions: int = 1, repeats: int = 3) -> dict[str, Joules]:
    draw = np.random.default_rng(seed)
    return {
        task: {
            session: list(scale * draw.uniform(5, 50) * draw.lognormal(0, 0.05, repeats))
            for session in range(1, sessions + 1)
        }
        for task in NAMES
    }


def verdicts(seed: int, share: float) -> dict[str, list[bool | None]]:
    draw = np.random.default_rng(seed)
    return {task: [bool(draw.uniform() < share)] for task in NAMES}


def run_logs(joules: Mapping[str, Joules], tasks: Sequence[str], session: int) -> Any:
    return np.log(np.mean([joules[task][session] for task in tasks], axis=0))


def test_accuracy_is_compared_on_the_tasks_of_each_domain() -> None:
    cells = Cells(DOMAINS)
    solved = {"base": verdicts(1, 0.8), "x": verdicts(2, 0.4), "y": verdicts(3, 0.6)}
    for name, of in solved.items():
        cells.add(name, of, drawn(4, 1.0))
    found = cells.compare()
    ps = []
    for name in ("x", "y"):
        for domain in ("Network", "Time"):
            row = found[name, domain, "pass_at_1_base"]
            ours, theirs = (np.array([solved[c][t][0] for t in IN[domain]]) for c in (name, "base"))
            lost, gained = int((~ours & theirs).sum()), int((ours & ~theirs).sum())
            assert (row["tasks_lost"], row["tasks_gained"]) == (lost, gained)
            assert row["tasks"] == row["n"] == len(IN[domain])
            assert row["estimate"] == pytest.approx(ours.mean() - theirs.mean())
            assert row["p"] == pytest.approx(stats.binomtest(lost, lost + gained).pvalue)
            assert row["ci95_low"] < row["estimate"] < row["ci95_high"]
            assert row["method"] == "paired tasks: Tango's score interval, exact McNemar test"
            ps.append(row["p"])
    adjusted = multipletests(ps, method="holm")[1]
    rows = [found[n, d, "pass_at_1_base"] for n in ("x", "y") for d in ("Network", "Time")]
    assert [row["p_holm"] for row in rows] == pytest.approx(adjusted)
    assert {row["comparisons"] for row in rows} == {4}


def test_the_interval_of_a_domain_without_a_changed_verdict_is_tangos() -> None:
    """Its closed form for equal verdicts: ± z² / (n + z²)."""
    cells = Cells({"a": "Time", "b": "Time", "c": "Time"})
    for name in ("base", "x"):
        cells.add(name, {key: [True] for key in "abc"}, {key: {1: [1.0, 2.0]} for key in "abc"})
    row = cells.compare()["x", "Time", "pass_at_1_base"]
    z2 = stats.norm.ppf(0.975) ** 2
    assert [row["ci95_low"], row["ci95_high"]] == pytest.approx([-z2 / (3 + z2), z2 / (3 + z2)])
    assert (row["p"], row["estimate"]) == (1.0, 0.0)


def test_tasks_with_several_completions_are_compared_by_agresti_and_min() -> None:
    cells = Cells(dict.fromkeys("abcd", "Time"))
    joules = {key: {1: [1.0, 1.1]} for key in "abcd"}
    cells.add("base", {t: [True, True] for t in "abcd"}, joules)
    cells.add(
        "x",
        {"a": [True, False], "b": [True, True], "c": [False, False], "d": [False, True]},
        joules,
    )
    row = cells.compare()["x", "Time", "pass_at_1_base"]
    apart = [-0.5, 0.0, -1.0, -0.5]
    adjusted = sum(apart) / 6
    error = math.sqrt(((sum(d * d for d in apart) + 1) / 6 - adjusted**2) / 6)
    half = stats.norm.ppf(0.975) * error
    assert row["estimate"] == pytest.approx(-0.5)
    assert [row["ci95_low"], row["ci95_high"]] == pytest.approx([adjusted - half, adjusted + half])
    assert row["p"] == pytest.approx(2 * stats.norm.sf(abs(adjusted) / error))
    assert "tasks_lost" not in row


def test_energy_per_task_of_one_session_is_compared_by_welchs_test_of_the_runs() -> None:
    cells = Cells(DOMAINS)
    joules = {"base": drawn(5, 1.0), "x": drawn(5, 0.8)}
    for name, of in joules.items():
        cells.add(name, verdicts(1, 0.5), of)
    found = cells.compare()
    for domain in ("Network", "Time"):
        row = found["x", domain, "j_per_task"]
        ours, theirs = (run_logs(joules[name], IN[domain], 1) for name in ("x", "base"))
        test = stats.ttest_ind(ours, theirs, equal_var=False)
        ends = np.expm1(test.confidence_interval(0.95))
        assert row["estimate"] == pytest.approx(math.expm1(ours.mean() - theirs.mean()))
        assert [row["ci95_low"], row["ci95_high"]] == pytest.approx(list(ends))
        assert (row["p"], row["df"]) == (pytest.approx(test.pvalue), pytest.approx(test.df))
        assert (row["tasks"], row["n"], row["sessions"]) == (len(IN[domain]), 3, 1)
        assert (
            row["note"] == "one session: the interval does not cover differences between sessions"
        )


def test_energy_per_task_of_several_sessions_is_compared_within_them() -> None:
    cells = Cells(DOMAINS)
    joules = {"base": drawn(6, 1.0, 3), "x": drawn(7, 0.9, 3)}
    for name, of in joules.items():
        cells.add(name, verdicts(1, 0.5), of)
    row = cells.compare()["x", "Time", "j_per_task"]
    means = [[run_logs(joules[n], IN["Time"], s).mean() for s in (1, 2, 3)] for n in ("x", "base")]
    test = stats.ttest_rel(*means)
    assert row["p"] == pytest.approx(test.pvalue)
    assert [row["ci95_low"], row["ci95_high"]] == pytest.approx(
        list(np.expm1(test.confidence_interval(0.95)))
    )
    assert (row["sessions"], row["n"], row["n_reference"]) == (3, 9, 9)


@pytest.mark.parametrize(("lacking", "compared"), [(1, True), (2, False)])
def test_energy_is_withheld_where_more_than_a_twentieth_of_the_tasks_has_none(
    lacking: int, compared: bool
) -> None:
    """Time has 20 tasks. Tasks without an energy are left out of both cells."""
    joules = {"base": drawn(5, 1.0), "x": drawn(5, 0.8)}
    short = [task for task in IN["Time"] if task not in IN["Network"]][:lacking]
    for task in short:
        joules["x"][task] = {1: [1.0, None, 1.0]}
    cells = Cells(DOMAINS)
    for name, of in joules.items():
        cells.add(name, verdicts(1, 0.5), of)
    found = cells.compare()
    row = found["x", "Time", "j_per_task"]
    if compared:
        kept = [task for task in IN["Time"] if task not in short]
        ours, theirs = (run_logs(joules[name], kept, 1).mean() for name in ("x", "base"))
        assert row["estimate"] == pytest.approx(math.expm1(ours - theirs))
        assert row["tasks"] == 19
    else:
        assert row["note"] == "fewer than 95 % of the domain's tasks have an energy"
        assert "estimate" not in row
    assert found["x", "Network", "j_per_task"]["tasks"] == 12


def test_energy_is_withheld_as_in_the_comparison_table() -> None:
    """Confounded, invalid, infeasible: accuracy is compared, except with what did not run."""
    cells = Cells(DOMAINS)
    for name in ("base", "x"):
        cells.add(name, verdicts(1, 0.5), drawn(5, 1.0))
    cells.infeasible("y")
    found = cells.compare(confounded=True, note=CONFOUNDED)
    assert found["x", "Time", "j_per_task"]["note"] == CONFOUNDED
    assert "estimate" not in found["x", "Time", "j_per_task"]
    assert found["x", "Time", "pass_at_1_base"]["estimate"] == 0.0
    for metric in ("j_per_task", "pass_at_1_base"):
        assert found["y", "Time", metric]["note"] == "this cell is infeasible"
        assert "estimate" not in found["y", "Time", metric]
    cells.cells["x"]["valid"] = False
    row = cells.compare(note="this cell failed a validity check")["x", "Time", "j_per_task"]
    assert row["note"] == "this cell failed a validity check"
    assert "estimate" not in row


def test_a_difference_between_boards_is_allowed_for() -> None:
    cells = Cells(DOMAINS)
    for name, scale in (("base", 1.0), ("x", 0.8)):
        cells.add(name, verdicts(1, 0.5), drawn(5, scale))
    same = cells.compare()["x", "Time", "j_per_task"]
    other = cells.compare(board_spread=0.12, same_places=False)["x", "Time", "j_per_task"]
    assert 1 + other["ci95_low"] == pytest.approx((1 + same["ci95_low"]) / 1.12)
    assert 1 + other["ci95_high"] == pytest.approx((1 + same["ci95_high"]) * 1.12)
    assert "12 % difference is allowed for" in other["note"]


def test_verdicts_that_are_missing_or_differ_withhold_the_comparison_of_accuracy() -> None:
    cells = Cells(DOMAINS)
    solved = {name: verdicts(1, 0.5) for name in ("base", "x", "y")}
    solved["x"][IN["Time"][-1]] = [None]
    for name in ("base", "y"):
        solved[name] = {t: [None] if t in IN["Network"] else v for t, v in solved[name].items()}
    solved["x"] = {t: [None] if t in IN["Network"] else v for t, v in solved["x"].items()}
    for name, of in solved.items():
        cells.add(name, of, drawn(5, 1.0))
    found = cells.compare()
    assert found["x", "Time", "pass_at_1_base"]["note"] == (
        "the two cells have verdicts of different tasks of the domain"
    )
    for name in ("x", "y"):
        assert found[name, "Network", "pass_at_1_base"]["note"] == (
            "no task of the domain has a verdict"
        )
    assert found["y", "Time", "pass_at_1_base"]["comparisons"] == 1


def test_random_weights_and_absent_energies_have_no_rows() -> None:
    cells = Cells(DOMAINS)
    for name in ("base", "x"):
        cells.add(name, verdicts(1, 0.5), drawn(5, 1.0), pass_at_1_base=None)
    assert {metric for _, _, metric in cells.compare()} == {"j_per_task"}
    for runs in cells.runs.values():
        for run in runs:
            run["energy_j"] = None
    assert not cells.compare()


def test_tasks_without_domains_have_no_rows() -> None:
    cells = Cells(dict.fromkeys(NAMES))
    for name in ("base", "x"):
        cells.add(name, verdicts(1, 0.5), drawn(5, 1.0))
    assert not cells.compare()
