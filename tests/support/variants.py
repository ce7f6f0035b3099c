"""Makes a variant as the rules do: each record is written and read through its format."""

from pathlib import Path
from typing import Any

from codewatt.models.fetch import fetch_model
from codewatt.models.model_record import MODEL
from codewatt.quantise.quantise_variant import quantise_variant
from codewatt.quantise.variant_record import VARIANT, VariantRecord
from tests.support.records import MADE


def make_variant(model: Path, precision: dict[str, Any], folder: Path) -> VariantRecord:
    """Run the quantise stage on an unpruned model, without a calibration corpus, on the CPU.

    Args:
        model: a directory that transformers can load.
        precision: a study's precision without id and label.
        folder: where the model's and the variant's manifest and the weights are written.

    Returns:
        The variant's manifest, as later stages read it.
    """
    source = fetch_model({"source": "path", "path": str(model)}, folder / "unused")
    MODEL.write(folder / "model.json", {**source, **MADE})
    settings = {
        "variant": {"model": "m", "prune": "full", "precision": precision["method"]},
        "prune": {"method": "none"},
        "precision": precision,
        "corpora": [],
        "device": "cpu",
        "energy": {"idle_s": 0.1, "codecarbon_interval_s": 0.1},
    }
    made = quantise_variant(
        settings, folder / "model.json", [], None, folder / "weights", folder / "timeline.parquet"
    )
    VARIANT.write(folder / "manifest.json", {**made, **MADE})
    return VARIANT.read(folder / "manifest.json")
