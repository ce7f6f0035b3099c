"""Scoring a model's layers: once a model, method and corpus, for all depths."""

import logging
import time
from pathlib import Path
from typing import Any

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.energy.job_energy_record import describe_making
from codewatt.energy.placement_check import RequestedHardware, check_placement
from codewatt.energy.sampler import Sampler
from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.decoder_layers import LayeredModel
from codewatt.models.loading import load_model, resolve_device, used_gpus
from codewatt.prune.pruner import open_pruner
from codewatt.prune.scored_pruner import ScoredPruner

_LOG = logging.getLogger(__name__)
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


def score_layers(
    settings: dict[str, Any],
    model_manifest: Path,
    documents: Path,
    timeline: Path,
    asked: RequestedHardware | None = None,
) -> dict[str, Any]:
    """Score a model's decoder layers while its energy is sampled.

    Args:
        settings: the study's slice: model, method, corpus, device, energy.
        model_manifest: of the model.
        documents: of the corpus.
        timeline: where the telemetry is written (parquet).
        asked: the hardware that the job must find; None where nobody says.

    Returns:
        What `quantise_variant` prunes by: the scores, "removed" for each depth, on what and how
        they were computed; less provenance and code.

    Raises:
        CodewattError: the model's files are not those of its manifest, the corpus is too short, the
            hardware is not the one asked for, or the layers cannot be scored.
    """
    model, corpus = read_json(model_manifest), PreparedCorpus.read(documents, settings["corpus"])
    pruner = open_pruner(settings["method"])
    if not isinstance(pruner, ScoredPruner):
        raise CodewattError(f"prune method {settings['method']!r}: it scores no layers")
    sampler = Sampler(timeline, settings["energy"]).start()
    import transformers.modeling_utils  # noqa: F401 - while the meters open

    device = resolve_device(settings["device"])
    dtype = scoring_dtype(model["dtypes"], device)
    with sampler:
        gpu_ids = used_gpus(device)
        placement = check_placement(asked, settings["device"], device, gpu_ids)
        sampler.use_gpus(gpu_ids)
        start_s = time.monotonic()
        weights = model["weights"]
        loaded = load_model(
            weights["directory"], dtype=dtype, device=device, files=weights["files"]
        )
        sequences = corpus.sequences(loaded.tokenizer)
        judged_from = corpus.first_scored_tokens(loaded.tokenizer)
        layered = LayeredModel(loaded.model, sequences, device, judged_from)
        scores = pruner.score(layered)
        end_s = time.monotonic()
    _LOG.info("%s: removed in turn %s", settings["method"], scores["removed"])
    return {
        "schema": 1,
        "model": settings["model"],
        "method": settings["method"],
        "layers": len(layered.layers),
        **scores,
        "corpus": corpus.describe(),
        "sequences": len(sequences),
        "tokens": sum(map(len, sequences)),
        "judged_tokens": sum(
            max(len(ids) - first, 0) for ids, first in zip(sequences, judged_from, strict=True)
        ),
        "device": device,
        "dtype": dtype,
        "placement": placement,
        **describe_making("score_layers", start_s, end_s, timeline, sampler),
    }


def scoring_dtype(stored: list[str], device: str) -> str:
    """In what a model is run to be scored: the checkpoint's own type, float32 on a CPU.

    16-bit products are slow on most CPUs, and some have none; every value of a 16-bit checkpoint
    is a float32 as well. Of several stored types it is the 16-bit one, which the matrices have.

    Args:
        stored: as safetensors names them.

    Raises:
        CodewattError: none of them is a floating-point type that models are run in.
    """
    if device == "cpu":
        return "float32"
    for name, dtype in _DTYPES.items():
        if name in stored:
            return dtype
    raise CodewattError(f"weights of type {', '.join(stored)}; allowed: {', '.join(_DTYPES)}")
