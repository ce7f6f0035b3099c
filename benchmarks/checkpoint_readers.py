"""Makes the table of docs/archive/checkpoint-readers.md: which library reads whose checkpoints.

Little models with random weights are quantised by each library, and what each wrote is read by this
project's loader, by plain transformers and by the libraries themselves. A figure is the cosine of
the logits with those of the unquantised model. Needs no GPU; from the checkout's root:

    make dev autoawq autogptq
    benchmarks/checkpoint_readers.sh FOLDER      # an absent folder; prints the table

which calls this script in each environment: `models FOLDER`, `make LIBRARY FOLDER`,
`read READER FOLDER` and at last `table FOLDER`. Without a GPU, AutoGPTQ's calls of CUDA are set
aside, and so is AutoAWQ's wish for Intel's extension; the backends do neither.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.fixtures.checkpoints.make import sequences, set_cuda_aside

IDS = [7, 300, 12, 45, 101, 260, 258, 33]
#: Heads that AWQ's search takes; AutoAWQ scales only what has as many outputs as inputs.
SHAPE = {"num_attention_heads": 2, "num_key_value_heads": 2}
SHARED = {"bits": 4, "group_size": 32}
GPTQ = {**SHARED, "method": "gptq", "act_order": False, "compute_dtype": "float32"}
AWQ = {**SHARED, "method": "awq", "compute_dtype": "float16"}
#: Maker -> (its backend, settings, architectures).
MAKERS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "GPTQModel, GPTQ": ("gptqmodel", GPTQ, ("starcoder2", "qwen2", "llama", "gpt_neox")),
    "AutoGPTQ, GPTQ": ("auto_gptq", GPTQ, ("qwen2", "llama", "gpt_neox")),
    "GPTQModel, AWQ": ("gptqmodel", AWQ, ("starcoder2", "qwen2", "llama", "gpt_neox")),
    "AutoAWQ, AWQ": ("autoawq", AWQ, ("starcoder2", "qwen2", "llama", "gpt_neox")),
}
#: Reader -> the methods that it reads.
READERS = {
    "here": ("gptq", "awq"),
    "transformers": ("gptq", "awq"),
    "gptqmodel": ("gptq", "awq"),
    "autoawq": ("awq",),
    "auto_gptq": ("gptq",),
}
_PACKAGES = ("torch", "transformers", "gptqmodel", "autoawq", "auto-gptq")


def make_models(folder: Path) -> None:
    """The unquantised models and their logits."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    from tests.support.models import save_tiny_model

    for name in dict.fromkeys(a for _, _, some in MAKERS.values() for a in some):
        save_tiny_model(name, folder / "models" / name, 2, **SHAPE)
        model = AutoModelForCausalLM.from_pretrained(
            folder / "models" / name,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
        )
        save_file({"logits": _logits(model)}, folder / "models" / f"{name}.logits.safetensors")


