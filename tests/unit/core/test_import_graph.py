"""Rooms import lower rooms only, and no room imports a private name of another."""

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import codewatt

PACKAGE = Path(codewatt.__file__).parent
#: From the lowest to the highest. A room is a folder, or a module that is in none. Rooms on one
#: line may import each other, so long as there is no circle.
ROOMS = (
    ("errors", "units", "gpu_uuids", "sampler_settings", "nano_settings", "cpu_quota"),
    ("cache_directory", "error_messages", "untrusted_files", "files", "parquet"),
    (
        "run_lock",
        "logs",
        "provenance",
        "record_files",
        "rule_io",
        "module_sources",
        "code_digests",
        "slurm",
    ),
    ("config", "paths"),
    ("cells", "grid"),
    ("prune_chains", "session_order", "blocks", "id_patterns"),
    ("models", "benchmarks", "nano", "corpora", "sizing"),
    ("layer_count_check", "energy"),
    ("prune", "quantise", "fidelity", "generate", "evaluate"),
    (
        "analysis",
        "published",
        "plots",
        "explorer",
        "preflight",
        "estimate",
        "placement",
        "group_size_check",
        "gguf_model_check",
    ),
    ("replication",),
    ("cli_reference",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of each import of the package; the name is '' for `import module`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def room(module: str) -> str:
    """The room of codewatt.ROOM or codewatt.ROOM.module."""
    return module.split(".")[1]


def found() -> Iterator[tuple[str, str, str]]:
    """(file, module, name) of each import of one room by another."""
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        own = relative.parts[0].removesuffix(".py")
        for module, name in imports(path):
            if module == "codewatt":
                module, name = f"codewatt.{name}", ""
            if module.startswith("codewatt.") and room(module) != own:
                yield str(relative), module, name


def own_room(file: str) -> str:
    return Path(file).parts[0].removesuffix(".py")


def test_every_room_has_a_level() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__", "py.typed"} == set(LEVEL), "list it in ROOMS"
    assert sum(map(len, ROOMS)) == len(LEVEL), "a room is listed twice"


def test_no_import_goes_up() -> None:
    upward = [
        f"{file} imports {module}"
        for file, module, _ in found()
        if LEVEL[room(module)] > LEVEL[own_room(file)]
    ]
    assert upward == []


def test_there_is_no_circle_of_rooms() -> None:
    graph: dict[str, set[str]] = {}
    for file, module, _ in found():
        graph.setdefault(own_room(file), set()).add(room(module))
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the rooms


def test_no_private_name_crosses_rooms() -> None:
    private = [
        f"{file} imports {module}.{name}"
        for file, module, name in found()
        if any(part.startswith("_") for part in (*module.split("."), name))
    ]
    assert private == []


def test_the_documented_levels_are_these(repository: Path) -> None:
    page = (repository / "docs" / "explanation" / "architecture.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [tuple(re.findall(r"`(\w+)`", row[2])) for row in rows] == list(ROOMS)
