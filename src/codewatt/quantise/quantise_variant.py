"""The quantise stage: a model becomes a variant, pruned first and then quantised."""

import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.energy.job_energy_record import describe_making
from codewatt.energy.placement_check import RequestedHardware, check_placement
from codewatt.energy.sampler import Sampler
from codewatt.energy.timeline_writer import write_empty_timeline
from codewatt.errors import CodewattError
from codewatt.files import check_files, describe_files, read_json, sha256_file
from codewatt.models.loading import resolve_device, used_gpus
from codewatt.models.model_config import LAYER_KEYS, layer_count, read_configuration
from codewatt.models.model_files import own_files
from codewatt.models.packed_checkpoints import METHODS, packed_format_of
from codewatt.models.weight_headers import describe_weights
from codewatt.prune import remove_layers
from codewatt.prune.pruner import open_pruner
from codewatt.quantise.quantiser import Quantiser, open_quantiser

_LOG = logging.getLogger(__name__)
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def quantise_variant(
    settings: dict[str, Any],
    model_manifest: Path,
    corpus_paths: list[Path],
    scores_path: Path | None,
    weights: Path,
    timeline: Path,
    asked: RequestedHardware | None = None,
) -> dict[str, Any]:
    """Make a variant's weights while its energy is sampled.

    Args:
        settings: the study's slice: variant, prune, precision, corpora, device, energy.
        model_manifest: of the model that is compressed.
        corpus_paths: the documents of each of settings["corpora"].
        scores_path: what `score_layers` wrote, if layers are chosen by scores.
        weights: a directory of the variant's own; wiped first.
        timeline: where the telemetry is written (parquet); empty if nothing is made.
        asked: the hardware that a GPU's work must find; None where nobody says.

    Returns:
        The variant's manifest, less energy, provenance and code.

    Raises:
        CodewattError: the model's files are not those of its manifest, the hardware is not the
            one asked for, or a method refuses.
    """
    model = read_json(model_manifest)
    source = Path(model["weights"]["directory"])
    check_files(source, model["weights"]["files"])
    precision, prune = settings["precision"], settings["prune"]
    quantiser = open_quantiser(precision["method"])
    corpora = {
        corpus["id"]: PreparedCorpus.read(path, corpus)
        for corpus, path in zip(settings["corpora"], corpus_paths, strict=True)
    }
    kept = _kept_layers(source, prune, scores_path)
    shutil.rmtree(weights, ignore_errors=True)
    write_empty_timeline(timeline)  # the rule's output, also where nothing is metered
    described: dict[str, Any] = {"counts": None, "cost": {"windows": [], "duration_s": 0.0}}
    held = quantiser.held(source, precision)
    described["counts"] = held
    made = prune["method"] != "none" or (precision["method"] != "none" and held is None)
    device = "cpu"
    if made:
        sampler = Sampler(timeline, settings["energy"]).start()
        quantiser.import_libraries(precision)  # while the meters open
        if kept is not None:
            remove_layers.import_libraries()
        device = _device(settings["device"], precision["method"])
        gpu_ids = [] if device == "cpu" else used_gpus(device)
        with sampler:
            asked = None if precision["method"] == "none" else asked  # copies and cuts on a CPU
            placement = check_placement(asked, settings["device"], device, gpu_ids)
            sampler.use_gpus(gpu_ids)
            start_s = time.monotonic()
            calibration = corpora.get(precision.get("calibration"))
            counts = _compress(quantiser, source, weights, kept, precision, device, calibration)
            end_s = time.monotonic()
        cost = {
            **describe_making("quantise", start_s, end_s, timeline, sampler),
            "placement": placement,
        }
        described = {"counts": counts, "cost": cost}
    manifest = _manifest(settings, model, weights if made else source, made, device, **described)
    # A checkpoint that was packed before is not calibrated again, whatever corpus the study names.
    used = {prune.get("calibration"), precision.get("calibration") if held is None else None}
    return {
        **manifest,
        "packing": _packing(Path(manifest["weights"]["directory"]), made_here=held is None),
        "corpora": [corpus.describe() for name, corpus in corpora.items() if name in used],
        "kept_layers": kept,
        "scores": scores_path and {"path": str(scores_path), "sha256": sha256_file(scores_path)},
    }


