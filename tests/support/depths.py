"""Models that solve a benchmark down to a known depth of pruning, and nothing below it."""

from pathlib import Path
from typing import Any

_STEPS = 120
_OFFSET = 100.0


def save_models_of_known_depth(tasks: int, whole: Path, cut: Path) -> None:
    """Save two StarCoder2 models that know the nano benchmark's first tasks by heart.

    One trained layer does all the work; further layers add nothing to the hidden state, so that
    a model without them says the same.

    Args:
        tasks: how many are learnt, of seed 0.
        whole: of 2 layers; with one removed it solves what it solved.
        cut: of 4 layers. The first shifts the hidden state far off and the third shifts it back:
            without the last layer it solves what it solved, without the last two it solves
            nothing, as the shift drowns all else.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model is trained no faster by more
    core, tokenizer = _learnt_by_heart(tasks)
    torch.set_num_threads(threads)
    for directory, layers in ((whole, 2), (cut, 4)):
        model = _with_idle_layers(core, layers)
        if layers == 4:
            _shift(model.model.layers[0], -1.0)
            _shift(model.model.layers[2], 1.0)
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)


def _learnt_by_heart(tasks: int) -> tuple[Any, Any]:
    """A model of one layer, and its tokenizer."""
    import torch

    from codewatt.nano.nano_tokenizer import train_tokenizer
    from codewatt.nano.task_sampling import held_out_problems
    from codewatt.nano.training import build_model
    from codewatt.nano_settings import NanoSettings

    problems = held_out_problems(tasks, 0)
    prompts = [problem.prompt.rstrip() for problem in problems]
    bodies = ["\n" + problem.canonical_solution.rstrip() for problem in problems]
    tokenizer = train_tokenizer([p + b for p, b in zip(prompts, bodies, strict=True)], 300)
    settings = NanoSettings(architecture="starcoder2", layers=1, hidden_size=64, vocab_size=300)
    model = build_model(settings, tokenizer)
    rows = []
    for prompt, body in zip(prompts, bodies, strict=True):
        ids = tokenizer(prompt).input_ids
        rows.append((ids, [*tokenizer(body).input_ids, tokenizer.eos_token_id]))
    width = max(len(prompt) + len(body) for prompt, body in rows)
    inputs = torch.full((len(rows), width), tokenizer.pad_token_id)
    labels = torch.full((len(rows), width), -100)
    for row, (prompt, body) in enumerate(rows):
        end = len(prompt) + len(body)
        inputs[row, :end] = torch.tensor([*prompt, *body])
        labels[row, len(prompt) : end] = torch.tensor(body)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(_STEPS):
        loss = model(input_ids=inputs, labels=labels, use_cache=False).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert loss.item() < 0.05, "the tasks are not known by heart"
    return model, tokenizer


def _with_idle_layers(core: Any, layers: int) -> Any:
    """The model of one layer, followed by layers that add nothing."""
    import torch
    from transformers import AutoModelForCausalLM

    config = type(core.config)(**{**core.config.to_dict(), "num_hidden_layers": layers})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(core.state_dict(), strict=False)
    with torch.no_grad():
        for layer in model.model.layers[1:]:
            for last in (layer.self_attn.o_proj, layer.mlp.c_proj):
                last.weight.zero_()
                last.bias.zero_()
    return model


def _shift(layer: Any, sign: float) -> None:
    """Let a layer add the same far vector, up and down by turns, to every hidden state."""
    import torch

    with torch.no_grad():
        bias = layer.mlp.c_proj.bias
        bias += sign * _OFFSET * torch.tensor([1.0, -1.0]).repeat(len(bias) // 2)
