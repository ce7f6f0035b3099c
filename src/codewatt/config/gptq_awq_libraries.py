"""Model types and devices of the libraries that make GPTQ and AWQ checkpoints.

AutoAWQ 0.2.9 and AutoGPTQ 0.7.1 are no longer maintained; the lists below will not grow.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backend:
    """One library.

    Attributes:
        library: its name and version.
        environment: its own environment (in envs/ and of `make`); None: that of the pipeline.
        model_types: the model types that it quantises here; empty: unknown, a job finds out.
        devices: the devices on which it quantises.
    """

    library: str
    environment: str | None = None
    model_types: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")


BACKENDS = {
    "gptqmodel": Backend("GPTQModel 7.6.0"),
    # Left out: deepseek_v2, whose experts are one tensor in transformers 5, not layers that AutoAWQ
    # finds, and what has more than a decoder.
    "autoawq": Backend(
        "AutoAWQ 0.2.9",
        environment="autoawq",
        model_types=("gpt_neox", "llama", "mistral", "qwen2", "qwen3", "starcoder2"),
    ),
    # Left out: models whose code is in their repositories, and gpt_bigcode, not loaded here packed.
    "auto_gptq": Backend(
        "AutoGPTQ 0.7.1",
        environment="autogptq",
        model_types=("gpt_neox", "llama", "mistral", "qwen2"),
        devices=("cuda",),
    ),
}
ALTERNATIVE = "backend: gptqmodel"


def device_refusal(name: str, device: str) -> str | None:
    """Why a backend cannot quantise on a device ('cpu' or 'cuda'), or None if it can."""
    backend = BACKENDS[name]
    if device in ("cpu", "cuda") and device not in backend.devices:
        return (
            f"backend {name}: {backend.library} quantises on device 'cuda' only; "
            f"allowed on {device!r}: {ALTERNATIVE}"
        )
    return None


def model_refusal(name: str, model_type: str) -> str | None:
    """Why a backend cannot quantise models of a type, or None if it can or does not say."""
    backend = BACKENDS[name]
    if backend.model_types and model_type not in backend.model_types:
        return (
            f"backend {name}: {backend.library} cannot quantise models of type {model_type}; "
            "allowed: "
            f"{ALTERNATIVE}, or models of type {', '.join(backend.model_types)}"
        )
    return None
