"""What a job would refuse is refused with the study, in one line."""

import copy
import json
import os
from pathlib import Path

import pytest
import yaml

from codewatt.benchmarks.nano_benchmark import NanoBenchmark
from codewatt.benchmarks.prompt_format import BIGCODEBENCH_INSTRUCT_FORMAT
from codewatt.cli import main
from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.grid import Grid
from codewatt.paths import Paths, check_locations, in_checkout
from codewatt.preflight import check_names, check_pinned, load_grid
from tests.support.workbench import SMALL


def _file(tmp_path, **changes):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**copy.deepcopy(SMALL), **changes}))
    return path


@pytest.mark.parametrize("country", ["ZZZ", "XKX", "LIE", "MCO", "AND"])
def test_a_country_without_a_carbon_intensity_is_refused(tmp_path, country, capsys):
    path = _file(tmp_path, energy={"country": country})
    for command in ("study", "estimate"):
        assert main([command, str(path)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(
            f"codewatt: {path}: energy.country: no carbon intensity for '{country}'"
        )
        assert said.count("\n") == 1
    assert load_grid(_file(tmp_path, energy={"country": "DEU"})).cells


def _instructions(monkeypatch):
    """The format of the benchmark nano becomes one of tasks that cannot be completed directly."""
    monkeypatch.setattr(
        NanoBenchmark, "prompt_format", lambda self, settings: BIGCODEBENCH_INSTRUCT_FORMAT
    )


@pytest.mark.parametrize("style", ["stripped", "as_is"])
def test_tasks_in_words_are_only_asked_by_chat(tmp_path, monkeypatch, style):
    path = _file(tmp_path, prompts=[style])
    assert load_grid(path).cells
    _instructions(monkeypatch)
    with pytest.raises(CodewattError) as refused:
        load_grid(path)
    assert str(refused.value) == (
        f"{path}: prompts: {style!r}: the tasks of benchmark 'nano' are instructions, which cannot "
        "be completed directly; allowed: chat, or exclude the pair"
    )


def test_tasks_in_words_need_a_model_with_a_chat_template(tmp_path, monkeypatch):
    path = _file(tmp_path, prompts=["chat"], evaluation={})
    assert load_grid(path).cells
    _instructions(monkeypatch)
    with pytest.raises(CodewattError, match="model 'one' has no chat template"):
        load_grid(path)
    hub = {"source": "hub", "repo": "a/b", "revision": "0" * 40}
    models = [{"id": model["id"], **hub} for model in SMALL["models"]]
    assert load_grid(_file(tmp_path, prompts=["chat"], evaluation={}, models=models)).cells


def _hub(**changes):
    return {"id": "one", "source": "hub", "repo": "a/b", "revision": "0" * 40} | changes


@pytest.mark.parametrize(
    ("model", "revision"),
    [
        (_hub(revision="main"), "main"),
        (_hub(revision="step10000"), "step10000"),
        (_hub(revision="abcdef0"), "abcdef0"),
        ({key: value for key, value in _hub().items() if key != "revision"}, "main"),
        (
            {
                "id": "one",
                "source": "gguf",
                "file": {"source": "hub", "repo": "a/b", "revision": "v1", "name": "m.gguf"},
            },
            "v1",
        ),
    ],
    ids=["branch", "training step", "short", "absent", "gguf"],
)
def test_a_model_without_a_commit_can_be_planned_but_not_run(tmp_path, model, revision):
    path = _file(tmp_path, models=[model, _hub(id="two")])
    with pytest.raises(CodewattError) as refused:
        check_pinned(load_grid(path))
    assert str(refused.value) == (
        f"{path}: model 'one': revision '{revision}' is not a commit; allowed: 40 hex digits; on a "
        f"machine with a network, `codewatt pin {path}` writes them"
    )
    check_pinned(load_grid(_file(tmp_path, models=[_hub(), _hub(id="two")])))
    # A model of which no cell is left is not downloaded.
    check_pinned(
        load_grid(_file(tmp_path, models=[model, _hub(id="two")], exclude=[{"model": "one"}]))
    )


def _named(length):
    """The small study whose longest cell's id has so many bytes."""
    study = copy.deepcopy(SMALL)
    study["precisions"][0]["id"], study["benchmarks"][0]["id"] = "p" * 48, "b" * 48
    study["baseline"]["precision"], study["exclude"] = "p" * 48, []
    study["hardware"], study["device"] = ["h"], "cuda"
    found = Grid(validate(Study, study, "x"))
    missing = length - max(len(cell.id) for cell in (*found.cells, *found.twins.values()))
    for index, kind in ((0, "models"), (0, "prunes")):
        more = min(missing, 44)
        study[kind][index]["id"] += "x" * more
        missing -= more
    study["hardware"] = ["h" * (1 + missing)]
    study["baseline"]["prune"] = study["prunes"][0]["id"]
    return study


@pytest.mark.parametrize("length", [240, 250, 251, 252, 255, 262])
def test_ids_are_refused_just_when_the_file_system_refuses_their_names(tmp_path, length):
    path = _file(tmp_path, **_named(length))
    grid = Grid(validate(Study, yaml.safe_load(path.read_text()), "x"))
    names = [cell.id for cell in (*grid.cells, *grid.twins.values())]
    assert max(map(len, names)) == length
    try:
        for name in names:
            (tmp_path / name).mkdir()
            (tmp_path / f"{name}.log").touch()
        taken = True
    except OSError:
        taken = False
    assert taken == (length <= 251)
    if taken:
        check_names(load_grid(path), Paths(tmp_path / "results"))
        return
    with pytest.raises(CodewattError, match=f"file name of {length + 4} bytes") as refused:
        load_grid(path)
    assert "precision 48, " in str(refused.value)
    assert str(refused.value).endswith("allowed: 255 bytes; use shorter ids")


def test_a_study_with_the_folder_of_the_published_page_is_refused(tmp_path):
    with pytest.raises(CodewattError, match=r"study.yaml: study: 'published' is the folder"):
        load_grid(_file(tmp_path, study="published"))


def test_a_results_directory_is_checked_for_its_path(tmp_path):
    grid = load_grid(_file(tmp_path))
    deep = Path("/", *["d" * 200] * 20)
    with pytest.raises(
        CodewattError, match=r"results: .* longest path has \d+ bytes; allowed: 4095"
    ):
        check_names(grid, Paths(deep))
    (tmp_path / "file").write_text("")
    with pytest.raises(CodewattError, match=r"file is a file; allowed: a directory"):
        check_names(grid, Paths(tmp_path / "file" / "results"))
    check_names(grid, Paths(Path("results")))


def _model(**configuration):
    return lambda folder: (folder / "config.json").write_text(json.dumps(configuration))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (None, r"models\[0\]\.path: .*m: no such directory"),
        (
            lambda folder: None,
            r"models\[0\]\.path: .*m: the directory has no config\.json; allowed: a directory",
        ),
        (
            _model(model_type="llama", max_position_embeddings=24),
            "token_limits: 24: the context of model 'one' has 24 tokens, which leaves none "
            "for the prompt",
        ),
        (
            lambda folder: (folder / "config.json").write_text('{"n_positions": '),
            r"config\.json: not readable as JSON",
        ),
        (_model(model_type="llama", max_position_embeddings=25), None),
        (_model(model_type="mamba"), None),
    ],
)
def test_a_model_that_is_here_is_looked_at(tmp_path, make, said):
    models = [{"id": "one", "source": "path", "path": str(tmp_path / "m")}, SMALL["models"][1]]
    if make is not None:
        (tmp_path / "m").mkdir()
        make(tmp_path / "m")
    path = _file(tmp_path, models=models)
    if said is None:
        assert load_grid(path).cells
        return
    with pytest.raises(CodewattError, match=said) as refused:
        load_grid(path)
    assert "\n" not in str(refused.value)


