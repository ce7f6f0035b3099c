"""What study files measured stands beside the printed numbers, and beside no others."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from codewatt.config.load_study import load_study
from codewatt.parquet import write_frame
from codewatt.published.buis_2024 import measured_places as thesis_places
from codewatt.published.buis_2024.audited_study import STUDY as THESIS
from codewatt.published.buis_2024.printed_tables import read_tables as read_thesis
from codewatt.published.de_reus_2024 import measured_places as paper_places
from codewatt.published.de_reus_2024.printed_tables import read_tables as read_paper
from codewatt.published.measured_cells import MeasuredValue
from codewatt.published.page.measured_column import MeasuredColumn, measured_column, study_views
from codewatt.published.study_files import BUIS, DE_REUS, STUDY_FILES, table_digests
from tests.support.measured_tables import STUDIES, cell_row, study_cells, write_cells

PRINTED = {DE_REUS: read_paper().figures, BUIS: read_thesis(THESIS.data).figures}
PLACES = {
    DE_REUS: dict(paper_places.wanted_cells(PRINTED[DE_REUS])),
    BUIS: dict(thesis_places.wanted_cells(PRINTED[BUIS])),
}
LARGE_8 = "starcoder2-7b--full--int8--humaneval-plus--as_is--t256--b1--transformers"
LARGE = "starcoder2-7b--full--fp32--humaneval-plus--as_is--t256--b1--transformers"
PRUNED = "phi-2--last3--fp16--humaneval-plus--as_is--t128--b1--transformers"
CODER_4 = "qwen-coder-7b--full--bf16--bigcodebench--chat--t1280--b4--vllm"
GPTQ = "qwen-7b-gptq8--full--gptq8--bigcodebench--chat--t1280--b1--vllm"


def column(results: Path) -> MeasuredColumn:
    return measured_column(results, PRINTED)


def values(found: MeasuredColumn, study: str, *place: str) -> list[MeasuredValue]:
    return found.values[study, place]  # type: ignore[index]


def numbers(one: MeasuredValue) -> list[float | None]:
    return [one.value, one.low, one.high]


def test_the_study_files_are_those_of_the_repository() -> None:
    paths = [*STUDIES.glob("de-reus-2024*.yaml"), *STUDIES.glob("buis-2024*.yaml")]
    found = {}
    for path in paths:
        study = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert study["study"] == path.stem
        found[path.stem] = all(model["source"] == "architecture" for model in study["models"])
    assert {one.name: one.tiny for one in STUDY_FILES} == found
    assert {one.published for one in STUDY_FILES if one.name.startswith("buis")} == {BUIS}


@pytest.mark.parametrize(("name", "study"), [("de-reus-2024", DE_REUS), ("buis-2024", BUIS)])
def test_each_comparable_number_has_its_cell_in_the_study_that_repeats_it(
    name: str, study: str
) -> None:
    rows = [cell_row(name, cell) for cell in study_cells(name)]
    repositories = {one.id: one.repo for one in load_study(STUDIES / f"{name}.yaml").models}
    used = set()
    missing = set()
    for place, (wanted, _) in PLACES[study].items():
        matching = [row for row in rows if wanted.is_design(row)]
        if not matching:
            missing.add(place[:3])
            continue
        (row,) = matching
        assert repositories[row["model"]] == wanted.repository
        used.add(row["cell_id"])
    # Table 9 of the thesis prints Phi-2 with 256 tokens, which the paper has not and the file
    # excludes.
    absent = {("thesis 9", "Phi-2", "256 tokens")} if study == DE_REUS else set()
    assert missing == absent
    assert used == {row["cell_id"] for row in rows}


def test_numbers_that_no_cell_measures() -> None:
    papers = {figure.table for figure in PRINTED[DE_REUS]} - {place[0] for place in PLACES[DE_REUS]}
    assert papers == {"readme"}
    tables = {place[0] for place in PLACES[BUIS]}
    estimates = {"5.14", "5.19", "5.25", "5.30", "5.35"}
    assert tables == {"5.18", "5.24", "5.29", "5.34", "5.40"} | estimates
    columns = {place[3] for place in PLACES[BUIS] if place[0] in estimates}
    assert columns == {"TTFT", "TPOT", "VRAM"}


def test_de_reus_energy_time_accuracy_and_throughput(tmp_path: Path) -> None:
    write_cells(
        tmp_path,
        "de-reus-2024",
        {
            LARGE: {"pass_at_1_plus": 0.25},
            LARGE_8: {
                "gpu_j_geomean": 360_000.0,
                "gpu_j_ci95_low": 324_000.0,
                "gpu_j_ci95_high": 396_000.0,
                "gpu_j_sd": 7_200.0,
                "node_j_geomean": 1_800_000.0,
                "dram_j_geomean": 72_000.0,
                "duration_s_geomean": 4000.0,
                "duration_s_sd": 12.5,
                "duration_s_ci95_low": 3900.0,
                "duration_s_ci95_high": 4100.0,
                "tokens_per_s_geomean": 10.5,
                "tokens_per_s_ci95_low": 10.0,
                "tokens_per_s_ci95_high": 11.0,
                "pass_at_1_plus": 0.125,
                "pass_at_1_plus_wilson95_low": 0.08,
                "pass_at_1_plus_wilson95_high": 0.19,
                "pass_at_1_plus_difference": -0.02,
                "pass_at_1_plus_difference_ci95_low": -0.06,
                "pass_at_1_plus_difference_ci95_high": 0.015,
            },
            PRUNED: {"node_j_geomean": 36_000.0, "pass_at_1_plus": 0.1},
        },
    )
    found = column(tmp_path)
    setting = "StarCoder2-7B, 256 tokens"
    (gpu,) = values(found, DE_REUS, "figure 6", setting, "8-bit", "GPU")
    assert (gpu.cell_id, gpu.unit, gpu.note) == (LARGE_8, "Wh", "")
    assert numbers(gpu) == pytest.approx([100.0, 90.0, 110.0])
    assert "engine transformers" in gpu.conditions
    (spread,) = values(found, DE_REUS, "figure 6", setting, "8-bit", "GPU, std. deviation")
    assert numbers(spread) == [pytest.approx(2.0), None, None]
    (total,) = values(found, DE_REUS, "figure 6", setting, "8-bit", "Total")
    assert total.value == pytest.approx(500.0)
    (dram,) = values(found, DE_REUS, "figure 6", setting, "8-bit", "DRAM")
    assert (dram.value, dram.note) == (pytest.approx(20.0), "modelled")
    (time,) = values(found, DE_REUS, "IV", setting, "8-bit", "Avg. time")
    assert numbers(time) == [4000.0, 3900.0, 4100.0]
    (spread,) = values(found, DE_REUS, "IV", setting, "8-bit", "Std. deviation")
    assert spread.value == 12.5
    (throughput,) = values(found, DE_REUS, "IV", setting, "8-bit", "Throughput")
    assert numbers(throughput) == [10.5, 10.0, 11.0]
    (passed,) = values(found, DE_REUS, "III", setting, "8-bit", "HumanEval+")
    assert numbers(passed) == pytest.approx([12.5, 8.0, 19.0])
    (lost,) = values(found, DE_REUS, "III", setting, "8-bit", "HumanEval+, difference")
    assert numbers(lost) == pytest.approx([-2.0, -6.0, 1.5])
    (original,) = values(found, DE_REUS, "II", "StarCoder2-7B", "256 tokens", "HumanEval+")
    assert original.value == pytest.approx(25.0)
    (whole,) = values(found, DE_REUS, "figure 8", "Phi-2", "3 layers removed", "Total")
    assert whole.value == pytest.approx(10.0)
    (share,) = values(found, DE_REUS, "figure 7", "Phi-2", "3 layers removed", "HumanEval+")
    assert share.value == pytest.approx(0.1)
    # A cell that is not in the table.
    (other,) = values(found, DE_REUS, "figure 5", "StarCoder2-7B, 128 tokens", "4-bit", "GPU")
    assert (other.value, other.cell_id, other.note) == (None, "", "not measured")


def test_buis_energy_time_accuracy_throughput_and_memory(tmp_path: Path) -> None:
    run = {
        "net_gpu_j_mean": 1_800_000.0,
        "net_gpu_j_ci95_low": 1_440_000.0,
        "net_gpu_j_ci95_high": 2_160_000.0,
        "gpu_j_geomean": 9e9,
        "duration_s_geomean": 6000.0,
        "duration_s_ci95_low": 5400.0,
        "duration_s_ci95_high": 6600.0,
        "tokens_per_s_geomean": 80.0,
        "pass_at_1_base": 0.3,
        "pass_at_1_base_wilson95_low": 0.27,
        "pass_at_1_base_wilson95_high": 0.33,
        "ttft_s_geomean": 0.05,
        "tpot_s_geomean": 0.012,
        "size_bytes": 8_700_000_000,
    }
    write_cells(
        tmp_path,
        "buis-2024",
        {CODER_4: run, GPTQ: run},
    )
    found = column(tmp_path)
    row = ("5.18", "Qwen-Coder2.5-7B-Instruct", "Batch size 4")
    (energy,) = values(found, BUIS, *row, "Energy consumption")
    assert (energy.cell_id, energy.unit) == (CODER_4, "kWh")
    assert numbers(energy) == pytest.approx([0.5, 0.4, 0.6])
    assert energy.conditions == "engine vllm, prompt style chat"
    (latency,) = values(found, BUIS, *row, "Latency")
    assert numbers(latency) == pytest.approx([100.0, 90.0, 110.0])
    (throughput,) = values(found, BUIS, *row, "Throughput")
    assert numbers(throughput) == [80.0, None, None]
    row = ("5.40", "", "7B-Instruct-GPTQ-Int8")
    (passed,) = values(found, BUIS, *row, "Pass@1")
    assert numbers(passed) == pytest.approx([0.3, 0.27, 0.33])
    (per_kwh,) = values(found, BUIS, *row, "Pass@kWh")
    assert numbers(per_kwh) == pytest.approx([0.6, 0.27 / 0.6, 0.33 / 0.4])
    row = ("5.35", "", "7B-Instruct-GPTQ-Int8")
    assert values(found, BUIS, *row, "TTFT")[0].value == pytest.approx(0.05)
    assert values(found, BUIS, *row, "TPOT")[0].value == pytest.approx(0.012)
    assert values(found, BUIS, *row, "VRAM")[0].value == pytest.approx(8.7)
    # Other batch sizes, and models without a cell in the table.
    for place in (
        ("5.18", "Qwen-Coder2.5-7B-Instruct", "Batch size 1", "Latency"),
        ("5.14", "", "Qwen2.5-Coder-7B", "TTFT"),
        ("5.24", "", "7B", "Latency"),
    ):
        (other,) = values(found, BUIS, *place)
        assert (other.value, other.note) == (None, "not measured")


def test_milliseconds_only_where_the_numbers_are_milliseconds(tmp_path: Path) -> None:
    cell = CODER_4.replace("--b4--", "--b1--")
    base = "qwen-7b--full--bf16--bigcodebench--chat--t1280--b1--vllm"
    write_cells(
        tmp_path, "buis-2024", {cell: {"ttft_s_geomean": 0.05}, base: {"ttft_s_geomean": 0.05}}
    )
    found = column(tmp_path)
    # Table 5.14 prints 36.00 for 7B; table 5.19, with the same label "ms", 0.04.
    assert values(found, BUIS, "5.14", "", "Qwen2.5-Coder-7B", "TTFT")[0].value == 50.0
    assert values(found, BUIS, "5.19", "", "7B", "TTFT")[0].value == 0.05


@pytest.mark.parametrize(
    ("changes", "energy", "accuracy"),
    [
        (
            {"status": "infeasible", "status_reason": "out of memory", "valid": None},
            "not measured: out of memory",
            "not measured: out of memory",
        ),
        (
            {"valid": False, "failed_checks": "gpu_idle"},
            "withheld: failed gpu_idle",
            "",
        ),
        (
            {"accuracy_note": "random weights: no meaning", "pass_at_1_plus": None},
            "not comparable: random weights",
            "not comparable: random weights",
        ),
        (
            {"weights_origin": "unpacked from GGUF Q4_1"},
            "not comparable: weights unpacked from GGUF Q4_1",
            "not comparable: weights unpacked from GGUF Q4_1",
        ),
        (
            {"parameters": 140_000},
            "not comparable: a model of 140,000 parameters, not of 7,173,923,840",
            "not comparable: a model of 140,000 parameters, not of 7,173,923,840",
        ),
        (
            {"parameters": None},
            "not comparable: number of parameters unknown",
            "not comparable: number of parameters unknown",
        ),
        ({"tasks": 20}, "not comparable: 20 of 164 tasks", "not comparable: 20 of 164 tasks"),
        (
            {"gpu_j_geomean": None, "gpu_energy_status": "unavailable"},
            "not measured: the cell has no such value",
            "",
        ),
    ],
)
def test_withheld_values_have_their_reason(
    tmp_path: Path, changes: dict[str, Any], energy: str, accuracy: str
) -> None:
    values_ = {"gpu_j_geomean": 3600.0, "pass_at_1_plus": 0.5} | changes
    write_cells(tmp_path, "de-reus-2024", {LARGE: {}, LARGE_8: values_})
    found = column(tmp_path)
    setting = "StarCoder2-7B, 256 tokens"
    (gpu,) = values(found, DE_REUS, "figure 6", setting, "8-bit", "GPU")
    assert (gpu.value, gpu.note, gpu.cell_id) == (None, energy, LARGE_8)
    (passed,) = values(found, DE_REUS, "III", setting, "8-bit", "HumanEval+")
    assert passed.note == accuracy
    assert passed.value == (None if accuracy else pytest.approx(50.0))


def test_differences_from_another_cell_are_not_compared(tmp_path: Path) -> None:
    write_cells(
        tmp_path,
        "de-reus-2024",
        {LARGE_8: {"pass_at_1_plus_difference": -0.02, "baseline_cell_id": LARGE_8}},
    )
    place = ("III", "StarCoder2-7B, 256 tokens", "8-bit", "HumanEval+, difference")
    (lost,) = values(column(tmp_path), DE_REUS, *place)
    assert lost.value is None
    assert lost.note == "not comparable: the study's differences are from another cell"


def test_other_token_limits_prompts_and_engines_are_not_compared(tmp_path: Path) -> None:
    cells = [cell.design_id for cell in study_cells("de-reus-2024-improved")]
    results = {cell: {"gpu_j_geomean": 3600.0} for cell in cells}
    write_cells(tmp_path, "de-reus-2024-improved", results)
    found = column(tmp_path)
    assert {one.note for one in found.all_values()} == {"not measured"}
    (view,) = study_views(found)
    printed = 65 + 36 + 117  # pass_at_1.csv, runtimes.csv, figure_energies.csv
    ran = f"{len(cells)} of {len(cells)} cells ran"
    assert view["measured"] == f"{ran}. 0 of {printed} comparable numbers"


def test_two_studies_measure_one_number(tmp_path: Path) -> None:
    """Batch size 8 of the coding models is in both files."""
    cell = "llama-8b--full--bf16--bigcodebench--chat--t1280--b8--vllm"
    for name, kwh in (("buis-2024", 0.25), ("buis-2024-improved", 0.5)):
        write_cells(tmp_path, name, {cell: {"net_gpu_j_mean": kwh * 3.6e6}})
    place = ("5.18", "Meta Llama3.1-8B-Instruct", "Batch size 8", "Energy consumption")
    first, second = values(column(tmp_path), BUIS, *place)
    assert (first.study, first.value) == ("buis-2024", 0.25)
    assert (second.study, second.value) == ("buis-2024-improved", 0.5)


def test_a_smoke_study_measures_nothing(tmp_path: Path) -> None:
    for name in ("de-reus-2024-smoke", "buis-2024-smoke"):
        cells = study_cells(name)
        write_cells(tmp_path, name, {cell.design_id: {"gpu_j_geomean": 1.0} for cell in cells})
    found = column(tmp_path)
    assert found.values == {}
    for view in study_views(found):
        assert "tiny and have random weights" in view["measured"]
        assert view["mark"] == ""


def test_no_results(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        found = column(folder)
        assert (found.studies, found.values) == ([], {})
        assert found.all_values() == []
    assert table_digests(tmp_path) == {}


@pytest.mark.parametrize("fault", ["column", "type", "file"])
def test_a_table_of_another_schema_is_named_and_not_shown(tmp_path: Path, fault: str) -> None:
    absent = "gpu_j_geomean" if fault == "column" else ""
    path = write_cells(tmp_path, "de-reus-2024", {LARGE_8: {"gpu_j_geomean": 1.0}}, absent)
    if fault == "file":
        path.write_bytes(b"no table")
    if fault == "type":
        import pandas as pd

        write_frame(path, pd.read_parquet(path).astype({"gpu_j_geomean": "string"}))
    write_cells(tmp_path, "buis-2024", {CODER_4: {"net_gpu_j_mean": 3.6e6}})
    found = column(tmp_path)
    broken, readable = found.studies
    expected = {
        "column": f"{path}: no column gpu_j_geomean",
        "type": f"{path}: column gpu_j_geomean: text values; expected: real",
        "file": f"{path}: not readable as parquet",
    }
    assert broken.problem.startswith(expected[fault])
    assert broken.cells == ()
    assert not any(study == DE_REUS for study, _ in found.values)
    assert study_views(found)[0]["measured"].startswith(f"results not readable: {path}")
    assert readable.problem == ""
    assert any(one.value == 1.0 for one in found.all_values())


def test_a_study_of_another_name_is_not_read(tmp_path: Path) -> None:
    path = write_cells(tmp_path, "de-reus-2024", {LARGE_8: {"gpu_j_geomean": 1.0}})
    digest = table_digests(tmp_path)
    assert list(digest) == ["de-reus-2024"]
    assert len(digest["de-reus-2024"]) == 64
    path.parents[1].rename(tmp_path / "my-study")
    assert column(tmp_path).studies == []
    assert table_digests(tmp_path) == {}
