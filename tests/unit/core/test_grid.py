"""The grid is the product less the exclusions; a stage's slice holds what it reads and no more."""

import itertools
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.config.energy_settings import ValidityLimits
from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.grid import Grid
from codewatt.id_patterns import wildcard_constraints
from codewatt.paths import Paths
from codewatt.sampler_settings import SamplerSettings

PRECISIONS = [
    {"id": "fp32", "method": "none", "dtype": "float32"},
    {"id": "nf4", "method": "bitsandbytes", "quant_type": "nf4", "compute_dtype": "float32"},
]


def _study(**changes):
    values = {
        "study": "small",
        "title": "A small study",
        "models": [
            {"id": "a", "source": "nano", "architecture": "starcoder2"},
            {"id": "a-b", "source": "nano", "architecture": "qwen2"},
        ],
        "prunes": [
            {"id": "full", "method": "none"},
            {"id": "last1", "method": "last", "layers": 1},
        ],
        "precisions": PRECISIONS,
        "benchmarks": [{"id": "nano", "kind": "nano"}],
        "prompts": ["stripped", "as_is"],
        "token_limits": [24, 48],
        "batch_sizes": [1, 8],
        "baseline": {"precision": "fp32", "prune": "full"},
    }
    return validate(Study, {**values, **changes}, "study.yaml")


def test_the_grid_is_the_product():
    grid = Grid(_study())
    assert len(grid.cells) == 2 * 2 * 2 * 1 * 2 * 2 * 2
    assert len({cell.id for cell in grid.cells}) == len(grid.cells)
    assert len(grid.variants) == 8


def test_exclusions_take_out_exactly_what_matches():
    exclude = [
        {"model": "a", "precision": "nf4"},
        {"prompt": "as_is", "token_limit": [24, 48], "batch_size": 8},
    ]
    everything, left = Grid(_study()), Grid(_study(exclude=exclude))
    wanted = [
        cell
        for cell in everything.cells
        if not (cell.model == "a" and cell.precision == "nf4")
        and not (cell.prompt == "as_is" and cell.batch_size == 8)
    ]
    assert list(left.cells) == wanted
    assert [v.id for v in left.variants] == [
        v.id for v in everything.variants if not (v.model == "a" and v.precision == "nf4")
    ]


def test_hardware_is_an_axis_only_where_a_study_names_some():
    without, named = Grid(_study()), Grid(_study(hardware=["l40s", "a100"]))
    assert {cell.hardware for cell in without.cells} == {None}
    assert [cell.id for cell in named.cells if cell.hardware == "l40s"] == [
        f"{cell.id}--l40s" for cell in without.cells
    ]
    assert len(named.cells) == 2 * len(without.cells)
    assert named.variants == without.variants
    constraint = wildcard_constraints(named)["cell"]
    for cell in (*named.cells, *named.twins.values()):
        assert re.fullmatch(constraint, cell.id)
    assert not re.fullmatch(constraint, without.cells[0].id)


def test_a_variant_is_made_on_the_hardware_of_its_first_cell():
    exclude = [{"model": "a", "hardware": "l40s"}]
    grid = Grid(_study(hardware=["l40s", "a100"], exclude=exclude))
    made = {variant.model: grid.quantise_hardware(variant) for variant in grid.variants}
    assert made == {"a": "a100", "a-b": "l40s"}


def test_ids_match_their_own_constraint_and_no_other_cell():
    grid = Grid(_study())
    constraints = wildcard_constraints(grid)
    for cell in grid.cells:
        assert re.fullmatch(constraints["cell"], cell.id)
        assert grid.cell(cell.id) == cell
        assert re.fullmatch(constraints["variant"], cell.variant.id)
    assert not re.fullmatch(constraints["cell"], grid.cells[0].id + "x")
    with pytest.raises(CodewattError, match="no such cell in study 'small'"):
        grid.cell("a--full")


def test_a_slice_is_the_same_text_whatever_the_order_of_keys():
    swapped = [dict(reversed(list(entry.items()))) for entry in PRECISIONS]
    first, second = Grid(_study()), Grid(_study(precisions=swapped))
    cell, variant = first.cells[0], first.variants[1]
    assert first.generate_slice(cell) == second.generate_slice(cell)
    assert first.quantise_slice(variant) == second.quantise_slice(variant)


