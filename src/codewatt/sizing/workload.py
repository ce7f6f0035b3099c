"""The workload of a cell: numbers of sequences, tokens, batches and repeats."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    "bigcodebench": BenchmarkSize(
        1140, 425, 1370, None, 2.4, 2.4,
        "prompts of 1,112 characters on average (split instruct: 663), at most 3,590, taken as "
        "tokens of the length that HumanEval+ has (2.62 characters); every completion runs to the "
        "token limit; judging: as long as the reference solution, 2.4 s on average (all 1,140 "
        "of them, each in a process of its own, on two cores)",
    ),
}  # fmt: skip

#: Tokens that a chat adds to a prompt: 56 to 93, counted with SmolLM2's tokenizer for the six chat
#: templates in tests/fixtures/chat_templates.
CHAT_TOKENS = 93


def benchmark_size(benchmark: Mapping[str, Any]) -> BenchmarkSize | None:
    """The size of a benchmark with the settings of a study; None for an unknown kind.

    Args:
        benchmark: has kind, and optionally tasks, split and subset.
    """
    size = BENCHMARKS.get(benchmark["kind"])
    if size is None:
        return None
    if benchmark.get("subset") == "hard":
        size = replace(size, tasks=148)
    if benchmark.get("split") == "instruct":
        size = replace(size, prompt_tokens=253, longest_prompt=1322)
    return replace(size, tasks=benchmark.get("tasks") or size.tasks)


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
        repeats, idle_s: the study's settings.
        warmup_batches, most_warmup_batches: number of batches of the warm-up, expected and at most.
        rest_s, most_rest_s: duration of the rest before the cell (s), expected and at most.
        interval_s: sampling interval of NVML (s).
        engine: name of the engine.
        judged: number of completions that are judged; with greedy decoding only those of one
            repeat, because all repeats are equal.
        sampled: whether tokens are drawn, which needs memory of its own.
    """

    completions: int
    sequences: int
    batches: int
    prompt_tokens: int
    longest_prompt: int
    new_tokens: int
    repeats: int
    warmup_batches: int
    most_warmup_batches: int
    rest_s: float
    most_rest_s: float
    idle_s: float
    interval_s: float
    engine: str
    judged: int
    sampled: bool = False


def workload_of(
    cell: Mapping[str, Any],
    benchmark: Mapping[str, Any],
    decoding: Mapping[str, Any],
    energy: Mapping[str, Any],
) -> Workload:
    """The workload of a cell, from the study's settings.

    Args:
        cell: has prompt, token_limit, batch_size and engine.
        benchmark: has kind, and optionally tasks, split and subset.
        decoding: has samples, repeats, warmup and strategy.
        energy: has idle_s, nvml_interval_s and start.

    Raises:
        CodewattError: the size of the benchmark is unknown.
    """
    size = benchmark_size(benchmark)
    if size is None:
        raise CodewattError(
            f"benchmark kind {benchmark['kind']!r}: its size is unknown; "
            f"allowed: {', '.join(BENCHMARKS)}"
        )
    tasks, samples = size.tasks, decoding["samples"]
    batch_size = min(cell["batch_size"], tasks)
    limit = cell["token_limit"]
    added = CHAT_TOKENS if cell["prompt"] == "chat" else 0
    sampled = decoding["strategy"] == "sampled"
    warmup, start = decoding["warmup"], energy["start"]
    return Workload(
        completions=tasks * samples,
        sequences=batch_size * samples,
        batches=-(-tasks // batch_size),
        prompt_tokens=size.prompt_tokens + added,
        longest_prompt=size.longest_prompt + added,
        new_tokens=limit if size.new_tokens is None else min(limit, size.new_tokens),
        repeats=decoding["repeats"],
        warmup_batches=_least_warmup(warmup),
        most_warmup_batches=(
            _least_warmup(warmup) if warmup["max_cv"] is None else warmup["max_batches"]
        ),
        rest_s=0.0 if start is None else start["for_s"],
        most_rest_s=0.0 if start is None else start["at_most_s"],
        idle_s=energy["idle_s"],
        interval_s=energy["nvml_interval_s"],
        engine=cell["engine"],
        judged=tasks * samples * (decoding["repeats"] if sampled else 1),
        sampled=sampled,
    )


def _least_warmup(warmup: Mapping[str, Any]) -> int:
    """Fewest batches of a warm-up: those before the repeated one, and the times compared of it."""
    if warmup["max_cv"] is None:
        return int(warmup["batches"])
    return max(int(warmup["batches"]), 1) - 1 + int(warmup["window_batches"])
