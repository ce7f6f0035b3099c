"""A double of vLLM, built from the record of its interface, that decodes with a real small model.

It takes no argument and has no attribute that the record (tests/fixtures/vllm, made by
tools/vllm_api.py from vLLM's source) does not name, and does with each argument what vLLM's source
says: stop strings are looked for in the new text only, after each token; a stop token is kept in
the tokens; log-probabilities come where they are asked for only;
prefix caching is on unless it is switched off; requests have times only if
disable_log_stats is False; checkpoints' own end-of-sequence ids count unless ignore_eos is set.
"""

import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

_FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "vllm"


def read_record() -> dict[str, Any]:
    """The one record that is there."""
    [path] = _FIXTURES.glob("api-*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


RECORD = read_record()


class NotInVllm(Exception):
    """The code asks for what the recorded vLLM does not have."""


def fields(name: str) -> set[str]:
    """What instances of a recorded class have as attributes."""
    described = RECORD["classes"][name]
    return {*described["fields"], *described["attributes"]}


class Recorded:
    """An instance of a recorded class: holds and shows recorded fields only."""

    def __init__(self, class_name: str, **values: Any) -> None:
        if unknown := set(values) - fields(class_name):
            raise NotInVllm(f"{class_name} has no {', '.join(sorted(unknown))}")
        vars(self).update(values, _class_name=class_name)

    def __getattr__(self, name: str) -> Any:
        if name not in fields(self._class_name):
            raise NotInVllm(f"{self._class_name} has no {name}")
        raise NotImplementedError(f"{self._class_name}.{name}: the double does not know its value")


def check_call(name: str, method: str, by_position: int, by_keyword: set[str]) -> set[str]:
    """Check a call against a recorded signature.

    Returns:
        The keywords that the signature does not name and passes on (LLM's to EngineArgs).
    """
    parameters = RECORD["classes"][name]["methods"][method]
    if by_position > len(parameters["positional"]):
        raise NotInVllm(f"{name}.{method} takes {len(parameters['positional'])} by position")
    others = by_keyword - {*parameters["positional"], *parameters["keyword"]}
    if others and not parameters["others"]:
        raise NotInVllm(f"{name}.{method} takes no {', '.join(sorted(others))}")
    return others


class SamplingParams(Recorded):
    """vllm.SamplingParams, with the defaults of the fields that the double acts on."""

    def __init__(self, **values: Any) -> None:
        defaults = {
            "n": 1,
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": 0,
            "seed": None,
            "stop": None,
            "stop_token_ids": None,
            "ignore_eos": False,
            "max_tokens": 16,
            "skip_special_tokens": True,
            "logprobs": None,
        }
        super().__init__("SamplingParams", **{**defaults, **values})


class LLM:
    """vllm.LLM on a transformers model, one sequence after the other, in fp32 on the CPU."""

    made: list["LLM"]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        others = check_call("LLM", "__init__", len(arguments), set(options))
        if unknown := others - fields("EngineArgs"):
            raise NotInVllm(f"EngineArgs has no {', '.join(sorted(unknown))}")
        [directory] = arguments or [options["model"]]
        self.in_process = os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING", "1") == "0"
        self.options = options
        self._cached: set[tuple[int, ...]] = set()
        self._requests = 0
        self._read(Path(directory))
        self._configure()
        type(self).made.append(self)

    def __getattr__(self, name: str) -> Any:
        if name not in fields("LLM"):
            raise NotInVllm(f"LLM has no {name}")
        raise NotImplementedError(f"LLM.{name}: the double does not know its value")

    def _read(self, directory: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        said = json.loads((directory / "config.json").read_text())
        method = said.get("quantization_config", {}).get("quant_method")
        known = RECORD["quantisation_methods"]
        if method is not None and method not in known:
            # vllm/config/model.py, _verify_quantization
            raise ValueError(f"Unknown quantization method: {method}. Must be one of {known}.")
        dtype = getattr(torch, self.options["dtype"])
        self._model = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(directory)
        ends = self._model.generation_config.eos_token_id
        self._checkpoints_ends = set(ends if isinstance(ends, list) else [ends]) - {None}

    def _configure(self) -> None:
        config, options = self._model.config, self.options
        limit, asked = config.max_position_embeddings, options.get("max_model_len")
        if asked is not None and asked > limit:
            raise ValueError(
                f"User-specified max_model_len ({asked}) is greater than the derived "
                f"max_model_len (max_position_embeddings={limit})"
            )
        self._max_model_len = asked or limit
        self.model_config = Recorded(
            "ModelConfig",
            hf_config=config,
            dtype=self._model.dtype,
            max_model_len=self._max_model_len,
            quantization=None,
            enforce_eager=options.get("enforce_eager", False),
        )
        cache = Recorded(
            "CacheConfig",
            enable_prefix_caching=options.get("enable_prefix_caching", True),
            gpu_memory_utilization=options.get("gpu_memory_utilization", 0.92),
        )
        scheduler = Recorded(
            "SchedulerConfig",
            max_num_seqs=options.get("max_num_seqs", 256),
            max_num_batched_tokens=8192,
            enable_chunked_prefill=True,
        )
        whole = Recorded(
            "VllmConfig",
            model_config=self.model_config,
            cache_config=cache,
            scheduler_config=scheduler,
        )
        self._caching = cache.enable_prefix_caching
        self.llm_engine = Recorded("LLMEngine", vllm_config=whole)

    def apply_model(self, *arguments: Any, **options: Any) -> list[Any]:
        """vllm.LLM.apply_model: one answer for each worker."""
        check_call("LLM", "apply_model", len(arguments), set(options))
        [function] = [*arguments, *options.values()]
        return [function(self._model)]

    def generate(self, *arguments: Any, **options: Any) -> list[Recorded]:
        """vllm.LLM.generate: the first tokens of all requests, then the rest of each."""
        check_call("LLM", "generate", len(arguments), set(options))
        prompts, parameters = arguments
        if not isinstance(parameters, list):
            parameters = [parameters] * len(prompts)
        if len(prompts) != len(parameters):
            raise ValueError("The lengths of prompts and params must be the same.")
        waiting = [_Request(self, *pair) for pair in zip(prompts, parameters, strict=True)]
        places = self.llm_engine.vllm_config.scheduler_config.max_num_seqs
        running: list[_Request] = []
        done = []
        while waiting or running:
            while waiting and len(running) < places:
                running.append(waiting.pop(0))
            for request in running:
                request.step()
            now_s = time.monotonic()
            for request in running:
                request.note(now_s)
            done += [request for request in running if request.reason]
            running = [request for request in running if not request.reason]
        return [request.output() for request in sorted(done, key=lambda item: item.number)]


class _Request:
    """One prompt on its way: what vLLM's scheduler, sampler and output processor do to it."""

    def __init__(self, llm: LLM, prompt: Any, parameters: SamplingParams) -> None:
        import torch

        if unknown := set(prompt) - fields("TokensPrompt"):
            raise NotInVllm(f"TokensPrompt has no {', '.join(sorted(unknown))}")
        if parameters.n != 1:
            raise NotImplementedError("the double gives one output a request")
        self.llm, self.parameters = llm, parameters
        self.number, llm._requests = llm._requests, llm._requests + 1
        self.prompt = list(prompt["prompt_token_ids"])
        self.cached = len(self.prompt) if llm._caching and tuple(self.prompt) in llm._cached else 0
        llm._cached.add(tuple(self.prompt))
        self.tokens: list[int] = []
        self.logprobs: list[dict[int, SimpleNamespace]] = []
        self.reason: str | None = None
        self.times_s: list[float] = []
        self.stop_token_ids = set(parameters.stop_token_ids or [])
        if not parameters.ignore_eos:
            self.stop_token_ids |= {llm._tokenizer.eos_token_id, *llm._checkpoints_ends}
        self.generator = torch.Generator()
        self.generator.manual_seed(self.number if parameters.seed is None else parameters.seed)

    def step(self) -> None:
        """Choose one more token; end the request as vLLM would."""
        import torch

        ids = torch.tensor([self.prompt + self.tokens])
        with torch.inference_mode():
            scores = self.llm._model(ids).logits[0, -1].float()
        if self.parameters.temperature == 0.0:
            token = int(scores.argmax())
        else:
            likely = torch.softmax(scores / self.parameters.temperature, dim=-1)
            ordered, places = likely.sort(descending=True)
            ordered[ordered.cumsum(0) - ordered >= self.parameters.top_p] = 0.0
            token = int(places[torch.multinomial(ordered, 1, generator=self.generator)])
        self.tokens.append(token)
        # vllm/v1/sample/sampler.py: log_softmax of the raw logits, the chosen token's first.
        chosen = float(scores.log_softmax(dim=-1)[token])
        self.logprobs.append({token: SimpleNamespace(logprob=chosen)})
        length = len(self.prompt) + len(self.tokens)
        if token in self.stop_token_ids or self._stop_string():
            self.reason = "stop"
        elif len(self.tokens) >= self.parameters.max_tokens or length >= self.llm._max_model_len:
            self.reason = "length"

    def _stop_string(self) -> bool:
        text = self.llm._tokenizer.decode(
            self.tokens, skip_special_tokens=self.parameters.skip_special_tokens
        )
        return any(stop in text for stop in self.parameters.stop or [])

    def note(self, now_s: float) -> None:
        """A step of the engine has ended."""
        self.times_s.append(now_s)

    def output(self) -> Recorded:
        """The finished request, as `generate` returns it."""
        times = Recorded(
            "RequestStateStats",
            num_generation_tokens=len(self.tokens),
            num_preemptions=0,
            first_token_ts=self.times_s[0],
            last_token_ts=self.times_s[-1],
        )
        output = Recorded(
            "CompletionOutput",
            index=0,
            token_ids=self.tokens,
            finish_reason=self.reason,
            logprobs=None if self.parameters.logprobs is None else self.logprobs,
        )
        return Recorded(
            "RequestOutput",
            request_id=str(self.number),
            prompt_token_ids=self.prompt,
            outputs=[output],
            finished=True,
            metrics=None if self.llm.options.get("disable_log_stats", True) else times,
            num_cached_tokens=self.cached,
        )


def install(monkeypatch: pytest.MonkeyPatch, device_type: str = "cpu") -> type[LLM]:
    """Let `import vllm` find the double.

    Returns:
        The class that `vllm.LLM` is; its `made` are the instances.
    """
    fresh = type("LLM", (LLM,), {"made": []})
    module, platforms = ModuleType("vllm"), ModuleType("vllm.platforms")
    exported = {"LLM": fresh, "SamplingParams": SamplingParams}
    assert set(exported) <= set(RECORD["exports"])
    vars(module).update(exported, __version__=RECORD["version"], platforms=platforms)
    platforms.current_platform = Recorded("Platform", device_type=device_type)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_NO_USAGE_STATS"):
        monkeypatch.setenv(name, "")  # put back after the test, whatever the engine sets
        monkeypatch.delenv(name)
    return fresh