def _slices(grid):
    """Every measured stage's slices, by stage and id."""
    return {
        **{("model", m): grid.model_slice(m) for m in grid.model_ids},
        **{("quantise", v.id): grid.quantise_slice(v) for v in grid.variants},
        **{("generate", c.id): grid.generate_slice(c) for c in grid.cells},
        "evaluate": grid.evaluate_slice(),
        "energy": grid.energy_slice(),
        "aggregate": grid.aggregate_slice(grid.cells),
        "labels": grid.labels_slice(),
    }


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"title": "Another"}, {"labels"}),
        ({"precisions": [{**PRECISIONS[0], "label": "x"}, PRECISIONS[1]]}, {"labels"}),
        ({"decoding": {"repeats": 2}}, {"generate"}),
        ({"energy": {"country": "FRA"}}, {"energy"}),
        ({"energy": {"idle_s": 1.0}}, {"generate"}),
        ({"energy": {"start": {"below_c": 40.0}}}, {"generate"}),
        ({"decoding": {"warmup": {"max_cv": 0.02}}}, {"generate"}),
        *(
            (
                {"energy": {key: True if key == "node_context" else 0.75}},
                {"quantise", "generate", "evaluate"},
            )
            for key in SamplerSettings.model_fields
        ),
        *(
            ({"energy": {"validity": {limit: 1 if limit == "min_readings" else 0.75}}}, {"energy"})
            for limit in ValidityLimits.model_fields
        ),
        ({"evaluation": {"sanitize": False}}, {"evaluate"}),
        ({"device": "cpu"}, {"quantise", "generate"}),
        ({"baseline": {"precision": "nf4", "prune": "full"}}, {"aggregate"}),
        ({"order_seed": 3}, {"aggregate"}),
    ],
)
def test_a_change_reaches_the_slices_of_the_stages_that_read_it(changes, stages):
    before, after = _slices(Grid(_study())), _slices(Grid(_study(**changes)))
    differing = {key for key in before if before[key] != after[key]}
    assert {key if isinstance(key, str) else key[0] for key in differing} == stages


SCORED = {"method": "block_influence", "calibration": "t"}
PRUNES = [
    {"id": "full", "method": "none"},
    {"id": "last1", "method": "last", "layers": 1},
    {"id": "bi1", **SCORED, "layers": 1},
    {"id": "bi2", **SCORED, "layers": 2},
    {"id": "bi1-u", **SCORED, "calibration": "u", "layers": 1},
]
TEXTS = [{"id": "t", "source": "nano"}, {"id": "u", "source": "stdlib", "tokens": 256}]


def test_layers_are_scored_once_a_model_method_and_text():
    grid = Grid(_study(prunes=PRUNES, corpora=TEXTS))
    method = SCORED["method"]
    assert grid.scorings == tuple(
        (m, method, corpus) for m in ("a", "a-b") for corpus in ("t", "u")
    )
    by_prune = {v.prune: v for v in grid.variants if (v.model, v.precision) == ("a", "nf4")}
    assert grid.scoring(by_prune["last1"]) is None
    assert grid.scoring(by_prune["bi1"]) == grid.scoring(by_prune["bi2"]) == ("a", method, "t")
    assert grid.calibrations(by_prune["bi2"]) == ("t",), "so that no benchmark's task is in it"
    assert grid.corpus_ids == ("t", "u")
    constraint = wildcard_constraints(grid)["method"]
    assert re.fullmatch(constraint, method)
    assert not re.fullmatch(constraint, "sleb")
    assert not re.fullmatch(wildcard_constraints(Grid(_study()))["method"], "")


def test_what_scoring_reads_does_not_change_with_the_depth():
    deeper = [{**prune, "layers": 3} if prune["id"] == "bi2" else prune for prune in PRUNES]
    before, after = (Grid(_study(prunes=prunes, corpora=TEXTS)) for prunes in (PRUNES, deeper))
    for scoring in before.scorings:
        assert before.score_slice(*scoring) == after.score_slice(*scoring)
    corpora = [{**TEXTS[0], "seed": 1}, TEXTS[1]]
    other = Grid(_study(prunes=PRUNES, corpora=corpora))
    assert {corpus for _, _, corpus in before.scorings if _differs(before, other, corpus)} == {"t"}


def _differs(before, after, corpus):
    scoring = ("a", SCORED["method"], corpus)
    return before.score_slice(*scoring) != after.score_slice(*scoring)


def test_figures_have_a_line_a_prune_method_and_text():
    lines = json.loads(Grid(_study(prunes=PRUNES, corpora=TEXTS)).labels_slice())["labels"]
    assert lines["prune_line"] == {
        "last1": "last layers",
        "bi1": "block influence on t",
        "bi2": "block influence on t",
        "bi1-u": "block influence on u",
    }
    assert lines["corpus"] == {"t": "t", "u": "u"}


