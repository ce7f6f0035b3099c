"""The workload of a cell: numbers of sequences, tokens, batches and repeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codewatt.errors import CodewattError
from codewatt.sizing.estimate_assumptions import assumed_value


@dataclass(frozen=True)
class BenchmarkSize:
    """Size of a benchmark.

    Attributes:
        tasks: number of tasks.
        prompt_tokens: mean length of the prompts (tokens).
        longest_prompt: length of the longest prompt (tokens).
        new_tokens: new tokens after which a batch has ended; None: the study's token limit.
        judge_s: CPU time for judging one completion (core seconds).
        expected_s: CPU time for the expected outputs of one task (core seconds).
        source: where these numbers come from.
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
    "mbpp_plus": BenchmarkSize(
        378, 55, 175, None, 0.45, 0.45,
        "prompts of 27 to 175 tokens, 55 on average (a tokenizer of 8,192 tokens, trained on the "
        "standard library); every completion is assumed to run to the token limit; judging: "
        "docs/archive/small-measurements.md",
    ),
    "nano": BenchmarkSize(
        100, 22, 40, 20, 0.04, 0.04,
        "prompts of 22 tokens, completions of 16, the longer of two 20 (counted on the held-out "
        "tasks); judging: assumed",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """The workload of a cell.

    Attributes:
        completions: number of completions of one repeat.
        sequences: number of sequences of a full batch (prompts x samples).
        batches: number of batches of one repeat.
        prompt_tokens: mean length of a prompt (tokens).
        longest_prompt: length of the longest prompt (tokens).
        new_tokens: number of new tokens of a sequence.
        repeats, warmup_batches, idle_s: the study's settings.
        interval_s: sampling interval of NVML (s).
        engine: name of the engine.
        judged: number of completions that are judged; with greedy decoding only those of one
            repeat, because all repeats are equal.
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
    """The workload of a cell, from the study's settings.

    Args:
        cell: has token_limit, batch_size and engine.
        benchmark: has kind, and optionally tasks.
        decoding: has samples, repeats, warmup_batches and strategy.
        energy: has idle_s and nvml_interval_s.

    Raises:
        CodewattError: the size of the benchmark is unknown.
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
