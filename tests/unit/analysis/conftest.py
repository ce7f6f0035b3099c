"""Result files of a small study that never ran, in the formats that the stages write."""

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.tables import to_rows
from codewatt.files import describe_files, write_json, write_jsonl
from tests.support.records import (
    evaluate_record,
    generate_record,
    infeasible_generate_record,
    variant_record,
    window,
)

CODE = ["stage.py aaaa", "codewatt.files bbbb"]
COMPONENTS = {
    "gpu": {"status": "unavailable", "method": "none", "detail": "no NVML"},
    "cpu": {"status": "modelled", "method": "CodeCarbon", "detail": None},
    "dram": {"status": "modelled", "method": "CodeCarbon", "detail": None},
    "node": {"status": "modelled", "method": "cpu + dram", "detail": None},
    "job": {"status": "modelled", "method": "cpu + dram", "detail": None},
}
Json = dict[str, Any]


def joules(cpu: float, dram: float) -> Json:
    """Energy by component on a machine without a GPU."""
    return {"gpu": None, "cpu": cpu, "dram": dram, "node": cpu + dram, "job": (cpu + dram) / 2}


#: The energy of a stage that had nothing to do.
PARTS = ("gpu", "cpu", "dram", "node", "job")
NOTHING: Json = {
    "energy_j": dict.fromkeys(PARTS),
    "energy_status": dict.fromkeys(PARTS),
    "energy_note": None,
}


