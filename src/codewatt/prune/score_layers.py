"""Scoring a model's layers: once a model, method and corpus, for all depths."""

import logging
from pathlib import Path

from typing_extensions import TypedDict

from codewatt.corpora.corpus_record import NamedCorpusSettings
from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.energy.metered_job import MeteredJob
from codewatt.energy.placement_check import RequestedHardware, check_placement
from codewatt.errors import CodewattError
from codewatt.models.decoder_layers import LayeredModel
from codewatt.models.loading import load_model, resolve_device, used_gpu_uuids
from codewatt.models.model_record import MODEL
from codewatt.prune.layer_scores_record import LayerScores
from codewatt.prune.pruner import open_pruner
from codewatt.prune.scored_pruner import ScoredPruner

_LOG = logging.getLogger(__name__)
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


class ScoringSettings(TypedDict):
    """The study's settings that `score_layers` reads.

    model: its id. method: of pruning. corpus: the calibration corpus. device: "auto", "cuda" or
    "cpu". hardware: None where the study names none. energy: fields of
    `sampler_settings.SamplerSettings`.
    """

    model: str
    method: str
    corpus: NamedCorpusSettings
    device: str
    hardware: str | None
    energy: dict[str, float]


def score_layers(
    settings: ScoringSettings,
    model_manifest: Path,
    documents: Path,
    timeline: Path,
    requested: RequestedHardware | None = None,
) -> LayerScores:
    """Score a model's decoder layers while its energy is sampled.

    Args:
        settings: the study's slice.
        model_manifest: of the model.
        documents: of the corpus.
        timeline: where the telemetry is written (parquet).
        requested: the hardware that the job must find; None where neither study nor site names
            any.

    Returns:
        What `quantise_variant` prunes by: the scores, "removed" for each depth, on what and how
        they were computed; less provenance and code.

    Raises:
        CodewattError: the model's files are not those of its manifest, the corpus is too short, the
            hardware is not the requested one, or the layers cannot be scored.
    """
    model, corpus = MODEL.read(model_manifest), PreparedCorpus.read(documents, settings["corpus"])
    pruner = open_pruner(settings["method"])
    if not isinstance(pruner, ScoredPruner):
        raise CodewattError(f"prune method {settings['method']!r}: it scores no layers")
    job = MeteredJob(timeline, settings["energy"]).start()
    import transformers.modeling_utils  # noqa: F401 - while the meters open

    device = resolve_device(settings["device"])
    dtype = scoring_dtype(model["dtypes"], device)
    with job:
        gpu_ids = used_gpu_uuids(device)
        placement = check_placement(requested, settings["device"], device, gpu_ids)
        job.use_gpus(gpu_ids)
        with job.window("score_layers"):
            weights = model["weights"]
            loaded = load_model(
                weights["directory"], dtype=dtype, device=device, files=weights["files"]
            )
            sequences = corpus.sequences(loaded.tokenizer)
            judged_from = corpus.first_scored_tokens(loaded.tokenizer)
            layered = LayeredModel(loaded.model, sequences, device, judged_from)
            scores = pruner.score(layered)
    _LOG.info("%s: removed in turn %s", settings["method"], scores["removed"])
    return {
        "schema": 2,
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
        "dtype": dtype,
        "placement": placement,
        **job.energy_record(device),
    }


def scoring_dtype(stored: list[str], device: str) -> str:
    """The dtype in which a model is scored: that of the checkpoint, float32 on a CPU.

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
    raise CodewattError(
        f"score_layers: the model's weights have dtype {', '.join(stored)}; allowed: "
        f"{', '.join(_DTYPES)}"
    )
