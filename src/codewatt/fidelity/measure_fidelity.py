"""The fidelity stage: a variant's logits on a held-out corpus beside those of its baseline."""

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from codewatt.corpora.contamination import require_disjoint
from codewatt.corpora.corpus import read_documents
from codewatt.corpora.corpus_record import NamedCorpusSettings
from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.energy.placement_check import RequestedHardware, check_placement
from codewatt.energy.record_ids import VariantIds
from codewatt.errors import CodewattError
from codewatt.fidelity.fidelity_metrics import LogitsComparison, Perplexity
from codewatt.fidelity.fidelity_record import (
    CommonFidelityFields,
    Fidelity,
    FidelityMeasurement,
    MeasuredModel,
)
from codewatt.fidelity.logits_store import (
    LIMIT_BYTES,
    LogitsStore,
    ScoredSequence,
    predict,
    scored_sequences,
)
from codewatt.logs import mute_library_logs
from codewatt.models.gguf_logits import load_gguf_logits
from codewatt.models.loading import (
    InvalidLogitsError,
    Loaded,
    load_model,
    resolve_device,
    used_gpu_uuids,
)
from codewatt.quantise.variant_record import VARIANT, VariantRecord

_LOG = logging.getLogger(__name__)
NO_BASELINE = "the study has no baseline variant of this model"


@dataclass(frozen=True)
class FidelityFiles:
    """The files that the stage reads.

    variant, baseline: records of variants; baseline: None if the study has none of this model.
    documents: of the held-out corpus. calibration: documents of each corpus that the variant was
    calibrated on.
    """

    variant: Path
    baseline: Path | None
    documents: Path
    calibration: list[Path]


class FidelitySettings(TypedDict):
    """The study's settings that `measure_fidelity` reads.

    id: of the variant. baseline: id of the baseline variant; None if the study has none of this
    model. corpus: the held-out corpus. calibrations: ids of the variant's calibration corpora.
    device: "auto", "cuda" or "cpu". hardware: None where the study names none.
    """

    id: str
    variant: VariantIds
    baseline: str | None
    corpus: NamedCorpusSettings
    calibrations: list[str]
    device: str
    hardware: str | None


def measure_fidelity(
    settings: FidelitySettings,
    files: FidelityFiles,
    threads: int,
    requested: RequestedHardware | None = None,
) -> Fidelity:
    """Compare a variant's logits and perplexity with the baseline's on the same tokens.

    Args:
        settings: the study's slice.
        threads: CPU threads for torch.
        requested: the hardware that the job must find; None where neither study nor site names
            any.

    Returns:
        The record before provenance is added; its status is 'infeasible', with a reason, if one of
        the two models does not fit the device or gives invalid logits.

    Raises:
        CodewattError: the corpus shares documents with one that the variant was calibrated on or
            asks for too much memory; the hardware is not the requested one; a model cannot be
            loaded, or gives only zeros for a position; the two tokenizers make different tokens; or
            a compressed variant gives exactly its baseline's logits.
    """
    corpus = PreparedCorpus.read(files.documents, settings["corpus"])
    for name, path in zip(settings["calibrations"], files.calibration, strict=True):
        require_disjoint(name, read_documents(path), settings["corpus"]["id"], corpus.documents)
    import torch

    torch.set_num_threads(threads)
    device = resolve_device(settings["device"])
    placement = check_placement(requested, settings["device"], device, used_gpu_uuids(device))
    frame: CommonFidelityFields = {
        "schema": 2,
        "variant": settings["variant"],
        "corpus": corpus.describe(),
        "baseline": settings["baseline"],
        "device": device,
        "threads": threads,
        "placement": placement,
    }
    run = _FidelityRun(settings, files, corpus, device)
    try:
        return {**frame, **run.measure()}
    except (torch.cuda.OutOfMemoryError, MemoryError, InvalidLogitsError) as error:
        reason = f"{run.loaded_variant}: {' '.join(str(error).split()) or 'out of memory'}"
    _LOG.warning("infeasible: %s", reason)
    return {**frame, "status": "infeasible", "reason": reason}


