"""The stage train_nano: trains a nano model and returns its manifest."""

import shutil
from pathlib import Path

from codewatt.models.fetch import model_manifest
from codewatt.models.model_record import ModelSource, TrainedModel
from codewatt.nano.training import train_nano


def train_nano_model(settings: ModelSource, weights: Path, threads: int) -> TrainedModel:
    """Train a nano model into a directory, which is deleted first.

    Args:
        settings: a study's nano model without id and label.
        weights: directory of the model.
        threads: CPU threads; the weights depend on the seed and on this number.

    Returns:
        The model's manifest, with a record of the training.
    """
    shutil.rmtree(weights, ignore_errors=True)
    chosen = {key: value for key, value in settings.items() if key != "source"}
    training = train_nano(chosen, weights, threads)
    manifest = model_manifest(settings, weights, meaningful_accuracy=True)
    return {**manifest, "training": training}
