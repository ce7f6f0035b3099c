"""The roofline and the engines' tokens in the tables: by hand, and absent where unknown."""

from typing import Any

import pytest

from codewatt.errors import CodewattError
from tests.unit.analysis.conftest import tables

MACHINE = {
    "bandwidth_bytes_per_s": 1e6,
    "matmul_flops_per_s": 1e6,
    "matrix_dtype": "float32",
    "copied_bytes": 1 << 27,
    "matrix_edge": 1024,
}
#: Four tasks a repeat, each a batch of its own: 20 prompt and 10 new tokens.
DEMAND = {
    "step_weight_bytes": 50_000,
    "kv_bytes_per_token": 8,
    "flops_per_token": 1000,
    "head_flops": 100,
    "attention_flops": 12,
    "layers": 4,
    "windowed_layers": 0,
    "window": None,
}
CONTEXTS = sum(range(21, 30))


def with_roofline(**changes: Any) -> Any:
    roofline = {"machine": MACHINE, "demand": DEMAND, "reason": None, **changes}
    return lambda contents: contents["generate"].update(roofline=roofline)


def test_a_run_has_its_roofline_and_the_share_reached(study: Any) -> None:
    study.cell(edit=with_roofline())
    made = tables(study)
    run = made["run"][1]
    moved = 4 * (9 * 50_000 + CONTEXTS * 8)
    assert run["decode_bytes"] == moved
    assert run["decode_flops"] == 4 * (9 * 1100 + CONTEXTS * 12)
    assert run["decode_bandwidth_s"] == pytest.approx(moved / 1e6)
    assert run["decode_compute_s"] < run["decode_roofline_s"] == run["decode_bandwidth_s"]
    assert run["decode_roofline_share"] == pytest.approx(moved / 1e6 / 3.0)  # of 3 s decoding
    assert run["decode_tokens_per_s"] == pytest.approx(36 / 3.0)
    assert run["decode_roofline_tokens_per_s"] == pytest.approx(36 / (moved / 1e6))
    assert run["prefill_bytes"] == 4 * (50_000 + 20 * 8)
    assert run["prefill_flops"] == 4 * (20 * 1000 + 100 + 210 * 12)
    assert run["prefill_roofline_share"] == pytest.approx(4 * (50_000 + 160) / 1e6 / 1.0)
    cell = made["cell"][0]
    assert cell["decode_bytes_mean"] == moved
    assert cell["decode_roofline_share_mean"] == pytest.approx(run["decode_roofline_share"])
    assert (cell["bandwidth_bytes_per_s"], cell["matmul_flops_per_s"]) == (1e6, 1e6)
    assert (cell["step_weight_bytes"], cell["kv_bytes_per_token"]) == (50_000, 8)


def test_where_operations_take_longer_they_are_the_roof(study: Any) -> None:
    study.cell(edit=with_roofline(machine={**MACHINE, "matmul_flops_per_s": 1000.0}))
    run = tables(study)["run"][0]
    assert run["decode_roofline_s"] == run["decode_compute_s"] > run["decode_bandwidth_s"]


def test_sequences_of_one_batch_read_the_weights_together(study: Any) -> None:
    import pyarrow.parquet as parquet

    from codewatt.files import describe_files, read_json, write_json

    entry = study.cell(edit=with_roofline())
    rows = parquet.read_table(entry["tasks"]).to_pylist()
    together = [row | {"batch": 0} for row in rows]
    parquet.write_table(parquet.read_table(entry["tasks"]).from_pylist(together), entry["tasks"])
    described = describe_files(entry["tasks"].parent)["tasks.parquet"]
    manifest = read_json(entry["generate"]) | {"files": {"tasks.parquet": described}}
    write_json(entry["generate"], manifest)
    assert tables(study)["run"][0]["decode_bytes"] == 9 * 50_000 + 4 * CONTEXTS * 8


@pytest.mark.parametrize(
    "edit",
    [None, with_roofline(demand=None, reason="model type 'x': its size is unknown")],
)
def test_without_a_demand_there_is_no_roofline(study: Any, edit: Any) -> None:
    study.cell(edit=edit)
    made = tables(study)
    run, cell = made["run"][0], made["cell"][0]
    for name in ("bytes", "flops", "bandwidth_s", "compute_s", "roofline_s"):
        assert run[f"decode_{name}"] is run[f"prefill_{name}"] is None
    assert run["decode_roofline_share"] is run["decode_roofline_tokens_per_s"] is None
    assert run["decode_tokens_per_s"] == 12.0
    assert cell["decode_roofline_share_mean"] is cell["step_weight_bytes"] is None
    assert cell["bandwidth_bytes_per_s"] == (2e10 if edit is None else 1e6)


