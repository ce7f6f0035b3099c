"""Two sessions, killed in the second and resumed: drawn order, nothing measured twice."""

import subprocess
import time

import pytest

from codewatt.config.load_study import load_study
from codewatt.files import check_files, read_json, read_jsonl
from codewatt.grid import Grid
from codewatt.session_order import drawn_positions, in_drawn_order
from tests.support.patience import PATIENCE_S
from tests.support.workbench import SMALL, Workbench, jobs_in

pytestmark = pytest.mark.e2e

# Drawn by seed 0: two orders that differ from each other and from that of the grid.
STUDY = {
    **SMALL,
    "study": "twice",
    "models": [{**SMALL["models"][0], "steps": 110}],
    "benchmarks": [{"id": "nano", "kind": "nano", "tasks": 4}],
    "token_limits": [12],
    "decoding": {"repeats": 1},
    "exclude": [{"precision": "int8", "prune": "last1"}],
    "sessions": 2,
    "order_seed": 0,
}


@pytest.fixture(scope="module")
def resumed(repository, tmp_path_factory):
    """(the copy after the resumed run, times of the cells before it, what the resumed run said)."""
    bench = Workbench(repository, tmp_path_factory.mktemp("sessions"))
    bench.write_study(STUDY)
    drawn = in_drawn_order(_grid(bench).measured_cells, 0)
    _kill_while_generating(bench, drawn[4])
    before = _measured(bench)
    return bench, before, bench.snakemake("--cores", "all", "energy_all").stdout


def _grid(bench):
    return Grid(load_study(bench.study_file))


def _kill_while_generating(bench, cell):
    """Start the study and kill Snakemake while it measures a cell."""
    run = subprocess.Popen(
        bench.command("--cores", "all", "energy_all"),
        cwd=bench.root, env=bench.environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = bench.root / "results/twice/logs/generate" / f"{cell.id}.log"
    deadline = time.monotonic() + PATIENCE_S
    while not log.exists():
        assert run.poll() is None, "the study ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    run.kill()
    run.wait(timeout=PATIENCE_S)


def _measured(bench):
    """Id of each measured cell -> its record, with when it began."""
    found = {}
    for path in (bench.root / "results/twice/cells").glob("*/generate.json"):
        record = read_json(path)
        start_s = min(window["start_s"] for window in record["windows"])
        found[path.parent.name] = (start_s + record["epoch_offset_s"], record)
    return found


def _started(bench):
    """Ids of the measured cells, the first measured first."""
    measured = _measured(bench)
    return sorted(measured, key=lambda name: measured[name][0])


def test_the_drawn_orders_differ_from_the_grid_and_from_each_other(resumed):
    """Or the tests below would prove nothing."""
    ids = [cell.id for cell in _grid(resumed[0]).cells]
    first, second = (drawn_positions(ids, 0, session) for session in (1, 2))
    orders = [ids, sorted(ids), sorted(ids, key=first.get), sorted(ids, key=second.get)]
    assert orders[2] not in orders[:2]
    assert orders[3] not in orders[:3]


def test_cells_were_measured_in_the_drawn_order_of_each_session(resumed):
    bench, _, _ = resumed
    drawn = [cell.id for cell in in_drawn_order(_grid(bench).measured_cells, 0)]
    assert _started(bench) == drawn


def test_nothing_was_done_between_two_cells_of_a_session(resumed):
    """Of one run: all is prepared before the first cell, all is judged after the last."""
    _, _, said = resumed
    order = jobs_in(said)
    rules = [rule for rule, _ in order]
    cells = [at for at, rule in enumerate(rules) if rule == "generate"]
    assert rules[cells[0] : cells[-1] + 1] == ["generate"] * len(cells)
    judged = [at for at, rule in enumerate(rules) if rule == "evaluate"]
    assert min(judged) > max(cells)


def test_the_first_session_was_judged_before_the_second_began(resumed):
    bench, _, _ = resumed
    first = {cell.id for cell in _grid(bench).cells}
    begins = min(start_s for name, (start_s, _) in _measured(bench).items() if name not in first)
    for name in first:
        path = bench.root / "results/twice/cells" / name / "evaluate.json"
        assert path.stat().st_mtime < begins


def test_the_resumed_run_measured_exactly_what_was_missing(resumed):
    bench, before, said = resumed
    drawn = [cell.id for cell in in_drawn_order(_grid(bench).measured_cells, 0)]
    assert set(before) == set(drawn[:4])
    assert [name for rule, name in jobs_in(said) if rule == "generate"] == drawn[4:]
    after = _measured(bench)
    assert {name: after[name] for name in before} == before
    assert not {rule for rule, _ in jobs_in(said)} & {"train_nano", "quantise"}


def test_sessions_are_the_same_in_all_that_is_not_measured(resumed):
    """Greedy decoding: the same completions, verdicts, counts and identities in both sessions."""
    bench, _, _ = resumed
    cells = bench.root / "results/twice/cells"
    for cell in _grid(bench).cells:
        pair = [cells / each.id for each in (cell, cell.in_session(2))]
        told = [list(read_jsonl(path / "completions.jsonl.gz")) for path in pair]
        assert told[0] == told[1]
        verdicts = [_verdicts(path) for path in pair]
        assert verdicts[0] == verdicts[1]
        ids = [read_json(path / "generate.json")["cell"] for path in pair]
        assert [each["session"] for each in ids] == [1, 2]
        assert {each["design_id"] for each in ids} == {cell.id}
        for path in pair:
            check_files(path, read_json(path / "generate.json")["files"])


def _verdicts(cell):
    """The verdicts on a cell's completions, without the times at which they were given."""
    keys = ("task_id", "repeat", "sample", "base", "plus", "why")
    verdicts = read_json(cell / "evaluate.json")["verdicts"]
    return [tuple(verdict[key] for key in keys) for verdict in verdicts]


def test_a_third_session_runs_exactly_its_jobs(resumed):
    bench, _, _ = resumed
    bench.write_study({**STUDY, "sessions": 3})
    try:
        planned = bench.would_run("energy_all")
    finally:
        bench.write_study(STUDY)
    third = [cell.in_session(3).id for cell in _grid(bench).cells]
    rules = ("generate", "evaluate", "measure_energy")
    assert planned == {(rule, name) for rule in rules for name in third}


def test_nothing_is_left_to_do(resumed):
    assert resumed[0].would_run("energy_all") == set()
