"""The fidelity stage: a variant answers a held-out corpus beside the baseline of its model."""

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.corpora.contamination import require_disjoint
from codewatt.corpora.corpus import read_documents
from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.energy.placement_check import RequestedHardware, check_placement
from codewatt.errors import CodewattError
from codewatt.fidelity.fidelity_metrics import Comparison, Perplexity
from codewatt.fidelity.logits_store import LIMIT_BYTES, KeptLogits, Question, answers, questions
from codewatt.files import read_json
from codewatt.logs import quiet_libraries
from codewatt.models.loading import (
    Loaded,
    UnsoundLogitsError,
    load_model,
    resolve_device,
    used_gpus,
)

_LOG = logging.getLogger(__name__)
NO_BASELINE = "the study has no baseline variant of this model"


@dataclass(frozen=True)
class FidelityFiles:
    """What the stage reads.

    variant, baseline: manifests; baseline: None if the study has none for this model.
    documents: of the corpus. calibration: of each corpus that the variant was calibrated on.
    """

    variant: Path
    baseline: Path | None
    documents: Path
    calibration: list[Path]


def measure_fidelity(
    settings: dict[str, Any],
    files: FidelityFiles,
    threads: int,
    asked: RequestedHardware | None = None,
) -> dict[str, Any]:
    """Compare a variant's logits and perplexity with the baseline's on the same tokens.

    Args:
        settings: the study's slice: variant, id, baseline (an id or None), corpus (with its id),
            calibrations (ids of corpora), device.
        threads: CPU threads for torch.
        asked: the hardware that the job must find; None where nobody says.

    Returns:
        The variant's fidelity, less provenance and code; status 'infeasible' with a reason if one
        of the two does not fit the device, or its logits are no answer.

    Raises:
        CodewattError: the corpus shares documents with one that the variant was calibrated on or
            asks for too much memory; the hardware is not the one asked for; a model cannot be
            loaded, does not answer, or reads the corpus as other tokens; or a compressed variant
            gives exactly its baseline's logits.
    """
    corpus = PreparedCorpus.read(files.documents, settings["corpus"])
    for name, path in zip(settings["calibrations"], files.calibration, strict=True):
        require_disjoint(name, read_documents(path), settings["corpus"]["id"], corpus.documents)
    import torch

    torch.set_num_threads(threads)
    device = resolve_device(settings["device"])
    placement = check_placement(asked, settings["device"], device, used_gpus(device))
    fidelity = _Fidelity(settings, files, corpus, device)
    try:
        found = {"status": "ok", **fidelity.measure()}
    except (torch.cuda.OutOfMemoryError, MemoryError, UnsoundLogitsError) as error:
        reason = f"{fidelity.running}: {' '.join(str(error).split()) or 'out of memory'}"
        _LOG.warning("infeasible: %s", reason)
        found = {"status": "infeasible", "reason": reason}
    return {
        "schema": 1,
        "variant": settings["variant"],
        "corpus": corpus.describe(),
        "baseline": settings["baseline"],
        "device": device,
        "threads": threads,
        "placement": placement,
        **found,
    }


class _Fidelity:
    """One variant's fidelity; one model is loaded at a time."""

    def __init__(
        self, settings: dict[str, Any], files: FidelityFiles, corpus: PreparedCorpus, device: str
    ) -> None:
        self.name, self.baseline_name = settings["id"], settings["baseline"]
        self.corpus_name = settings["corpus"]["id"]
        self.corpus, self.device = corpus, device
        self.variant = read_json(files.variant)
        self.baseline = None if files.baseline is None else read_json(files.baseline)
        self.running = self.name  # of which of the two memory may run out

    def measure(self) -> dict[str, Any]:
        """The baseline answers first and is freed; itself it is compared with a second time."""
        if self.baseline is None:
            loaded = self._load(self.name, self.variant)
            found = self._read(loaded, self._questions(loaded), self.name, _forget)
            return {**found, "baseline_model": None, "comparison": None, "reason": NO_BASELINE}
        loaded = self._load(self.baseline_name, self.baseline)
        asked = self._questions(loaded)
        kept = KeptLogits(sum(one.positions for one in asked), self.corpus_name, LIMIT_BYTES)
        baseline = self._read(loaded, asked, self.baseline_name, kept.add)
        if self.name != self.baseline_name:
            del loaded
            _free(self.device)
            loaded = self._load(self.name, self.variant)
            if self._questions(loaded) != asked:
                raise CodewattError(
                    f"variant {self.name!r}: its tokenizer makes other tokens of corpus "
                    f"{self.corpus_name!r} than that of {self.baseline_name!r}"
                )
        comparison, theirs = Comparison(self.name), iter(kept)
        found = self._read(
            loaded, asked, self.name, lambda logits: comparison.add(next(theirs), logits)
        )
        self._refuse_no_op(comparison)
        return {
            **found,
            "baseline_model": baseline["model"],
            "comparison": comparison.result(),
            "reason": None,
        }

    def _load(self, name: str, manifest: dict[str, Any]) -> Loaded:
        self.running = name
        weights = manifest["weights"]
        return load_model(
            weights["directory"],
            dtype=manifest["dtype"],
            device=self.device,
            files=weights["files"],
        )

    def _questions(self, loaded: Loaded) -> list[Question]:
        return questions(self.corpus, loaded, self.corpus_name)

    def _read(
        self, loaded: Loaded, asked: list[Question], name: str, each: Callable[[Any], None]
    ) -> dict[str, Any]:
        """A model's perplexity on the sequences; `each` gets the logits of every sequence."""
        perplexity, logits_dtype = Perplexity(), None
        with quiet_libraries():
            for logits, targets in answers(loaded, asked, f"variant {name!r}"):
                each(logits)
                perplexity.add(logits, targets)
                logits_dtype = str(logits.dtype).removeprefix("torch.")
        return {
            "sequences": len(asked),
            "positions": perplexity.positions,
            "model": {
                "class": type(loaded.model).__name__,
                "layers": loaded.model.config.num_hidden_layers,
                "dtype": loaded.dtype,
                "logits_dtype": logits_dtype,
                **perplexity.result(),
            },
        }

    def _refuse_no_op(self, comparison: Comparison) -> None:
        """If one of two variants is compressed and the other is not so, some logit differs."""
        if self.name == self.baseline_name or not comparison.identical:
            return
        if any(_compressed(manifest) for manifest in (self.variant, self.baseline or {})):
            raise CodewattError(
                f"variant {self.name!r}: all its logits on corpus {self.corpus_name!r} are exactly "
                f"those of {self.baseline_name!r}: compressing changed nothing"
            )


def _compressed(manifest: dict[str, Any]) -> bool:
    """Whether a variant is pruned or quantised."""
    return any(part["method"] != "none" for part in manifest.get("settings", {}).values())


def _forget(logits: Any) -> None:
    """There is nothing to compare with."""


def _free(device: str) -> None:
    """Give a deleted model's memory back before the next one is loaded."""
    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
