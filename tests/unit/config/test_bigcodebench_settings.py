"""A study may name BigCodeBench; what its jobs would refuse is refused when it is read."""

from typing import Any

import pytest

from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.sizing.workload import benchmark_size

STUDY: dict[str, Any] = {
    "study": "s",
    "title": "t",
    "models": [{"id": "m", "source": "nano", "architecture": "qwen2"}],
    "prunes": [{"id": "full", "method": "none"}],
    "precisions": [{"id": "fp32", "method": "none", "dtype": "float32"}],
    "token_limits": [64],
    "baseline": {"precision": "fp32", "prune": "full"},
    "prompts": ["as_is"],
}


def study(benchmark: dict[str, Any], **changes: Any) -> Study:
    entry = {"id": "b", "kind": "bigcodebench", **benchmark}
    return validate(Study, {**STUDY, "benchmarks": [entry], **changes}, "study.yaml")


def test_defaults_are_the_complete_split_and_all_tasks() -> None:
    (benchmark,) = study({}).benchmarks
    assert benchmark.settings() == {
        "kind": "bigcodebench",
        "split": "complete",
        "subset": "full",
        "tasks": None,
    }


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        ({"tasks": 1141}, "tasks: 1141"),
        ({"subset": "hard", "tasks": 149}, "more than the subset 'hard' has; allowed: at most 148"),
        ({"split": "chat"}, "split: 'chat' is not allowed; allowed: 'complete' or 'instruct'"),
        ({"mini": True}, "mini: unknown key"),
    ],
)
def test_wrong_settings_are_refused(benchmark: dict[str, Any], message: str) -> None:
    with pytest.raises(CodewattError) as error:
        study(benchmark)
    assert message in str(error.value)


def test_instructions_need_a_chat() -> None:
    with pytest.raises(CodewattError, match=r"benchmarks\[0\]\.split: .*found 'as_is'"):
        study({"split": "instruct"})
    assert study({"split": "instruct"}, prompts=["chat"])
    pair = {"benchmark": "b", "prompt": "as_is"}
    assert study({"split": "instruct"}, prompts=["chat", "as_is"], exclude=[pair])


def test_the_estimate_knows_the_subset_and_the_split() -> None:
    def size(**settings: Any) -> Any:
        return benchmark_size({"kind": "bigcodebench", **settings})

    assert (size().tasks, size(subset="hard").tasks, size(tasks=40).tasks) == (1140, 148, 40)
    assert size(subset="hard", tasks=7).tasks == 7
    assert size(split="instruct").prompt_tokens < size().prompt_tokens
    assert benchmark_size({"kind": "unknown"}) is None
