"""Little tokenizers with the chat templates and special tokens of public instruct models."""

from pathlib import Path
from typing import Any

from tests.support.models import save_tiny_tokenizer

TEMPLATES = Path(__file__).resolve().parent.parent / "fixtures" / "chat_templates"
#: A task's prompt with white space at its ends, and with characters that HTML escapes.
PROMPT = '\n\ndef add(a, b):\n    """Add <b>two</b> numbers: `a` & `b`."""\n'
#: Name of a template -> (BOS, EOS, whether the tokenizer itself puts BOS before a text), as in the
#: tokenizer_config.json of the model.
SPECIAL_TOKENS = {
    "qwen2.5-7b-instruct": (None, "<|im_end|>", False),
    "llama-3.1-8b-instruct": ("<|begin_of_text|>", "<|eot_id|>", True),
    "deepseek-coder-v2-lite-instruct": (
        "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
        True,
    ),
    "phi-3.5-mini-instruct": ("<s>", "<|endoftext|>", False),
    "phi-4": ("<|endoftext|>", "<|im_end|>", False),
    "smollm2-135m-instruct": ("<|im_start|>", "<|im_end|>", False),
}


def save_chat_tokenizer(name: str, directory: Path) -> Any:
    """A byte-level tokenizer with a model's chat template and special tokens; also returned.

    Args:
        name: a key of `SPECIAL_TOKENS`.
        directory: where it is saved; it may hold a model whose vocabulary has room for two tokens.
    """
    from tokenizers.processors import TemplateProcessing

    bos, eos, adds_bos = SPECIAL_TOKENS[name]
    tokenizer = save_tiny_tokenizer(directory)
    tokenizer.add_special_tokens(
        {"eos_token": eos} if bos is None else {"bos_token": bos, "eos_token": eos}
    )
    tokenizer.chat_template = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    if adds_bos:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)]
        )
    tokenizer.save_pretrained(directory)
    return tokenizer
