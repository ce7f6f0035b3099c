"""Each record that stages exchange is checked against its type: one line, file, field, rule."""

import json
import re

import pytest

from codewatt.benchmarks.benchmark_record import BENCHMARK
from codewatt.energy.energy_record import ENERGY, MAKING_ENERGY
from codewatt.errors import CodewattError
from codewatt.evaluate.depth_record import DEPTH
from codewatt.evaluate.evaluate_record import EVALUATE
from codewatt.fidelity.fidelity_record import FIDELITY
from codewatt.files import write_json
from codewatt.generate.generate_record import GENERATE
from codewatt.models.model_record import MODEL
from codewatt.prune.layer_scores_record import LAYER_SCORES
from codewatt.quantise.variant_record import VARIANT
from tests.support import records

KINDS = {
    "model": (MODEL, records.model_record(), "weights.directory", "fetch_model or train_nano"),
    "benchmark": (BENCHMARK, records.benchmark_record(), "prompt_format", "prepare_benchmark"),
    "layer scores": (LAYER_SCORES, records.layer_scores_record(), "removed", "score_layers"),
    "variant": (VARIANT, records.variant_record(), "weights.files", "quantise"),
    "fidelity": (FIDELITY, records.fidelity_record(), "model.perplexity", "measure_fidelity"),
    "generate": (GENERATE, records.generate_record(), "peak_memory.host_bytes", "generate"),
    "infeasible": (GENERATE, records.infeasible_generate_record(), "reason", "generate"),
    "evaluate": (EVALUATE, records.evaluate_record(), "sampler.cpu_share", "evaluate"),
    "energy": (ENERGY, records.energy_record(), "carbon.g_per_kwh", "measure_energy"),
    "infeasible energy": (
        ENERGY,
        records.infeasible_energy_record(),
        "cell.token_limit",
        "measure_energy",
    ),
    "making energy": (
        MAKING_ENERGY,
        records.making_energy_record(),
        "quantise.energy_note",
        "measure_making_energy",
    ),
    "depth": (DEPTH, records.depth_record(), "correct", "judge_depth"),
}


@pytest.fixture(params=KINDS, ids=lambda name: name.replace(" ", "_"))
def kind(request):
    return KINDS[request.param]


def changed(record, field, *value):
    """A copy with a nested field replaced, or removed if no value is given."""
    copy = json.loads(json.dumps(record))
    *parents, last = field.split(".")
    inner = copy
    for name in parents:
        inner = inner[name]
    if value:
        inner[last] = value[0]
    else:
        del inner[last]
    return copy


def refusal(record_format, path):
    with pytest.raises(CodewattError) as error:
        record_format.read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_whole_record_is_read_unchanged(kind, tmp_path):
    record_format, record, _, _ = kind
    extended = {**record, "field_of_a_later_version": 1}
    write_json(tmp_path / "r.json", extended)
    assert record_format.read(tmp_path / "r.json") == extended


def test_a_missing_field_names_file_field_and_rule(kind, tmp_path):
    record_format, record, field, rule = kind
    path = tmp_path / "r.json"
    write_json(path, changed(record, field))
    assert refusal(record_format, path) == (
        f"{path}: {field}: field is missing; "
        f"delete this file and run Snakemake: rule {rule} writes it again"
    )


def test_a_wrong_type_names_the_field_and_what_was_found(kind, tmp_path):
    record_format, record, field, _ = kind
    path = tmp_path / "r.json"
    write_json(path, changed(record, field, [[{}]]))
    message = refusal(record_format, path)
    assert message.startswith(f"{path}: {field}")
    assert "found " in message


@pytest.mark.parametrize("version", [0, 99, "1", None])
def test_another_version_is_told_from_a_damaged_file(kind, tmp_path, version):
    record_format, record, _, rule = kind
    path = tmp_path / "r.json"
    write_json(path, {**record, "schema": version})
    message = refusal(record_format, path)
    assert f"schema: record version {version!r}, this version of codewatt reads" in message
    assert f"rule {rule} writes it again" in message


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b'{"a": \xff}'])
def test_a_damaged_file_names_the_file_and_the_rule(kind, tmp_path, content):
    record_format, _, _, rule = kind
    path = tmp_path / "r.json"
    path.write_bytes(content)
    message = refusal(record_format, path)
    assert message.startswith(str(path))
    assert f"rule {rule} writes it again" in message


def test_a_file_that_is_not_there_names_the_rule(kind, tmp_path):
    record_format, _, _, rule = kind
    assert refusal(record_format, tmp_path / "r.json").endswith(f"rule {rule} writes it again")


def test_a_record_without_version_lacks_a_field(kind, tmp_path):
    record_format, record, _, _ = kind
    write_json(tmp_path / "r.json", changed(record, "schema"))
    assert ": schema: field is missing" in refusal(record_format, tmp_path / "r.json")


def test_a_whole_number_is_a_float_but_not_the_reverse(tmp_path):
    path = tmp_path / "r.json"
    write_json(path, records.variant_record(duration_s=1))
    assert VARIANT.read(path)["duration_s"] == 1
    write_json(path, records.variant_record(size_bytes=1.5))
    assert "size_bytes: " in refusal(VARIANT, path)
    write_json(path, records.variant_record(meaningful_accuracy=1))
    assert "meaningful_accuracy: " in refusal(VARIANT, path)


def test_all_wrong_fields_are_counted(tmp_path):
    path = tmp_path / "r.json"
    write_json(path, records.depth_record(tasks="2", correct="1"))
    assert "tasks: " in refusal(DEPTH, path)
    assert "(1 of 2 problems)" in refusal(DEPTH, path)


def test_a_status_that_no_record_has_is_refused(tmp_path):
    path = tmp_path / "r.json"
    write_json(path, records.generate_record(status="maybe"))
    message = refusal(GENERATE, path)
    assert "status" in message
    assert "'maybe'" in message


def test_a_record_is_written_as_it_is_read(kind, tmp_path):
    record_format, record, _, _ = kind
    record_format.write(tmp_path / "r.json", record)
    assert record_format.read(tmp_path / "r.json") == record


def test_a_wrong_record_fails_where_it_is_written(kind, tmp_path):
    record_format, record, field, rule = kind
    path = tmp_path / "r.json"
    with pytest.raises(CodewattError) as error:
        record_format.write(path, changed(record, field))
    assert str(error.value).startswith(
        f"{path}: not written: {field}: field is missing; "
        f"correct the code of rule {rule}: codewatt."
    )
    assert str(error.value).endswith("_record declares the fields of its record")
    assert not path.exists()


def test_a_list_may_be_written_from_a_tuple(tmp_path):
    record = records.variant_record(kept_layers=(0, 2))
    VARIANT.write(tmp_path / "r.json", record)
    assert VARIANT.read(tmp_path / "r.json")["kept_layers"] == [0, 2]


def test_each_script_writes_its_record_by_its_format(repository):
    """write_json does not check: only records that no stage reads are written by it."""
    unchecked = {"check_contamination", "prepare_corpus"}
    scripts = repository / "workflow" / "scripts"
    for script in scripts.glob("*.py"):
        writes = re.findall(r"write_json\((?!out\.results)", script.read_text())
        assert not writes or script.stem in unchecked, script.name