def test_an_unknown_rate_leaves_what_is_counted(study: Any) -> None:
    study.cell(edit=with_roofline(machine={**MACHINE, "matmul_flops_per_s": None}))
    run = tables(study)["run"][0]
    assert run["decode_bandwidth_s"] is not None
    assert run["decode_compute_s"] is run["decode_roofline_s"] is None
    assert run["decode_roofline_share"] is None


def test_a_demand_of_another_version_is_an_error_of_one_line(study: Any) -> None:
    study.cell(edit=with_roofline(demand={"colour": 1}))
    with pytest.raises(CodewattError, match=r"generate.json: roofline\.demand") as error:
        tables(study)
    assert "\n" not in str(error.value)


def test_a_single_token_has_no_time_per_output_token(study: Any) -> None:
    import pyarrow.parquet as parquet

    entry = study.cell(edit=lambda contents: contents["generate"].update(files={}))
    rows = parquet.read_table(entry["tasks"]).to_pylist()
    short = [row | {"new_tokens": 1} if row["task_id"] == "t0" else row for row in rows]
    parquet.write_table(parquet.read_table(entry["tasks"]).from_pylist(short), entry["tasks"])
    made = tables(study)
    assert [row["tpot_s"] is None for row in made["task"][:4]] == [True, False, False, False]
    assert made["cell"][0]["tpot_s_mean"] == pytest.approx(0.4 / 9)
    for row in rows:
        row["new_tokens"] = 1
    parquet.write_table(parquet.read_table(entry["tasks"]).from_pylist(rows), entry["tasks"])
    made = tables(study)
    assert made["cell"][0]["tpot_s_mean"] is made["run"][0]["decode_tokens_per_s"] is None


def same(repeat: int, sample: int, task: str) -> list[int]:
    return [1, 2, int(task[1:])]


def test_tokens_of_another_engine_are_compared_task_by_task(study: Any) -> None:
    def other(repeat: int, sample: int, task: str) -> list[int]:
        wrong = task == "t3" or repeat > 0  # the first repeat alone counts
        return [1, 2, 99] if wrong else same(repeat, sample, task)

    reference = study.cell(tokens=same)
    study.cell(engine="graph", tokens=other)
    ours, theirs = tables(study)["cell"]
    assert theirs["tokens_identical_share"] == 0.75
    assert theirs["engine_reference_cell_id"] == reference["cell"]["id"]
    assert ours["tokens_identical_share"] is ours["engine_reference_cell_id"] is None


def test_samples_count_one_by_one(study: Any) -> None:
    def other(repeat: int, sample: int, task: str) -> list[int]:
        return same(repeat, sample, task)[: 2 if sample else 3]

    study.cell(tokens=same, samples=2)
    study.cell(engine="graph", tokens=other, samples=2)
    assert tables(study)["cell"][1]["tokens_identical_share"] == 0.5


def test_without_the_same_cell_of_transformers_nothing_is_compared(study: Any) -> None:
    study.cell("int8", tokens=same)
    study.cell(engine="graph", tokens=same)
    row = tables(study)["cell"][1]
    assert row["engine_reference_cell_id"] is row["tokens_identical_share"] is None


@pytest.mark.parametrize(
    "reference", [{"tokens": None}, {"tokens": same, "tasks": 5}, {"tokens": same, "samples": 2}]
)
def test_cells_without_tokens_or_of_other_tasks_have_no_share(study: Any, reference: Any) -> None:
    study.cell(**reference)
    study.cell(engine="graph", tokens=same)
    row = tables(study)["cell"][1]
    assert row["engine_reference_cell_id"] is not None
    assert row["tokens_identical_share"] is None


def test_an_infeasible_reference_has_no_tokens(study: Any) -> None:
    study.infeasible("fp32", "does not fit")
    study.cell(engine="graph", tokens=same)
    assert tables(study)["cell"][1]["tokens_identical_share"] is None
