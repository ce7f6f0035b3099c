"""A GGUF file on this machine is read before any job, so that no job fails for what it says."""

import copy
import json

import pytest
import yaml

from codewatt.config.load_study import load_study, validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.estimate.unfetched_models import read_model_facts
from codewatt.gguf_model_check import check_gguf_models
from codewatt.grid import Grid
from codewatt.group_size_check import check_group_sizes
from codewatt.layer_count_check import check_declared_layers
from codewatt.paths import Paths
from codewatt.preflight import load_grid
from tests.support.gguf import SIZES, tiny_llama, tokenizer_of_smollm, write_gguf
from tests.support.models import save_tiny_model
from tests.support.workbench import SMALL


@pytest.fixture(scope="module")
def model():
    return tiny_llama(tokenizer_of_smollm().get_vocab_size())


@pytest.fixture
def study(tmp_path):
    """study(file, **changes): a study file whose models are this GGUF file."""

    def write(file, **changes):
        settings = {"source": "gguf", "file": file, "layers": changes.pop("layers", None)}
        models = [{"id": one["id"], **settings} for one in SMALL["models"]]
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump({**copy.deepcopy(SMALL), "models": models, **changes}))
        return path

    return write


def local(path):
    return {"source": "path", "path": str(path)}


def refusal(path):
    with pytest.raises(CodewattError) as refused:
        load_grid(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_an_absent_a_truncated_and_another_file_are_refused(study, model, tmp_path):
    file = tmp_path / "m.gguf"
    path = study(local(file))
    assert refusal(path) == f"{path}: models[0].file.path: {file}: no such file"
    write_gguf(file, model)
    assert load_grid(path).cells
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-64])
    assert refusal(path) == (
        f"{path}: models[0].file.path: {file}: {size - 64} bytes, but its header says {size}; the "
        "file is truncated, fetch it again"
    )
    file.write_bytes(b"PK\x03\x04")
    assert refusal(path) == (
        f"{path}: models[0].file.path: {file}: not a GGUF file: it begins with b'PK\\x03\\x04', "
        "not b'GGUF'"
    )


def test_the_context_of_the_file_limits_the_tokens(study, model, tmp_path):
    file = write_gguf(tmp_path / "m.gguf", model)
    limit = SIZES["max_position_embeddings"]
    assert load_grid(study(local(file), token_limits=[limit - 1])).cells
    said = refusal(study(local(file), token_limits=[limit]))
    assert f"the context of model 'one' has {limit} tokens, which leaves none" in said


def test_the_declared_layers_are_compared_with_the_file(study, model, tmp_path):
    file = write_gguf(tmp_path / "m.gguf", model)
    for layers in (2, None):
        grid = load_grid(study(local(file), layers=layers))
        check_declared_layers(grid, Paths.of(tmp_path, grid.study))
    grid = load_grid(study(local(file), layers=3))
    with pytest.raises(CodewattError, match=r"model 'one': layers: 3, but its file has 2; allowed"):
        check_declared_layers(grid, Paths.of(tmp_path, grid.study))


def test_estimates_know_the_sizes_of_a_file_that_is_here(study, model, tmp_path):
    file = write_gguf(tmp_path / "m.gguf", model, packing="Q8_0")
    grid = load_grid(study(local(file)))
    facts = read_model_facts(grid, Paths.of(tmp_path, grid.study))["one"]
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert facts.architecture().parameters == weights
    assert facts.stored_bytes == 4 * weights  # unpacked to float32
    package = {
        "source": "package", "package": "llm-b", "version": "1.0", "name": "b.gguf",
        "sha256": "0" * 64,
    }  # fmt: skip
    grid = load_grid(study(package))
    paths = Paths.of(tmp_path, grid.study)
    facts = read_model_facts(grid, paths)["one"]
    assert facts.config is None
    assert facts.source == (
        "the configuration of llm-b 1.0 is unknown before it is downloaded; "
        f"`snakemake {paths.model('one')}` downloads it"
    )


def test_no_study_of_the_project_has_a_group_size_that_its_models_refuse(repository, tmp_path):
    for path in sorted((repository / "config" / "studies").glob("*.yaml")):
        study = load_study(path)
        check_group_sizes(Grid(study, str(path)), Paths.of(tmp_path, study))


def test_the_study_of_smollm2_names_its_file(repository):
    grid = load_grid(repository / "config" / "studies" / "smollm2.yaml")
    assert json.loads(grid.model_slice("smollm2-135m"))["file"]["sha256"] == (
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    )
    assert grid.is_instruct("smollm2-135m") is True
    assert grid.model_rule("smollm2-135m") == "download_model"


@pytest.mark.parametrize(("model_type", "allowed"), [("llama", True), ("deepseek_v2", False)])
def test_a_model_of_which_no_gguf_file_is_made_is_refused_before_any_job(
    tmp_path, model_type, allowed
):
    """Its type is in the config.json of a directory on this machine."""
    save_tiny_model(model_type, tmp_path / "model", layers=2)
    values = copy.deepcopy(SMALL)
    values["models"] = [{"id": "one", "source": "path", "path": str(tmp_path / "model")}]
    values["prunes"] = [{"id": "full", "method": "none"}]
    values["precisions"] = [
        {"id": "fp32", "method": "none", "dtype": "float32"},
        {"id": "q8", "method": "gguf", "quant_type": "Q8_0"},
    ]
    values["engines"] = ["transformers", "llama_cpp"]
    values["exclude"] = [
        {"precision": "q8", "engine": "transformers"},
        {"precision": "fp32", "engine": "llama_cpp"},
    ]
    grid = Grid(validate(Study, values, "study.yaml"), "study.yaml")
    paths = Paths.of(tmp_path, grid.study)
    if allowed:
        check_gguf_models(grid, paths)
        return
    with pytest.raises(CodewattError) as error:
        check_gguf_models(grid, paths)
    assert str(error.value) == (
        "study.yaml: precision 'q8', model 'one': method gguf: models of type deepseek_v2 are not "
        "converted; allowed: models of type gpt_neox, llama, phi, qwen2, starcoder2, or exclude "
        "the pair"
    )