def test_figures_take_the_studys_order():
    later_first = _study(prunes=list(reversed(PRUNES)), corpora=TEXTS)
    named = json.loads(Grid(later_first).labels_slice())["labels"]["prune"]
    assert list(named) == [prune["id"] for prune in reversed(PRUNES)]


def test_paths_come_from_ids_alone():
    study = _study()
    paths = Paths.of("results", study)
    assert paths.cell("energy.json") == "results/small/cells/{cell}/energy.json"
    assert paths.cell("energy.json", "x") == "results/small/cells/x/energy.json"
    assert paths.layer_scores("a", corpus="t") == "results/small/models/a/layers.{method}.t.json"
    assert paths.log("plot") == "results/small/logs/plot/study.log"


ids = st.from_regex(r"[a-z0-9]{1,3}([._-][a-z0-9]{1,3}){0,2}", fullmatch=True)


@given(st.lists(ids, min_size=2, max_size=5, unique=True))
def test_different_values_never_make_the_same_id(names):
    from codewatt.cells import Variant

    variants = [Variant(*triple) for triple in itertools.product(names, repeat=3)]
    assert len({variant.id for variant in variants}) == len(variants)


def test_each_session_measures_every_cell_under_an_id_of_its_own():
    one, three = Grid(_study()), Grid(_study(sessions=3))
    assert one.measured_cells == one.cells == three.cells
    assert len(three.measured_cells) == 3 * len(one.cells)
    # A study that is given more sessions keeps the results of those it had.
    assert [cell.id for cell in three.measured_cells][: len(one.cells)] == [
        cell.id for cell in one.cells
    ]
    again = three.cells[0].in_session(3)
    assert again.id == three.cells[0].id + "--s3"
    assert again.design_id == three.cells[0].id
    assert three.cell(again.id).identity()["session"] == 3
    constraint = wildcard_constraints(three)["cell"]
    assert all(re.fullmatch(constraint, cell.id) for cell in three.measured_cells)
    assert not re.fullmatch(constraint, three.cells[0].id + "--s4")
    assert not re.fullmatch(wildcard_constraints(one)["cell"], again.id)


def test_power_is_drawn_of_groups_with_their_baseline_first():
    grid = Grid(_study())
    shuffled = tuple(reversed(grid.cells))
    whole = grid.baselines_first(shuffled, 10**6)
    assert sorted(cell.id for cell in whole) == sorted(cell.id for cell in grid.cells)
    assert grid.baselines_first(shuffled, 3) == whole[:3]
    baseline = (grid.study.baseline.prune, grid.study.baseline.precision)
    begun = []
    for cell in whole:
        group = replace(cell, prune="", precision="")
        if group not in begun:
            assert (cell.prune, cell.precision) == baseline
            begun.append(group)
        assert group == begun[-1], "the cells of a group stand together"
    assert len(begun) > 1


def _with_pairs(*pairs, **changes):
    return _study(comparisons={"pairs": list(pairs)}, **changes)


def test_named_pairs_differ_on_the_named_axes_only():
    pair = {
        "cell": {"precision": "nf4", "model": "a"},
        "reference": {"precision": "fp32", "model": "a-b"},
    }
    grid = Grid(_with_pairs(pair))
    pairs = [(grid.cell(cell), grid.cell(other)) for cell, other in grid.named_pairs]
    assert len(pairs) == 2 * 2 * 2 * 2
    for cell, other in pairs:
        assert (cell.precision, cell.model) == ("nf4", "a")
        assert other == replace(cell, precision="fp32", model="a-b")
    assert json.loads(grid.aggregate_slice(grid.cells))["comparisons"]["pairs"] == [
        list(ids) for ids in grid.named_pairs
    ]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ({"cell": {"precision": "nf4"}, "reference": {"model": "a"}}, "allowed: the same"),
        ({"cell": {"model": "a"}, "reference": {"model": "a"}}, "allowed: two different cells"),
        ({"cell": {"benchmark": "nano"}, "reference": {"benchmark": "x"}}, "pairs"),
        ({"cell": {"precision": "nf4"}, "reference": {"precision": "int9"}},
         r"comparisons.pairs\[0\].reference.precision: no precision 'int9'"),
        ({"cell": {}, "reference": {}}, "pairs"),
    ],
)  # fmt: skip
def test_pairs_are_checked(pair, message):
    with pytest.raises(CodewattError, match=message):
        _with_pairs(pair)


def test_a_pair_that_matches_no_cells_is_refused():
    pair = {"cell": {"precision": "nf4"}, "reference": {"precision": "fp32"}}
    study = _with_pairs(pair, exclude=[{"precision": "nf4"}])
    with pytest.raises(CodewattError, match=r"comparisons.pairs\[0\]: no two cells"):
        Grid(study)
