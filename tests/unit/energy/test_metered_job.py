"""A metered job leaves its windows, its meters and a timeline; a job that fails leaves none."""

import time

import pytest

from codewatt.energy.metered_job import MeteredJob, unmetered
from codewatt.errors import CodewattError

SETTINGS = {"codecarbon_interval_s": 0.1}


def test_a_job_is_recorded_from_its_first_window_to_its_last(tmp_path):
    before_s = time.monotonic()
    job = MeteredJob(tmp_path / "t.parquet", SETTINGS, gpu_ids=[])
    with job, job.window("quantise"):
        time.sleep(0.2)
    record = job.energy_record("cpu")
    (window,) = record["windows"]
    assert (window["phase"], window["repeat"], window["batch"]) == ("quantise", None, None)
    assert before_s < window["start_s"] < window["end_s"] < time.monotonic()
    assert record["duration_s"] >= 0.2
    assert record["duration_s"] == window["end_s"] - window["start_s"]
    assert record["timeline"] == str(tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").is_file()
    assert record["sampler"]["ready_s"] <= window["start_s"]
    assert {"nvml", "host", "codecarbon"} <= {meter["name"] for meter in record["meters"]}
    assert record["epoch_offset_s"] + time.monotonic() == pytest.approx(time.time(), abs=60)


def test_a_job_that_fails_leaves_no_timeline_and_no_record(tmp_path):
    job = MeteredJob(tmp_path / "t.parquet", SETTINGS, gpu_ids=[])
    with pytest.raises(RuntimeError), job, job.window("load"):
        raise RuntimeError
    assert not (tmp_path / "t.parquet").exists()
    with pytest.raises(CodewattError, match="the energy sampler was not stopped"):
        job.record()


def test_where_nothing_is_made_nothing_is_metered():
    record = unmetered("cpu")
    assert record["windows"] == record["meters"] == []
    assert record["duration_s"] == 0
    assert record["timeline"] is record["sampler"] is None