class _FidelityRun:
    """The measurement of one variant; one model is loaded at a time.

    Attributes:
        loaded_variant: id of the variant that was loaded last, for the reason of a failure.
    """

    def __init__(
        self, settings: FidelitySettings, files: FidelityFiles, corpus: PreparedCorpus, device: str
    ) -> None:
        self.name, self.baseline_name = settings["id"], settings["baseline"]
        self.corpus_name = settings["corpus"]["id"]
        self.corpus, self.device = corpus, device
        self.variant = VARIANT.read(files.variant)
        self.baseline = None if files.baseline is None else VARIANT.read(files.baseline)
        self.loaded_variant = self.name

    def measure(self) -> FidelityMeasurement:
        """Run the baseline, free it, then run the variant.

        A baseline is compared with itself: it runs twice, without being loaded again.
        """
        if self.baseline is None or self.baseline_name is None:
            loaded = self._load(self.name, self.variant)
            sequences = scored_sequences(self.corpus, loaded, self.corpus_name)
            model = self._perplexity(loaded, sequences, self.name, _ignore)
            return {
                "status": "ok",
                "sequences": len(sequences),
                "positions": sum(model["sequence_positions"]),
                "model": model,
                "baseline_model": None,
                "comparison": None,
                "reason": NO_BASELINE,
            }
        loaded = self._load(self.baseline_name, self.baseline)
        sequences = scored_sequences(self.corpus, loaded, self.corpus_name)
        positions = sum(sequence.positions for sequence in sequences)
        store = LogitsStore(positions, self.corpus_name, LIMIT_BYTES)
        baseline = self._perplexity(loaded, sequences, self.baseline_name, store.add)
        if self.name != self.baseline_name:
            del loaded
            _free_memory(self.device)
            loaded = self._load(self.name, self.variant)
            if scored_sequences(self.corpus, loaded, self.corpus_name) != sequences:
                raise CodewattError(
                    f"variant {self.name!r}: its tokenizer gives other tokens for corpus "
                    f"{self.corpus_name!r} than that of {self.baseline_name!r}"
                )
        comparison, baseline_logits = LogitsComparison(self.name), iter(store)
        model = self._perplexity(
            loaded,
            sequences,
            self.name,
            lambda logits: comparison.add(next(baseline_logits), logits),
        )
        self._refuse_no_op(comparison)
        return {
            "status": "ok",
            "sequences": len(sequences),
            "positions": positions,
            "model": model,
            "baseline_model": baseline,
            "comparison": comparison.result(),
            "reason": None,
        }

    def _load(self, name: str, variant: VariantRecord) -> Loaded:
        self.loaded_variant = name
        directory, files = variant["weights"]["directory"], variant["weights"]["files"]
        if variant["method"] == "gguf":  # llama.cpp computes on the CPU, whatever the device
            return load_gguf_logits(directory, files, variant["dtype"])
        # Torch multiplies packed layers, if it can, so that no kernel has to be compiled.
        return load_model(
            directory,
            dtype=variant["dtype"],
            device=self.device,
            files=files,
            keep_packed_layout=True,
        )

    def _perplexity(
        self,
        loaded: Loaded,
        sequences: list[ScoredSequence],
        name: str,
        use_logits: Callable[[Any], None],
    ) -> MeasuredModel:
        """A model's perplexity; `use_logits` is called with the logits of each sequence."""
        perplexity, logits_dtype = Perplexity(), None
        with mute_library_logs():
            for logits, targets in predict(loaded, sequences, f"variant {name!r}"):
                use_logits(logits)
                perplexity.add(logits, targets)
                logits_dtype = str(logits.dtype).removeprefix("torch.")
        return {
            "class": type(loaded.model).__name__,
            "layers": loaded.model.config.num_hidden_layers,
            "dtype": loaded.dtype,
            "logits_dtype": logits_dtype,
            **perplexity.result(),
        }

    def _refuse_no_op(self, comparison: LogitsComparison) -> None:
        """Refuse logits that are all identical though one of the two variants is compressed."""
        if self.name == self.baseline_name or not comparison.identical:
            return
        if any(_compressed(variant) for variant in (self.variant, self.baseline) if variant):
            raise CodewattError(
                f"variant {self.name!r}: all its logits on corpus {self.corpus_name!r} are exactly "
                f"those of {self.baseline_name!r}: compressing changed nothing"
            )


def _compressed(variant: VariantRecord) -> bool:
    """Whether a variant is pruned or quantised."""
    settings = variant["settings"]
    return any(part["method"] != "none" for part in (settings["prune"], settings["precision"]))


def _ignore(logits: Any) -> None:
    """Without a baseline the logits themselves are not needed."""


def _free_memory(device: str) -> None:
    """Give a deleted model's memory back before the next one is loaded."""
    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
