"""Generated pages are those of the code, and what the documentation names exists."""

import re
from pathlib import Path

from codewatt.cli import command_parser
from codewatt.cli_reference import command_line_page
from codewatt.paths import Paths

PATHS = Paths(Path())
#: Names in CONTRIBUTING.md that stand for a name of the reader's choice.
INVENTED_NAMES = {"open_NAME", "SOME_CHECK", "min_repeats"}
#: Files that do not exist until somebody follows the example of CONTRIBUTING.md.
ADDED_BY_THE_EXAMPLE = (
    "src/codewatt/quantise/rounded.py",
    "tests/unit/compression/test_rounded.py",
)
#: Name and body of each rule of a .smk file.
_RULE = re.compile(
    r"^ *(?:rule|checkpoint|use rule \w+ as) (\w+)(?: with)?:\n"
    r"(.*?)(?=^ *(?:rule|checkpoint|use rule) |\Z)",
    re.MULTILINE | re.DOTALL,
)


def test_the_command_line_page_is_that_of_the_parser(repository):
    """On failure: make reference."""
    page = repository / "docs" / "reference" / "command-line.md"
    assert page.read_text() == command_line_page(command_parser())


def rules(repository):
    """Rule -> (script, wildcards of its log, output paths), as workflow/rules says."""
    found = {}
    for path in sorted((repository / "workflow" / "rules").glob("*.smk")):
        for name, body in _RULE.findall(path.read_text()):
            script = re.search(r'"\.\./scripts/(\w+)\.py"', body)
            log = re.search(rf'paths\.log\("{name}"(?:, "([^"]*)")?', body)
            output = re.search(r"^ *output:\n(.*?)^ *log:", body, re.MULTILINE | re.DOTALL)
            calls = re.findall(r'paths\.(\w+)\(("[^"]*")?\)', output[1]) if output else []
            found[name] = (
                script[1] if script else None,
                re.findall(r"{(\w+)}", log[1] or ""),
                [
                    getattr(PATHS, kind)(*([text.strip('"')] if text else []))
                    for kind, text in calls
                ],
            )
    return found


def table(repository):
    """The rows of CONTRIBUTING.md's table of rules, each cell without its backticks."""
    text = (repository / "CONTRIBUTING.md").read_text()
    lines = text.split("<!-- rules begin -->")[1].split("<!-- rules end -->")[0].splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "|" in line
    ]
    return [[re.findall(r"`([^`]+)`", cell) for cell in row] for row in rows[2:]]


def test_the_table_of_rules_is_that_of_the_workflow(repository):
    defined = rules(repository)
    rows = table(repository)
    assert sorted(name for (name,), *_ in rows) == sorted(defined)
    for (name,), (script,), (module,), wildcards, outputs in rows:
        own_script, own_wildcards, own_outputs = defined[name]
        assert own_script in (None, script), name
        assert wildcards == own_wildcards, name
        # Figures are named by a function; the table shows one pattern for them.
        assert own_outputs in ([], outputs), name
        package, _, stem = module.rpartition("/")
        imported = f"codewatt.{package.replace('/', '.')}"
        text = (repository / "workflow" / "scripts" / f"{script}.py").read_text()
        assert f"from {imported}.{stem} import" in text or (
            re.search(rf"from {imported} import .*\b{stem}\b", text)
        ), f"{name}: {script}.py does not import {module}"
        assert (repository / "src" / "codewatt" / f"{module}.py").is_file(), module


def test_links_of_the_pages_outside_docs_lead_to_files(repository):
    """Sphinx checks the links inside docs."""
    for page in ("README.md", "CONTRIBUTING.md", "results/README.md"):
        text = (repository / page).read_text()
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not target.startswith("http"):
                assert ((repository / page).parent / target).exists(), f"{page}: {target}"


def test_code_that_the_documentation_names_exists(repository):
    """Modules, rules and packages in backticks; the archive describes older code."""
    files = [
        path.relative_to(repository).as_posix()
        for folder in ("src", "workflow", "tests", "tools", "benchmarks")
        for path in (repository / folder).rglob("*.*")
    ]
    files += ADDED_BY_THE_EXAMPLE
    pages = [*(repository / "docs").rglob("*.md"), repository / "README.md"]
    for page in [*pages, repository / "CONTRIBUTING.md"]:
        if "archive" in page.parts or "_build" in page.parts:
            continue
        for name in re.findall(r"`([\w/.-]+\.(?:py|smk))`", page.read_text()):
            if re.search(r"[A-Z]{4}", name):  # METHOD, KIND: any member of a family
                continue
            assert any(f"/{file}".endswith(f"/{name}") for file in files), f"{page}: {name}"
        for name in re.findall(r"`(codewatt(?:\.\w+)+)`", page.read_text()):
            parts = name.replace(".", "/")
            owner = parts.rpartition("/")[0]
            places = (f"src/{parts}.py", f"src/{parts}/__init__.py", f"src/{owner}.py")
            assert any(place in files for place in places), f"{page}: {name}"


def test_names_of_code_that_contributing_names_exist(repository):
    """Functions, classes, constants and keys in backticks, also those of its own examples."""
    text = (repository / "CONTRIBUTING.md").read_text()
    code = re.findall(r"^ *```.*?^ *```", text, re.M | re.S)
    code.append((repository / "Snakefile").read_text())
    for folder in ("src", "workflow", "tests", "tools"):
        for path in (repository / folder).rglob("*"):
            if path.suffix in {".py", ".smk", ".sh"} and path.name != Path(__file__).name:
                code += [path.stem, path.read_text()]
    known = set(re.findall(r"\w+", "\n".join(code)))
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    names = re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*)?`", prose)
    for name in {part for dotted in names for part in dotted.split(".")}:
        if re.search(r"_|[a-z][A-Z]", name) and name not in INVENTED_NAMES:
            assert name in known, f"CONTRIBUTING.md: {name}"


def test_every_page_that_a_file_names_exists(repository):
    """Comments, messages and settings name pages by their paths under docs."""
    for folder in ("src", "workflow", "tests", "tools", "config", "profiles", "requirements"):
        for path in sorted((repository / folder).rglob("*")):
            if path.suffix not in {".py", ".smk", ".yaml", ".json", ".in", ".csv", ".sh", ".rst"}:
                continue
            for page in re.findall(r"docs/[\w/-]+\.md", path.read_text(errors="ignore")):
                assert (repository / page).is_file(), f"{path}: {page}"