def make(library: str, folder: Path) -> None:
    """What one library makes of the models."""
    import torch

    from codewatt.quantise.backends.backend import open_backend

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if library == "auto_gptq" and device == "cpu":
        set_cuda_aside()
    for maker, (backend, settings, architectures) in MAKERS.items():
        if backend == library:
            for name in architectures:
                target = _place(folder, maker, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                open_backend(backend).quantise(
                    folder / "models" / name, target, settings, device, sequences()
                )


def read(reader: str, folder: Path) -> None:
    """Every checkpoint by one reader, each in a process of its own."""
    found = {}
    for maker, (_, settings, architectures) in MAKERS.items():
        for name in architectures if settings["method"] in READERS[reader] else ():
            place = _place(folder, maker, name)
            command = [sys.executable, __file__, "one", reader, str(folder), maker, name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = done.stdout.splitlines() or [""]
            told = lines[-1].removeprefix("cosine ")
            if done.returncode != 0 or told == lines[-1]:
                (folder / f"{place.name}.{reader}.log").write_text(done.stdout + done.stderr)
                told = "error"
            found[place.name] = told
    versions = {name: v for name in _PACKAGES if (v := _version(name)) is not None}
    text = json.dumps({"versions": versions, "cosines": found}, indent=1)
    (folder / f"{reader}.json").write_text(text + "\n")


def read_one(reader: str, folder: Path, maker: str, name: str) -> None:
    """Print the cosine of one checkpoint's logits by one reader."""
    import torch
    from safetensors.torch import load_file

    expected = load_file(folder / "models" / f"{name}.logits.safetensors")["logits"]
    found = _logits(_READ[reader](_place(folder, maker, name)))
    cosine = torch.nn.functional.cosine_similarity(
        found.double().flatten(), expected.double().flatten(), dim=0
    )
    print(f"cosine {float(cosine):.4f}")


def table(folder: Path) -> None:
    """Print the table of docs/archive/checkpoint-readers.md, and the versions."""
    found = {r: json.loads((folder / f"{r}.json").read_text()) for r in READERS}
    print("| made by | model |", " | ".join(READERS), "|")
    print("| --- | --- |", " | ".join("---" for _ in READERS), "|")
    for maker, (_, _, architectures) in MAKERS.items():
        for number, name in enumerate(architectures):
            key = _place(folder, maker, name).name
            cells = [found[reader]["cosines"].get(key, "") for reader in READERS]
            print(f"| {'' if number else maker} | {name} | {' | '.join(cells)} |")
    for reader, told in found.items():
        print(f"{reader}: {', '.join(f'{n} {v}' for n, v in told['versions'].items())}")


def _here(directory: Path) -> Any:
    from codewatt.models.loading import load_model

    return load_model(directory, dtype="float32", device="cpu").model


def _transformers(directory: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from codewatt.models.gptqmodel_library import import_gptqmodel

    import_gptqmodel()
    return AutoModelForCausalLM.from_pretrained(
        directory,
        dtype=torch.float32,
        device_map="cpu",
        local_files_only=True,
        trust_remote_code=False,
    )


def _gptqmodel(directory: Path) -> Any:
    import torch

    from codewatt.models.gptqmodel_library import import_gptqmodel

    library = import_gptqmodel()
    config = json.loads((directory / "config.json").read_text())
    kernels = {"gptq": library.BACKEND.GPTQ_TORCH, "awq": library.BACKEND.AWQ_TORCH}
    return library.GPTQModel.load(
        str(directory),
        device="cpu",
        dtype=torch.float16,  # its layers know no float32
        backend=kernels[config["quantization_config"]["quant_method"]],
    ).model


def _autoawq(directory: Path) -> Any:
    import awq.models.base as base
    import torch
    from awq import AutoAWQForCausalLM

    base.get_best_device = lambda: "none"
    return AutoAWQForCausalLM.from_quantized(
        str(directory),
        fuse_layers=False,
        device_map={"": "cpu"},
        torch_dtype=torch.float16,
        trust_remote_code=False,
    ).model


def _auto_gptq(directory: Path) -> Any:
    import torch
    from auto_gptq import AutoGPTQForCausalLM

    return AutoGPTQForCausalLM.from_quantized(
        str(directory), device="cpu", torch_dtype=torch.float32, trust_remote_code=False
    ).model


_READ: dict[str, Callable[[Path], Any]] = {
    "here": _here,
    "transformers": _transformers,
    "gptqmodel": _gptqmodel,
    "autoawq": _autoawq,
    "auto_gptq": _auto_gptq,
}


def _logits(model: Any) -> Any:
    """For IDS, float32 (tokens, vocabulary)."""
    import torch

    with torch.inference_mode():
        return model(torch.tensor([IDS])).logits[0].float().contiguous()


def _place(folder: Path, maker: str, architecture: str) -> Path:
    library, method = maker.lower().split(", ")
    return folder / "checkpoints" / f"{library}-{method}-{architecture}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def main() -> None:
    """See the module."""
    what, *arguments = sys.argv[1:]
    if what == "one":
        reader, folder, maker, name = arguments
        read_one(reader, Path(folder), maker, name)
        return
    *named, folder = arguments
    actions: dict[str, Callable[..., None]] = {
        "models": make_models, "make": make, "read": read, "table": table,
    }  # fmt: skip
    actions[what](*named, Path(folder))


if __name__ == "__main__":
    main()
