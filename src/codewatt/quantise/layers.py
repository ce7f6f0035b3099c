"""Which layers of a model a quantiser has to change."""

from pathlib import Path


def linear_layers(source: Path) -> dict[str, tuple[int, int]]:
    """Name -> (out, in) of each linear layer of a model but its head; no weight is read."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(source, local_files_only=True)
        )
    head = model.get_output_embeddings()
    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