def _kept_layers(source: Path, prune: dict[str, Any], scores_path: Path | None) -> list[int] | None:
    """The layers that stay, None if all do.

    Raises:
        CodewattError: there are too few layers, how many is not known, or the scores are another
            model's.
    """
    if prune["method"] == "none":
        return None
    layers = layer_count(read_configuration(source))
    if layers is None:
        raise CodewattError(
            f"{source / 'config.json'}: it does not say how many decoder layers there are, so none "
            f"can be removed; allowed: a model whose configuration has {' or '.join(LAYER_KEYS)}"
        )
    scores = read_json(scores_path) if scores_path else None
    if scores is not None and scores["layers"] != layers:
        raise CodewattError(f"{scores_path}: of {scores['layers']} layers, the model has {layers}")
    kept = open_pruner(prune["method"]).kept(layers, prune, scores)
    _LOG.info("kept layers %s of %d", kept, layers)
    return kept


def _manifest(
    settings: dict[str, Any],
    model: dict[str, Any],
    directory: Path,
    made: bool,
    device: str,
    counts: dict[str, Any] | None,
    cost: dict[str, Any],
) -> dict[str, Any]:
    """What was made, from what."""
    precision = settings["precision"]
    described = describe_weights(directory)
    files = model["weights"]["files"]
    if made:
        files = describe_files(directory, own_files(directory))
    dtype = open_quantiser(precision["method"]).load_dtype(precision)
    return {
        "schema": 1,
        "variant": settings["variant"],
        "method": precision["method"],
        "settings": {"prune": settings["prune"], "precision": precision},
        "base": {key: model[key] for key in ("source", "layers", "parameters", "dtypes")},
        "weights": {
            "directory": str(directory),
            "files": files,
        },
        "size_bytes": described["size_bytes"] if counts else _cast_bytes(described, dtype),
        "dtype": dtype,
        "layers": described["layers"],
        "parameters": _parameters(model, described, counts, precision["method"]),
        "model_type": described["model_type"],
        "quantised": counts,
        "meaningful_accuracy": model["meaningful_accuracy"],
        "device": device,
        **cost,
    }


def _packing(directory: Path, *, made_here: bool) -> dict[str, Any] | None:
    """How GPTQ or AWQ packed the variant, and whether here or before; None if neither did."""
    packing = packed_format_of(directory)
    if packing is None:
        return None
    return {
        "format": packing.layout,
        "symmetric": packing.symmetric,
        "made_here": made_here,
    }


def _device(asked: str, method: str) -> str:
    """Where the method runs; copying files needs no device, and so no torch."""
    return "cpu" if method == "none" else resolve_device(asked)


def _compress(
    quantiser: Quantiser,
    source: Path,
    weights: Path,
    kept: list[int] | None,
    precision: dict[str, Any],
    device: str,
    calibration: PreparedCorpus | None,
) -> dict[str, Any] | None:
    """Keep these layers, then quantise into `weights`. Returns the quantiser's counts."""
    weights.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".making.") as scratch:
        pruned = source
        if kept is not None:
            pruned = Path(scratch) / "pruned"
            remove_layers.remove_layers(source, pruned, kept)
        quantised = Path(scratch) / "quantised"
        counts = quantiser.quantise(pruned, quantised, precision, device, calibration)
        (quantised if quantised.exists() else pruned).rename(weights)
        return counts


def _cast_bytes(described: dict[str, Any], dtype: str) -> int:
    """Bytes of the weights once they are cast to the dtype they run in."""
    return int(described["parameters"]) * _DTYPE_BYTES[dtype]


def _parameters(
    model: dict[str, Any], described: dict[str, Any], counts: dict[str, Any] | None, method: str
) -> int | None:
    """Weights before packing: a quantised file's tensors hold several to the byte."""
    if counts is None or method in METHODS:
        return int(described["parameters"])
    if described["layers"] == model["layers"]:
        return int(model["parameters"])
    return None
