"""What a cell is asked to do: how many tokens of which benchmark, how often."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codewatt.errors import CodewattError
from codewatt.sizing.estimate_assumptions import assumed_value


@dataclass(frozen=True)
class BenchmarkSize:
    """A benchmark in numbers.

    Attributes:
        tasks: in all.
        prompt_tokens, longest_prompt: mean and longest prompt.
        new_tokens: after so many a batch is over, where models end by themselves; None: at the
            study's limit.
        judge_s, expected_s: core seconds a sample, and a task's expected outputs.
        source: of these.
    """

    tasks: int
    prompt_tokens: int
    longest_prompt: int
    new_tokens: int | None
    judge_s: float
    expected_s: float
    source: str


BENCHMARKS = {
    "humaneval_plus": BenchmarkSize(
        164, 172, 538, None, assumed_value("judge_s"), assumed_value("expected_s"),
        "prompts of 37 to 538 tokens, 172 on average (docs/archive/h200-engines.md: a made-up "
        "tokenizer of "
        "8,192 tokens); every completion runs to the token limit, as in de Reus et al. 2024, where "
        "twice the limit took twice the time",
    ),
    "nano": BenchmarkSize(
        100, 22, 40, 20, 0.04, 0.04,
        "prompts of 22 tokens, completions of 16, the longer of two 20 (counted on the held-out "
        "tasks); judging: assumed",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """A cell's work.

    Attributes:
        completions: of one pass over the benchmark.
        sequences: of a full batch, several samples a task counted.
        batches: of one pass.
        prompt_tokens, longest_prompt, new_tokens: of a sequence.
        repeats, warmup_batches, idle_s, interval_s: the study's.
        engine: its name.
        judged: samples that are judged: those of one repeat if all are equal (greedy).
    """

    completions: int
    sequences: int
    batches: int
    prompt_tokens: int
    longest_prompt: int
    new_tokens: int
    repeats: int
    warmup_batches: int
    idle_s: float
    interval_s: float
    engine: str
    judged: int


def workload_of(
    cell: Mapping[str, Any],
    benchmark: Mapping[str, Any],
    decoding: Mapping[str, Any],
    energy: Mapping[str, Any],
) -> Workload:
    """A cell's work, from slices of its study.

    Args:
        cell: token_limit, batch_size, engine.
        benchmark: kind, and tasks if it says so.
        decoding: samples, repeats, warmup_batches, strategy.
        energy: idle_s, nvml_interval_s.

    Raises:
        CodewattError: the benchmark's size is not known.
    """
    kind = benchmark["kind"]
    if kind not in BENCHMARKS:
        raise CodewattError(
            f"benchmark kind {kind!r}: its size is unknown; allowed: {', '.join(BENCHMARKS)}"
        )
    size = BENCHMARKS[kind]
    tasks, samples = benchmark.get("tasks") or size.tasks, decoding["samples"]
    batch_size = min(cell["batch_size"], tasks)
    limit = cell["token_limit"]
    return Workload(
        completions=tasks * samples,
        sequences=batch_size * samples,
        batches=-(-tasks // batch_size),
        prompt_tokens=size.prompt_tokens,
        longest_prompt=size.longest_prompt,
        new_tokens=limit if size.new_tokens is None else min(limit, size.new_tokens),
        repeats=decoding["repeats"],
        warmup_batches=decoding["warmup_batches"],
        idle_s=energy["idle_s"],
        interval_s=energy["nvml_interval_s"],
        engine=cell["engine"],
        judged=tasks * samples * (1 if decoding["strategy"] == "greedy" else decoding["repeats"]),
    )
