"""`codewatt estimate` of a study with results: what was measured stands beside."""

from pathlib import Path

import pytest

from codewatt.cli import main
from codewatt.energy.cell_energy import measure_cell
from codewatt.files import read_json, write_json
from tests.support.estimates import estimated
from tests.support.records import generate_record

REPOSITORY = Path(__file__).resolve().parents[3]


RECORDED = REPOSITORY / "tests/fixtures/energy"


RECORDINGS = {"bf16": "h100_decode_bf16", "nf4": "h100_decode_nf4"}


def whole_record(manifest):
    """A recording of before records had all fields, with the fields that it lacks."""
    base = generate_record()
    parts = {k: {**base[k], **manifest[k]} for k in ("model", "provenance", "sampler", "cell")}
    peak = {"device_bytes": None, "host_bytes": None}
    return {**base, **manifest, **parts, "peak_memory": peak}


@pytest.fixture
def recorded(tmp_path):
    """Results of two cells of starcoder2-3b-metering, as they were recorded on an H100."""
    for precision, name in RECORDINGS.items():
        manifest = read_json(RECORDED / f"{name}.json")
        folder = tmp_path / "starcoder2-3b-metering/cells" / manifest["cell"]["id"]
        energy = measure_cell(manifest, RECORDED / f"{name}.parquet", None, None, {}).record
        whole = whole_record(manifest)
        write_json(folder / "generate.json", whole)
        write_json(folder / "energy.json", {**energy, "cell": whole["cell"], "code": []})
        (folder / "timeline.parquet").write_bytes((RECORDED / f"{name}.parquet").read_bytes())
        assert manifest["cell"]["precision"] == precision
    return tmp_path


def test_what_was_measured_stands_beside_the_estimate(recorded, capsys):
    """On the card that it ran on, time and energy of real jobs are within a factor of 1.4."""
    file = REPOSITORY / "config/studies/starcoder2-3b-metering.yaml"
    found = estimated(capsys, file, "--gpu", "h100", "--results", str(recorded))
    ratios = {ratio["what"]: ratio for ratio in found["measured"]}
    assert set(ratios) == {
        "generate, metered", "generate, GPU energy", "generate, node energy (modelled)",
        "weights and telemetry",
    }  # fmt: skip
    hours, joules = ratios["generate, metered"], ratios["generate, GPU energy"]
    assert hours["jobs"] == joules["jobs"] == 2, "of three cells"
    assert hours["measured"] == pytest.approx((95.95 + 99.54) / 3600, rel=0.001)
    # The repeats' joules (test_replay.py), and some 55 s of loading, warming up and rest.
    repeats_j = 10_816.5 + 11_039.2
    assert repeats_j + 55 * 100 < joules["measured"] * 3.6e6 < repeats_j + 55 * 150
    assert 1 / 1.4 < hours["ratio"] < 1.4
    assert 1 / 1.4 < joules["ratio"] < 1.4
    assert main(["estimate", str(file), "--gpu", "h100", "--results", str(recorded)]) == 0
    assert "Estimated and measured, for the finished jobs" in capsys.readouterr().out


def test_a_cell_that_did_not_run_is_not_compared(recorded, capsys):
    for path in recorded.glob("*/cells/*nf4*/generate.json"):
        write_json(path, {**read_json(path), "status": "infeasible", "reason": "no memory"})
    file = REPOSITORY / "config/studies/starcoder2-3b-metering.yaml"
    found = estimated(capsys, file, "--gpu", "h100", "--results", str(recorded))
    assert {ratio["jobs"] for ratio in found["measured"]} == {1}
