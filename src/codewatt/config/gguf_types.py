"""Types of GGUF files, and the model types of which they can be made."""

from typing import Literal

#: llama.cpp's names of file types. F32 and F16 are not quantised.
GgufType = Literal["F32", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K"]
#: Types that an importance matrix does not change.
WITHOUT_IMPORTANCE = ("F32", "F16", "Q8_0")
#: Model types whose F32 files gave the greedy tokens of transformers here.
MODEL_TYPES = ("gpt_neox", "llama", "phi", "qwen2", "starcoder2")


def gguf_model_refusal(model_type: str | None) -> str | None:
    """Why no GGUF file is made of models of a type, or None if one can be made."""
    if model_type in MODEL_TYPES:
        return None
    return (
        f"method gguf: models of type {model_type} are not converted; allowed: models of type "
        f"{', '.join(MODEL_TYPES)}"
    )


def gguf_device_refusal(device: str) -> str | None:
    """Why method gguf is not allowed on a device ('cpu', 'cuda' or 'auto'), or None if it is."""
    if device != "cuda":
        return None
    return (
        "method gguf runs on engine llama_cpp, which computes on the CPU, not on device 'cuda'; "
        "allowed: device: cpu"
    )