def test_a_text_that_is_not_there_is_named(tmp_path):
    text = {"id": "t", "source": "file", "path": str(tmp_path / "t.txt"), "tokens": 64}
    path = _file(tmp_path, corpora=[text], fidelity={"corpus": "t"})
    with pytest.raises(
        CodewattError, match=r"study\.yaml: corpora\[0\]\.path: .*t\.txt: no such file"
    ):
        load_grid(path)
    os.mkfifo(text["path"])
    with pytest.raises(CodewattError, match="is not a regular file"):
        load_grid(path)


@pytest.mark.parametrize("python", ["/tmp/my venv/bin/python", "/tmp/$x/python", "/a'b/python"])
def test_a_python_that_a_shell_takes_apart_is_refused(python):
    with pytest.raises(CodewattError, match="cannot start jobs with this Python, because its path"):
        check_locations(python, "/co")
    check_locations("/tmp/my-venv_3.11/bin/python", "/a checkout")
    with pytest.raises(
        CodewattError, match="contains a brace, which Snakemake takes for a wildcard"
    ):
        check_locations("/usr/bin/python", "/a {x}/checkout")


def test_a_study_of_the_checkout_is_found_from_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "a.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert in_checkout("a.yaml", "checkout") == "checkout/a.yaml"
    (tmp_path / "a.yaml").touch()
    assert in_checkout("a.yaml", "checkout") == "a.yaml"
    assert in_checkout("absent.yaml", "checkout") == "absent.yaml"


