"""Counts what the raw files of de Reus et al. 2024 contain: sample_counts.csv, ear_counts.csv.

Usage: python -m codewatt.published.de_reus_2024.count_files RAW_DIR PROMPTS.jsonl.gz OUT_DIR

RAW_DIR contains samples/, samples_quantised/ and samples_decode/ (the authors' folders in
EvalPlus: completions, and verdicts of EvalPlus; also packed with gzip) and ear_summary.csv (columns
of EvalPlus/ear). PROMPTS is HumanEval+ v0.1.10. Completions and verdicts themselves are not copied.
"""

import argparse
import csv
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import IO, Any

from codewatt.files import write_csv_rows
from codewatt.published.de_reus_2024.build_data import CONFIG, INSIDE, JOB_STEPS, MODELS, config_of

SAMPLE_COLUMNS = (
    *("samples", *CONFIG, "tasks", "base_solved", "plus_solved", "plus_lost", "plus_gained"),
    *("raw_plus_solved", "no_body", "body_solved", "ended"),
)
EAR_COLUMNS = (
    *(*CONFIG, "nodes", "steps", "step_s", "l1_misses", "l2_misses"),
    *("cpu_mhz_low", "cpu_mhz_high", "packages_w_low", "packages_w_high", "node_w_low"),
    *("node_w_high",),
)
_NAME = re.compile(r"samples_(3b|7b|Phi2)_(\d+)(?:_(4bit|8bit))?(?:_(\d))?")
_VERDICTS = "_eval_results.json"
_END = "<|endoftext|>"

Verdicts = dict[str, tuple[bool, bool]]
Row = dict[str, str | int]


def count_samples(raw: Path, prompts: Path) -> list[Row]:
    """Count the completions and verdicts of each run whose files are there.

    Columns: tasks; tasks solved with the base tests, and with base and plus tests, after EvalPlus's
    sanitizer; tasks lost and gained in comparison with the model that is neither quantised nor
    pruned; tasks solved without the sanitizer; completions that write no body for the prompt's
    function: the first line after the prompt that is neither empty nor a comment is not indented;
    tasks solved (base and plus) of those that write one; completions that end before the limit.

    Args:
        raw: directory of the raw files.
        prompts: file of HumanEval+ v0.1.10.

    Raises:
        ValueError: a file name names no run, or a completion does not start with its prompt.
    """
    with gzip.open(prompts, "rt", encoding="utf-8") as lines:
        by_task = {task["task_id"]: task["prompt"] for task in map(json.loads, lines)}
    found = sorted(set(raw.glob(f"samples*/*-sanitized{_VERDICTS}*")))
    sanitized = {_stem(path): path for path in found}
    rows = []
    for name in sorted(sanitized, key=_key):
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"{name}: the file name does not name a run")
        original = f"samples_{match[1]}_{match[2]}"
        verdicts = _verdicts(sanitized[name])
        folder = sanitized[name].parent
        rows.append(
            {
                "samples": f"{folder.name}/{name}",
                "model": MODELS[match[1]],
                "token_limit": match[2],
                "precision": match[3] or "none",
                "layers_pruned": match[4] or "0",
                "tasks": len(verdicts),
                "base_solved": sum(base for base, _ in verdicts.values()),
                "plus_solved": sum(plus for _, plus in verdicts.values()),
                **_changes(verdicts, original in sanitized and _verdicts(sanitized[original])),
                **_without_sanitizer(folder, name),
                **_starts(folder, name, by_task, verdicts),
            }
        )
    return rows


def count_ear(raw: Path, job_steps: Path = JOB_STEPS) -> list[Row]:
    """Summarise EAR's job steps by configuration.

    Columns: nodes; number of steps that ended with a run; means over them of the duration (s) and
    of the L1 and L2 cache misses; lowest and highest mean CPU clock (MHz), power of both packages
    and power of the node (W) of a step.
    """
    logged = {
        (f"{INSIDE}/{row['source']}", row["stepid"]): row for row in _csv(raw / "ear_summary.csv")
    }
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for step in _csv(job_steps):
        groups.setdefault(config_of(step["table"]), []).append(
            logged[step["ear_file"], step["ear_step"]]
        )
    return [_ear_row(config, steps) for config, steps in groups.items()]


