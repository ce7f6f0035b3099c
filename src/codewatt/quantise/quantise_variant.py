"""The quantise stage: a model becomes a variant, pruned first and then quantised.

How layers are chosen is the pruner's matter, how weights are packed the quantiser's.
"""

import logging
import shutil
import tempfile
from pathlib import Path

from typing_extensions import TypedDict

from codewatt.corpora.corpus_record import NamedCorpusSettings
from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.energy.metered_job import MeteredJob, unmetered
from codewatt.energy.placement_check import RequestedHardware, check_placement
from codewatt.energy.record_ids import VariantIds
from codewatt.energy.timeline_writer import write_empty_timeline
from codewatt.errors import CodewattError
from codewatt.files import check_files, describe_files, sha256_file
from codewatt.models.loading import resolve_device, used_gpu_uuids
from codewatt.models.model_config import LAYER_KEYS, layer_count, read_configuration
from codewatt.models.model_record import MODEL, ModelRecord, QuantisedCounts, WeightsSummary
from codewatt.models.packed_format import read_packed_format
from codewatt.prune import remove_layers
from codewatt.prune.layer_scores_record import LAYER_SCORES
from codewatt.prune.prune_settings import PruneSettings
from codewatt.prune.pruner import open_pruner
from codewatt.quantise.precision_settings import PrecisionSettings
from codewatt.quantise.quantiser import Quantiser, open_quantiser
from codewatt.quantise.variant_record import BaseModel, PackingRecord, VariantDescription

_LOG = logging.getLogger(__name__)
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class QuantiseSettings(TypedDict):
    """The study's settings that `quantise` reads.

    corpora: the calibration corpora. device: "auto", "cuda" or "cpu". hardware: None where the
    study names none. energy: fields of `sampler_settings.SamplerSettings`.
    """

    variant: VariantIds
    prune: PruneSettings
    precision: PrecisionSettings
    corpora: list[NamedCorpusSettings]
    device: str
    hardware: str | None
    energy: dict[str, float]


def quantise_variant(
    settings: QuantiseSettings,
    model_manifest: Path,
    corpus_paths: list[Path],
    scores_path: Path | None,
    weights: Path,
    timeline: Path,
    requested: RequestedHardware | None = None,
) -> VariantDescription:
    """Make a variant's weights while its energy is sampled.

    Args:
        settings: the study's slice.
        model_manifest: of the model that is compressed.
        corpus_paths: the documents of each of settings["corpora"].
        scores_path: what `score_layers` wrote, if layers are chosen by scores.
        weights: a directory of the variant's own; wiped first.
        timeline: where the telemetry is written (parquet); empty if nothing is made.
        requested: the hardware that a GPU's work must find; None where neither study nor site names
            any.

    Returns:
        The variant's record before provenance is added.

    Raises:
        CodewattError: the model's files are not those of its manifest, the hardware is not the
            requested one, or a method refuses.
    """
    model = MODEL.read(model_manifest)
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
    held = quantiser.existing_counts(source, precision)
    made = prune["method"] != "none" or (precision["method"] != "none" and held is None)
    counts, energy, placement = held, unmetered("cpu"), None
    if made:
        job = MeteredJob(timeline, settings["energy"]).start()
        quantiser.import_libraries(precision)  # while the meters open
        if kept is not None:
            remove_layers.import_libraries()
        device = _device(settings["device"], precision["method"])
        gpu_ids = [] if device == "cpu" else used_gpu_uuids(device)
        with job:
            # Copying files and removing layers run on any node's CPU.
            requested = None if precision["method"] == "none" else requested
            placement = check_placement(requested, settings["device"], device, gpu_ids)
            job.use_gpus(gpu_ids)
            named = precision.get("calibration")
            calibration = None if named is None else corpora.get(named)
            with job.window("quantise"):
                counts = _compress(quantiser, source, weights, kept, precision, device, calibration)
        energy = job.energy_record(device)
    directory = weights if made else source
    summary = quantiser.summarise(directory)
    dtype = quantiser.load_dtype(precision)
    # A checkpoint that was packed before is not calibrated again, whatever corpus the study names.
    used = {prune.get("calibration"), precision.get("calibration") if held is None else None}
    return {
        "schema": 2,
        "variant": settings["variant"],
        "method": precision["method"],
        "settings": {"prune": prune, "precision": precision},
        "base": _base(model),
        "weights": {
            "directory": str(directory),
            "files": describe_files(directory, quantiser.list_files(directory))
            if made
            else model["weights"]["files"],
        },
        "size_bytes": summary["size_bytes"] if counts else _cast_bytes(summary, dtype),
        "dtype": dtype,
        "layers": summary["layers"],
        "parameters": _parameters(model, summary, counts, quantiser),
        "model_type": summary["model_type"],
        "quantised": counts,
        "meaningful_accuracy": model["meaningful_accuracy"],
        **energy,
        "placement": placement,
        "packing": _packing(directory, made_here=held is None),
        "corpora": [corpus.describe() for name, corpus in corpora.items() if name in used],
        "kept_layers": kept,
        "scores": None
        if scores_path is None
        else {"path": str(scores_path), "sha256": sha256_file(scores_path)},
    }


def _base(model: ModelRecord) -> BaseModel:
    """What the variant's record says of the model that it is made of."""
    base: BaseModel = {
        "source": model["source"],
        "layers": model["layers"],
        "parameters": model["parameters"],
        "dtypes": model["dtypes"],
    }
    if "unpacked_from" in model:
        base["packed_as"] = model["unpacked_from"]["packed_as"]
    return base


def _kept_layers(source: Path, prune: PruneSettings, scores_path: Path | None) -> list[int] | None:
    """Indices of the layers that stay; None if all do.

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
    scores = LAYER_SCORES.read(scores_path) if scores_path else None
    if scores is not None and scores["layers"] != layers:
        raise CodewattError(
            f"{scores_path}: scores of {scores['layers']} layers; the model has {layers} layers"
        )
    kept = open_pruner(prune["method"]).kept_layers(layers, prune, scores)
    _LOG.info("kept layers %s of %d", kept, layers)
    return kept


def _packing(directory: Path, *, made_here: bool) -> PackingRecord | None:
    """How GPTQ or AWQ packed the variant, and whether here or before; None if neither did."""
    packing = read_packed_format(directory)
    if packing is None:
        return None
    return {
        "format": packing.layout,
        "symmetric": packing.symmetric,
        "made_here": made_here,
    }


def _device(study_device: str, method: str) -> str:
    """Where the method runs; copying files needs no device, and so no torch."""
    return "cpu" if method == "none" else resolve_device(study_device)


def _compress(
    quantiser: Quantiser,
    source: Path,
    weights: Path,
    kept: list[int] | None,
    precision: PrecisionSettings,
    device: str,
    calibration: PreparedCorpus | None,
) -> QuantisedCounts | None:
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


def _cast_bytes(summary: WeightsSummary, dtype: str) -> int:
    """Bytes of the weights once they are cast to the dtype they run in."""
    return summary["parameters"] * _DTYPE_BYTES[dtype]


def _parameters(
    model: ModelRecord,
    summary: WeightsSummary,
    counts: QuantisedCounts | None,
    quantiser: Quantiser,
) -> int | None:
    """Weights before packing; None for a pruned variant of a method whose tensors do not tell."""
    if counts is None or quantiser.tensors_tell_parameters:
        return summary["parameters"]
    if summary["layers"] == model["layers"]:
        return model["parameters"]
    return None
