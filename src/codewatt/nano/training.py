"""Trains a nano model: a decoder with less than a million parameters, in under a minute.

The same settings and number of threads give bit-identical weights on one machine.
"""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from codewatt.models.model_record import NanoTraining
from codewatt.nano.nano_tokenizer import save_tokenizer, train_tokenizer
from codewatt.nano.task_sampling import Problem, training_problems
from codewatt.nano_settings import NanoSettings

log = logging.getLogger(__name__)

_TOKENIZER_FUNCTIONS = 2000  # number of functions that the tokenizer is trained on
_SORTED_BATCHES = 16  # number of batches whose functions are sorted by length together
_IGNORED = -100  # transformers' label for positions without a loss
_REPORTS = 10


def train_nano(settings: Mapping[str, Any], directory: Path, threads: int) -> NanoTraining:
    """Train a model and save it with its tokenizer in the format of transformers.

    Args:
        settings: the fields of `NanoSettings`.
        directory: directory for config.json, model.safetensors (float32), tokenizer.json etc.
        threads: number of threads of torch; the weights depend on it.

    Returns:
        Settings, threads, number of parameters, functions and tokens, loss curve (mean over each
        tenth of the steps, in nats for each token of a body), duration_s and cpu_s.

    Raises:
        CodewattError: a setting is unknown or out of range.
    """
    checked = NanoSettings(**settings)
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    with _torch_state(threads):
        functions = list(training_problems(checked.steps * checked.batch_size, checked.seed))
        texts = [prompt + body for prompt, body in map(_text, functions[:_TOKENIZER_FUNCTIONS])]
        tokenizer = train_tokenizer(texts, checked.vocab_size)
        model = build_model(checked, tokenizer)
        batches = _batches(functions, tokenizer, checked)
        curve, tokens = _fit(model, batches, checked)
        model.save_pretrained(directory)
        save_tokenizer(tokenizer, directory, model.config.model_type)
    return {
        "settings": checked.model_dump(),
        "threads": threads,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "functions": len(functions),
        "tokens": tokens,
        "loss_nats": curve,
        "duration_s": time.monotonic() - start_s,
        "cpu_s": time.process_time() - start_cpu_s,
    }


def build_model(settings: NanoSettings, tokenizer: Any) -> Any:
    """An untrained float32 model, initialised with the seed of the settings.

    No dropout: each function is seen once, so the model cannot overfit.
    """
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config, Starcoder2Config

    sizes = {
        "vocab_size": settings.vocab_size,
        "hidden_size": settings.hidden_size,
        "intermediate_size": settings.intermediate_size,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "num_key_value_heads": settings.kv_heads,
        "max_position_embeddings": settings.max_tokens,
        "initializer_range": settings.initializer_range,
        "tie_word_embeddings": True,
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if settings.architecture == "starcoder2":
        config = Starcoder2Config(
            **sizes, residual_dropout=0.0, embedding_dropout=0.0, attention_dropout=0.0
        )
    else:
        config = Qwen2Config(**sizes, attention_dropout=0.0)
    torch.manual_seed(settings.seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def _text(function: Problem) -> tuple[str, str]:
    """Prompt without trailing newline, and body with a leading newline."""
    prompt = function.prompt.rstrip()
    return prompt, "\n" + function.canonical_solution.rstrip()


def _batches(
    functions: list[Problem], tokenizer: Any, settings: NanoSettings
) -> list[tuple[Any, Any]]:
    """Batches of (input ids, labels), each [batch, length] int64, padded on the right.

    Functions of similar length share a batch. The loss covers the body and the end-of-text token.
    """
    prompts, bodies = zip(*map(_text, functions), strict=True)
    prompt_ids = tokenizer(list(prompts)).input_ids
    body_ids = tokenizer(list(bodies)).input_ids
    rows = [
        (prompt + body + [tokenizer.eos_token_id], len(prompt))
        for prompt, body in zip(prompt_ids, body_ids, strict=True)
    ]
    pool = settings.batch_size * _SORTED_BATCHES
    order = Random(f"nano batches {settings.seed}")
    batches: list[tuple[Any, Any]] = []
    for start in range(0, len(rows), pool):
        near = sorted(rows[start : start + pool], key=lambda row: len(row[0]))
        cut = [
            near[first : first + settings.batch_size]
            for first in range(0, len(near), settings.batch_size)
        ]
        order.shuffle(cut)
        batches.extend(_tensors(batch, tokenizer.pad_token_id) for batch in cut)
    return batches


def _tensors(rows: list[tuple[list[int], int]], pad: int) -> tuple[Any, Any]:
    import torch

    width = max(len(ids) for ids, _ in rows)
    inputs = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), _IGNORED)
    for place, (ids, prompt_length) in enumerate(rows):
        inputs[place, : len(ids)] = torch.tensor(ids)
        labels[place, prompt_length : len(ids)] = torch.tensor(ids[prompt_length:])
    return inputs, labels


def _fit(
    model: Any, batches: list[tuple[Any, Any]], settings: NanoSettings
) -> tuple[list[float], int]:
    """Train on each batch once; the loss curve and the number of tokens, including padding."""
    import torch

    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    model.train()
    losses: list[float] = []
    every = max(1, settings.steps // _REPORTS)
    for step, (inputs, labels) in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _schedule(step, settings)
        # Padding is on the right, so the causal mask hides it and no padding mask is needed.
        loss = model(input_ids=inputs, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
        if (step + 1) % every == 0:
            log.info("step %d of %d: loss %.3f", step + 1, settings.steps, _mean(losses[-every:]))
    model.eval()
    curve = [_mean(losses[first : first + every]) for first in range(0, len(losses), every)]
    return curve, sum(inputs.numel() for inputs, _ in batches)


def _schedule(step: int, settings: NanoSettings) -> float:
    """Factor of the learning rate: linear warm-up, then cosine decay to 0."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / (settings.steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@contextmanager
def _torch_state(threads: int) -> Iterator[None]:
    """Set torch's number of threads and deterministic algorithms, and restore both afterwards."""
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