@pytest.mark.parametrize("config", [{}, {"model_type": 3}, {"model_type": ""}])
def test_an_architecture_without_a_name_is_refused(tmp_path, config):
    models = [{"id": "one", "source": "architecture", "config": config}, SMALL["models"][1]]
    with pytest.raises(CodewattError, match=r"models\[0\]\.config\.model_type: required, but abse"):
        load_grid(_file(tmp_path, models=models))


def test_a_token_limit_leaves_room_for_a_prompt(tmp_path):
    """Of models whose context the study says; nano's is 256."""
    said = (
        "token_limits: 256: the context of model 'one' has 256 tokens, which leaves none for "
        "the prompt; allowed: "
        "below 256, or exclude the pair"
    )
    with pytest.raises(CodewattError, match=said):
        load_grid(_file(tmp_path, token_limits=[24, 255, 256]))
    exclude = [*SMALL["exclude"], {"token_limit": 256}]
    limits = _file(tmp_path, token_limits=[24, 255, 256], exclude=exclude)
    assert {cell.token_limit for cell in load_grid(limits).cells} == {24, 255}
    config = {"model_type": "gpt2", "n_positions": 24, "n_layer": 3}
    random = {"id": "one", "source": "architecture", "config": config}
    with pytest.raises(
        CodewattError, match="token_limits: 24: the context of model 'one' has 24 tokens"
    ):
        load_grid(_file(tmp_path, models=[random, SMALL["models"][1]]))


@pytest.mark.parametrize("length", [247, 248])
def test_the_names_of_later_sessions_count_too(tmp_path, length):
    """The twin's id is the longest of one session: the ids of a tenth session are as long."""
    study = {**_named(length), "sessions": 10}
    longest = max(len(cell.id) for cell in Grid(validate(Study, study, "x")).measured_cells)
    path = _file(tmp_path, **study)
    if longest <= 251:
        assert load_grid(path).cells
        return
    with pytest.raises(CodewattError, match=f"file name of {longest + 4} bytes"):
        load_grid(path)


def test_the_command_counts_cells_and_sessions(tmp_path, capsys):
    assert main(["study", str(_file(tmp_path, sessions=3))]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 4
    assert printed.err == "small: 2 models, 4 variants, 4 cells in 3 sessions each\n"