def _ear_row(config: tuple[str, ...], steps: list[dict[str, str]]) -> Row:
    def values(name: str) -> list[float]:
        return [float(step[name]) for step in steps]

    clocks, packages = values("avg_cpufreq_khz"), values("pck_power_w")
    nodes = values("dc_node_power_w")
    return {
        **dict(zip(CONFIG, config, strict=True)),
        "nodes": " ".join(sorted({step["nodename"] for step in steps})),
        "steps": len(steps),
        "step_s": f"{fmean(values('time_sec')):.1f}",
        "l1_misses": f"{fmean(values('l1_misses')):.4e}",
        "l2_misses": f"{fmean(values('l2_misses')):.4e}",
        "cpu_mhz_low": f"{min(clocks) / 1000:.0f}",
        "cpu_mhz_high": f"{max(clocks) / 1000:.0f}",
        "packages_w_low": f"{min(packages):.1f}",
        "packages_w_high": f"{max(packages):.1f}",
        "node_w_low": f"{min(nodes):.0f}",
        "node_w_high": f"{max(nodes):.0f}",
    }


def _stem(path: Path) -> str:
    return path.name.partition("-sanitized")[0]


def _key(name: str) -> tuple[str, ...]:
    match = _NAME.fullmatch(name)
    return () if match is None else tuple(part or "" for part in match.groups())


def _open(path: Path) -> IO[str]:
    packed = path.with_name(f"{path.name}.gz")
    if path.suffix == ".gz" or (packed.is_file() and not path.is_file()):
        return gzip.open(packed if path.suffix != ".gz" else path, "rt", encoding="utf-8")
    return open(path, encoding="utf-8")


def _verdicts(path: Path) -> Verdicts:
    """Task -> whether the base tests passed, and whether the base and plus tests passed."""
    with _open(path) as stream:
        tasks: Mapping[str, list[dict[str, Any]]] = json.load(stream)["eval"]
    return {
        task: (
            runs[0]["base_status"] == "pass",
            runs[0]["base_status"] == runs[0]["plus_status"] == "pass",
        )
        for task, runs in tasks.items()
    }


def _changes(verdicts: Verdicts, original: Verdicts | bool) -> Row:
    if not isinstance(original, dict):
        return {"plus_lost": "", "plus_gained": ""}
    pairs = [(original[task][1], plus) for task, (_, plus) in verdicts.items()]
    return {"plus_lost": pairs.count((True, False)), "plus_gained": pairs.count((False, True))}


def _without_sanitizer(folder: Path, name: str) -> Row:
    found = list(folder.glob(f"{name}{_VERDICTS}*"))
    solved = sum(plus for _, plus in _verdicts(found[0]).values()) if found else ""
    return {"raw_plus_solved": solved}


def _starts(folder: Path, name: str, prompts: Mapping[str, str], verdicts: Verdicts) -> Row:
    no_body = solved = ended = 0
    for task, text in _completions(folder / f"{name}.jsonl"):
        ended += _END in text
        if has_body(after_prompt(text, prompts[task])):
            solved += verdicts[task][1]
        else:
            no_body += 1
    return {"no_body": no_body, "body_solved": solved, "ended": ended}


def after_prompt(text: str, prompt: str) -> str:
    """What a completion has after its prompt.

    Spaces are ignored, because decoding removed some before punctuation marks.

    Raises:
        ValueError: the completion does not start with the prompt.
    """
    position = 0
    for character in prompt.replace(" ", ""):
        while text[position : position + 1] == " ":
            position += 1
        if text[position : position + 1] != character:
            raise ValueError(f"the completion does not start with the prompt {prompt[:40]!r}")
        position += 1
    return text[position:]


def has_body(written: str) -> bool:
    """Whether text after a prompt continues the prompt's function.

    It does if its first line that is neither empty nor a comment is indented.
    """
    code = (line for line in written.split("\n") if line.strip() and line.strip()[0] != "#")
    return next(code, "").startswith((" ", "\t"))


def _completions(path: Path) -> Iterator[tuple[str, str]]:
    with _open(path) as stream:
        for line in stream:
            sample = json.loads(line)
            yield sample["task_id"], sample["solution"]


def _csv(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> None:
    """Write the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("raw", type=Path, metavar="RAW_DIR")
    parser.add_argument("prompts", type=Path, metavar="PROMPTS.jsonl.gz")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    options = parser.parse_args()
    samples = count_samples(options.raw, options.prompts)
    write_csv_rows(options.out / "sample_counts.csv", SAMPLE_COLUMNS, samples)
    write_csv_rows(options.out / "ear_counts.csv", EAR_COLUMNS, count_ear(options.raw))


if __name__ == "__main__":
    main()
