"""Nano's training: reproducible to the bit, and readable by transformers' own classes."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from codewatt.files import sha256_file
from codewatt.nano.nano_tokenizer import EOS, PAD, train_tokenizer
from codewatt.nano.task_sampling import held_out_problems, training_problems
from codewatt.nano.training import train_nano
from codewatt.nano_settings import NanoSettings

ARCHITECTURES = ("starcoder2", "qwen2")

_SHORT = {"steps": 6, "warmup_steps": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """A few steps of each architecture: architecture -> (directory, record)."""
    made = {}
    for architecture in ARCHITECTURES:
        directory = tmp_path_factory.mktemp(architecture)
        made[architecture] = (
            directory,
            train_nano({"architecture": architecture, **_SHORT}, directory, threads=1),
        )
    return made


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_two_trainings_give_the_same_bytes(
    trained: dict[str, tuple[Path, dict[str, Any]]], architecture: str, tmp_path: Path
) -> None:
    train_nano({"architecture": architecture, **_SHORT}, tmp_path, threads=1)
    first = trained[architecture][0]
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"):
        assert sha256_file(tmp_path / name) == sha256_file(first / name), name


def test_another_seed_gives_other_weights(
    trained: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    train_nano({"architecture": "starcoder2", **_SHORT, "seed": 1}, tmp_path, threads=1)
    first = trained["starcoder2"][0]
    assert sha256_file(tmp_path / "model.safetensors") != sha256_file(first / "model.safetensors")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_record_tells_what_was_trained(
    trained: dict[str, tuple[Path, dict[str, Any]]], architecture: str
) -> None:
    record = trained[architecture][1]
    assert record["settings"]["architecture"] == architecture
    assert record["settings"]["seed"] == 0
    assert record["functions"] == 24
    assert 100_000 < record["parameters"] < 1_000_000
    assert record["loss_nats"][-1] < record["loss_nats"][0]
    assert record["duration_s"] > 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_model_loads_whole_and_in_float32(
    trained: dict[str, tuple[Path, dict[str, Any]]], architecture: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model, info = AutoModelForCausalLM.from_pretrained(
        trained[architecture][0], dtype=torch.float32, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.config.model_type == architecture
    assert model.num_parameters() == trained[architecture][1]["parameters"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_autotokenizer_encodes_as_the_saved_bpe_even_when_saved_again(
    trained: dict[str, tuple[Path, dict[str, Any]]], architecture: str, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoTokenizer

    directory = trained[architecture][0]
    saved = Tokenizer.from_file(str(directory / "tokenizer.json"))
    reloaded = AutoTokenizer.from_pretrained(directory)
    # A quantised or pruned copy of the model has its tokenizer saved by save_pretrained.
    reloaded.save_pretrained(tmp_path)
    AutoConfig.from_pretrained(directory).save_pretrained(tmp_path)
    copied = AutoTokenizer.from_pretrained(tmp_path)
    texts = [p.prompt + p.canonical_solution for p in held_out_problems(40, seed=0)]
    for text in [*texts, "It's 2026!\n\n\tx = 'naïve'  # 10 000\n"]:
        wanted = saved.encode(text).ids
        assert reloaded(text).input_ids == wanted
        assert copied(text).input_ids == wanted
        assert reloaded.decode(wanted) == text
    assert (reloaded.eos_token, reloaded.pad_token, reloaded.padding_side) == (EOS, PAD, "left")
    assert reloaded.eos_token_id != reloaded.pad_token_id


def test_a_line_break_merges_with_its_indentation_and_digits_stand_alone() -> None:
    texts = [p.prompt + p.canonical_solution for p in training_problems(500, seed=0)]
    tokenizer = train_tokenizer(texts, vocab_size=512)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer('"""\n    return 105').input_ids)
    assert tokens[-5:] == ["ĊĠĠĠ", "Ġreturn", "Ġ1", "0", "5"]
    assert tokenizer.convert_ids_to_tokens(tokenizer('."""\n').input_ids)[-1] == "Ċ"


def test_stripped_prompt_and_completion_tokenise_as_the_whole_text_does() -> None:
    problems = held_out_problems(60, seed=1)
    tokenizer = train_tokenizer([p.prompt + p.canonical_solution for p in problems], 400)
    for problem in problems:
        prompt = problem.prompt.strip()
        completion = "\n" + problem.canonical_solution.rstrip()
        parted = tokenizer(prompt).input_ids + tokenizer(completion).input_ids
        assert parted == tokenizer(prompt + completion).input_ids


def test_quantisable_and_prunable_sizes() -> None:
    settings = NanoSettings(architecture="qwen2")
    head_size = settings.hidden_size // settings.heads
    for width in (settings.hidden_size, settings.intermediate_size, settings.vocab_size):
        assert width % 64 == 0
    assert head_size * settings.kv_heads % 64 == 0
    assert settings.layers >= 4


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "architecture"),
        ({"architecture": "llama"}, "'starcoder2' or 'qwen2'"),
        ({"architecture": "qwen2", "layer": 4}, "layer"),
        ({"architecture": "qwen2", "steps": 0}, "steps"),
        ({"architecture": "qwen2", "steps": "many"}, "steps"),
        ({"architecture": "qwen2", "learning_rate": -1}, "learning_rate"),
        ({"architecture": "qwen2", "heads": 3}, "a multiple of heads"),
        ({"architecture": "qwen2", "steps": 10}, "warmup_steps"),
        ({"architecture": "qwen2", "steps": 10, "warmup_steps": 1, "vocab_size": 100}, "258"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=named):
        train_nano(settings, tmp_path, threads=1)