class Study:
    """Builds cells and variants below a folder; `cells` and `variants` are aggregate's input."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells: list[Json] = []
        self.variants: list[Json] = []
        #: The energy of quantising each variant that has windows, and of scoring its layers.
        self.making: Json = NOTHING

    def variant(
        self, precision: str = "fp32", model: str = "nano", scored: bool = False, **changes: Any
    ) -> Path:
        """Add a variant's manifest and making_energy.json; `changes` replaces parts of the former.

        Args:
            scored: the variant was pruned by layer scores, which took 2.5 s.
        """
        ids = {"model": model, "prune": "none", "precision": precision}
        path = self.folder / f"{model}-{precision}-manifest.json"
        manifest = variant_record(
            variant=ids,
            parameters=760_000,
            size_bytes=3_040_000 if precision == "fp32" else 1_000_000,
            windows=[],
            code=CODE,
        )
        write_json(path, manifest | changes)
        made = self.making if changes.get("windows", [{}]) else NOTHING
        making = {
            "schema": 2,
            "variant": ids,
            "quantise": {"duration_s": manifest["duration_s"], **made},
            "score_layers": {"duration_s": 2.5, **self.making} if scored else None,
            "code": CODE,
        }
        making_path = path.with_name(f"{model}-{precision}-making_energy.json")
        write_json(making_path, making)
        named = {"id": f"{model}--none--{precision}", **ids}
        self.variants.append({"variant": named, "manifest": path, "making_energy": making_path})
        return path

    def infeasible(self, precision: str, reason: str) -> None:
        """Add a cell that cannot run."""
        entry = self._entry(precision, "nano")
        record = infeasible_generate_record(cell=entry["cell"], reason=reason, code=CODE)
        write_json(entry["generate"], record)
        self.cells.append(entry)

    def cell(
        self,
        precision: str = "fp32",
        solved: tuple[str, ...] = ("t0", "t1", "t2"),
        tasks: int = 4,
        samples: int = 1,
        joules_per_run: tuple[float, ...] = (100.0, 110.0, 120.0),
        model: str = "nano",
        edit: Callable[[dict[str, Any]], None] | None = None,
        engine: str = "transformers",
        tokens: Callable[[int, int, str], list[int]] | None = None,
        texts: Callable[[int, int, str], str] = lambda r, s, t: f"return {t}{s}",
        session: int = 1,
    ) -> Json:
        """Add a cell. solved: tasks that pass plus tests; base tests also let the last task pass.

        edit: changes the files' contents {"generate", "evaluate", "energy"} before they are
        written. tokens: the new tokens of (repeat, sample, task); None for a cell of before they
        were kept. texts: the completion of (repeat, sample, task). session: that measures it.
        """
        entry = self._entry(precision, model, engine, session)
        repeats = len(joules_per_run)
        keys = [
            (r, s, f"t{t}") for r in range(repeats) for s in range(samples) for t in range(tasks)
        ]
        self._write_tasks(entry, keys, tokens)
        write_jsonl(
            entry["completions"],
            (
                {"task_id": t, "repeat": r, "sample": s, "completion": texts(r, s, t)}
                for r, s, t in keys
            ),
        )
        contents = {
            "generate": self._generate(entry, repeats),
            "evaluate": self._evaluate(keys, solved, tasks, repeats),
            "energy": self._energy(entry, joules_per_run),
        }
        if edit is not None:
            edit(contents)
        for name, content in contents.items():
            write_json(entry[name], content)
        self.cells.append(entry)
        return entry

    def _entry(
        self, precision: str, model: str, engine: str = "transformers", session: int = 1
    ) -> Json:
        later = f"--s{session}" if session > 1 else ""
        folder = self.folder / f"{model}-{precision}-{engine}{later}"
        folder.mkdir()
        variant = f"{model}--none--{precision}"
        ids = {
            "id": f"{variant}--held--stripped--t64--b1--{engine}{later}",
            "design_id": f"{variant}--held--stripped--t64--b1--{engine}",
            "session": session,
            "variant": variant,
            "model": model,
            "prune": "none",
            "precision": precision,
            "benchmark": "held",
            "prompt": "stripped",
            "token_limit": 64,
            "batch_size": 1,
            "engine": engine,
            "hardware": None,
        }
        files = {name: folder / f"{name}.json" for name in ("generate", "evaluate", "energy")}
        files["tasks"] = folder / "tasks.parquet"
        files["completions"] = folder / "completions.jsonl.gz"
        return {"cell": ids, "prune_layers": 0, **files}

    def _write_tasks(
        self,
        entry: Json,
        keys: list[tuple[int, int, str]],
        tokens: Callable[[int, int, str], list[int]] | None,
    ) -> None:
        rows = [
            {
                "repeat": r,
                "sample": s,
                "task_id": t,
                "batch": i,
                "prompt_tokens": 20,
                "new_tokens": 10,
                "start_s": 100.0 + i,
                "first_token_s": 100.1 + i,
                "end_s": 100.5 + i,
                "stop_reason": "eos",
                **({} if tokens is None else {"tokens": tokens(r, s, t)}),
            }
            for i, (r, s, t) in enumerate(keys)
        ]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), entry["tasks"])

    def _generate(self, entry: Json, repeats: int) -> Json:
        described = describe_files(entry["tasks"].parent)
        return generate_record(
            cell=entry["cell"],
            repeats=repeats,
            files={"tasks.parquet": described["tasks.parquet"]},
            code=CODE,
        )

    def _evaluate(
        self, keys: list[tuple[int, int, str]], solved: tuple[str, ...], tasks: int, repeats: int
    ) -> Json:
        also = (*solved, f"t{tasks - 1}")
        share = {"base": len(set(also)) / tasks, "plus": len(solved) / tasks}
        return evaluate_record(
            by_repeat=[
                {"repeat": r, **{k: {"1": v, "5": v, "10": v} for k, v in share.items()}}
                for r in range(repeats)
            ],
            verdicts=[
                {
                    "repeat": r,
                    "sample": s,
                    "task_id": t,
                    "base": "pass" if t in also else "fail",
                    "plus": "pass" if t in solved else "fail",
                    "why": None,
                    "program": i,
                    "start_s": 200.5,
                    "end_s": 203.0,
                    "cpu_s": 0.1,
                }
                for i, (r, s, t) in enumerate(keys)
            ],
            windows=[window("evaluate", 200.0, 203.5)],
            code=CODE,
        )

    def _energy(self, entry: Json, joules_per_run: tuple[float, ...]) -> Json:
        return {
            "schema": 4,
            "windows": [],
            "cell": entry["cell"],
            "components": deepcopy(COMPONENTS),
            "boundary": "node",
            "allocation": {"processors_held": 4, "processors": 8, "share": 0.5},
            "sampler": {"cpu_share": 0.1, "max_rss_bytes": None},
            "baseline": {
                "idle_unloaded_w": {"gpu": None, "cpu": 3.0, "dram": 1.0},
                "idle_loaded_w": {"gpu": None, "cpu": 4.0, "dram": 1.0},
                "idle_after_w": {"gpu": None, "cpu": 4.0, "dram": 1.0},
                "idle_w": {"gpu": None, "cpu": 4.0, "dram": 1.0},
            },
            "runs": [
                {
                    "repeat": repeat,
                    "duration_s": 4.0,
                    "energy_j": joules(0.75 * total, 0.25 * total),
                    "uncertainty_j": joules(0.75, 0.25),
                    "net_energy_j": joules(0.5 * total, 0.0),
                    "net_uncertainty_j": {},
                    "prefill_uncertainty_j": {},
                    "decode_uncertainty_j": {},
                    "net_note": None,
                    "prefill_energy_j": joules(0.25 * total, 0.0),
                    "decode_energy_j": joules(0.5 * total, 0.25 * total),
                    "prefill_s": 1.0,
                    "decode_s": 3.0,
                    "alternatives": {},
                }
                for repeat, total in enumerate(joules_per_run)
            ],
            "evaluate": {
                "duration_s": 3.5,
                "energy_j": joules(7.0, 3.0),
                "uncertainty_j": joules(0.5, 0.25),
                "status": {},
                "runs": [
                    {
                        "repeat": repeat,
                        "energy_j": joules(7.0 / len(joules_per_run), 3.0 / len(joules_per_run)),
                        "uncertainty_j": joules(0.25, 0.125),
                        "unshared_energy_j": joules(6.0, 2.0),
                    }
                    for repeat in range(len(joules_per_run))
                ],
                "note": None,
            },
            "load": {"duration_s": 1.0, "energy_j": joules(4.0, 1.0)},
            "warmup": {"duration_s": 0.5, "energy_j": joules(2.0, 1.0)},
            "carbon": {"country": "NLD", "g_per_kwh": 360.0, "source": "test"},
            "checks": [
                {
                    "name": "window_long_enough",
                    "severity": "error",
                    "passed": True,
                    "observed": 4.0,
                    "limit": 1.0,
                    "unit": "s",
                    "repeat": 0,
                    "detail": "",
                }
            ],
            "valid": True,
            "code": CODE,
        }


@pytest.fixture(scope="session")
def script(repository: Path) -> ModuleType:
    """tools/recompute_tables.py, imported."""
    sys.path.insert(0, str(repository / "tools"))
    try:
        import recompute_tables
    finally:
        sys.path.pop(0)
    return recompute_tables


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """An empty study."""
    return Study(tmp_path)


BASELINE = {"precision": "fp32", "prune": "none"}


FP32 = "nano--none--fp32--held--stripped--t64--b1--transformers"


def tables(study: Any, boundary: str = "node") -> dict[str, list[dict[str, Any]]]:
    """The rows of each table of a study; those of tasks as the file has them."""
    tasks = study.folder / "task.parquet"
    made = aggregate(study.cells, study.variants, BASELINE, {"task": tasks}, boundary)
    frames = {"task": pd.read_parquet(tasks), **made}
    return {level: to_rows(table) for level, table in frames.items()}


def two_cells(study: Any) -> dict[str, list[dict[str, Any]]]:
    """The tables of the baseline and of one quantised cell with half of its energy."""
    study.variant("fp32")
    study.variant("int8")
    study.cell("fp32", solved=("t0", "t1", "t2"), joules_per_run=(100.0, 110.0, 120.0))
    study.cell("int8", solved=("t0",), joules_per_run=(50.0, 55.0, 60.0))
    return tables(study)


def fail_repeat_1(contents: dict[str, Any]) -> None:
    """Change the files of a cell: repeat 1 shared its GPU."""
    contents["energy"]["valid"] = False
    contents["energy"]["checks"].append(
        {
            "name": "gpu_not_shared",
            "severity": "error",
            "passed": False,
            "observed": 2,
            "limit": 1,
            "unit": "processes",
            "repeat": 1,
            "detail": "",
        }
    )
