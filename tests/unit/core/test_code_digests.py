"""A module's digest follows what it does; a stage depends on what its script reaches."""

import pytest

from codewatt import code_digests


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

    def code(*members):
        for cached in (code_digests._digest, code_digests._imports, code_digests._file_of):
            cached.cache_clear()
        return dict(
            line.split() for line in code_digests.stage_code(tmp_path / "script.py", members)
        )

    yield tmp_path, code
    code()


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
