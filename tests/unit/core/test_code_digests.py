"""A module's digest follows what it does; a stage depends on what its script reaches."""

import pytest

from codewatt import code_digests, module_sources
from codewatt.files import read_json


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A little codewatt: two stages over three modules."""
    files = {
        "codewatt/__init__.py": "",
        "codewatt/low.py": '"""Doc."""\n\ndef low():\n    """Doc."""\n    return 1  # why\n',
        "codewatt/mid.py": "def mid():\n    from codewatt.low import low\n    return low()\n",
        "codewatt/family/__init__.py": "",
        "codewatt/family/one.py": "ONE = 1\n",
        "codewatt/family/two.py": "from codewatt.mid import mid\nTWO = mid()\n",
        "script.py": "from codewatt.mid import mid\nimport json\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(code_digests, "_SOURCE", tmp_path)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module_sources._file.cache_clear()

    def code(*members):
        _look_again()
        return dict(
            line.split() for line in code_digests.stage_code(tmp_path / "script.py", members)
        )

    yield tmp_path, code
    _look_again()
    module_sources._file.cache_clear()


def _look_again():
    """Forget what this process knows of the files."""
    module_sources.forget_answers()
    for cached in (code_digests._imports, code_digests._file_of):
        cached.cache_clear()


def test_a_stage_reaches_modules_through_imports(package):
    _, code = package
    assert set(code()) == {"script.py", "codewatt", "codewatt.mid", "codewatt.low"}
    assert set(code("codewatt.family.one")) - set(code()) == {"codewatt.family.one"}


def test_comments_docstrings_and_blank_lines_change_nothing(package):
    root, code = package
    before = code()
    (root / "codewatt/low.py").write_text("def low():\n\n    'Ä\\\n    other.'\n    return 1 # ü\n")
    assert code() == before


def test_an_edit_changes_its_module_alone(package):
    root, code = package
    before = code()
    (root / "codewatt/low.py").write_text("def low():\n    return 2\n")
    after = code()
    assert {name for name in before if before[name] != after[name]} == {"codewatt.low"}


def test_a_member_that_is_not_named_does_not_count(package):
    root, code = package
    before = code("codewatt.family.one")
    (root / "codewatt/family/two.py").write_text("TWO = 3\n")
    assert code("codewatt.family.one") == before


def test_a_second_start_parses_no_file_again(package, monkeypatch):
    _, code = package
    first = code()
    monkeypatch.setattr(module_sources.ast, "parse", None)
    assert code() == first


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"0": 1}', '{"0": ["0", null]}', "\0"])
def test_a_damaged_cache_changes_no_answer(package, text):
    _, code = package
    first = code()
    module_sources._file().write_text(text)
    assert code() == first
    assert code() == first


def test_a_cache_that_cannot_be_written_changes_no_answer(package, monkeypatch):
    root, code = package
    first = code()
    (root / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "file"))
    module_sources._file.cache_clear()
    assert code() == first


def test_answers_of_old_versions_are_dropped(package, monkeypatch):
    root, code = package
    monkeypatch.setattr(module_sources, "_MOST_KEPT", 10)
    for number in range(12):
        (root / "codewatt/low.py").write_text(f"LOW = {number}\n")
        code()
    assert len(read_json(module_sources._file())) <= 10


def test_measured_stages_do_not_depend_on_what_comes_after_them(repository):
    """Editing how joules are computed, tables or figures must not re-run GPU work."""
    scripts = repository / "workflow" / "scripts"
    for stage in ("quantise", "generate", "train_nano", "fetch_model"):
        reached = {line.split()[0] for line in code_digests.stage_code(scripts / f"{stage}.py")}
        late = (
            "codewatt.analysis",
            "codewatt.plots",
            "codewatt.config",
            "codewatt.cells",
            "codewatt.grid",
            "codewatt.paths",
        )
        assert not [name for name in reached if name.startswith(late)], stage
        assert "codewatt.energy.cell_energy" not in reached, stage
