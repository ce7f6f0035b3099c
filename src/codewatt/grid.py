"""The grid of a study: its cells, and the part of the study's settings that each stage reads.

The settings that a stage reads are its slice. Results of a stage are stale if its slice has
changed; a change of other settings has no effect on them.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

from codewatt.cells import (
    Cell,
    Variant,
    cells_to_compare,
    pairs_to_compare,
    variants_of,
)
from codewatt.config.compression_settings import calibration_of, lines_of
from codewatt.config.model_settings import Model
from codewatt.config.prune_depths import layers_removed
from codewatt.config.strict_model import Entry
from codewatt.config.study import AXES, Study, matches
from codewatt.errors import CodewattError
from codewatt.files import canonical_json
from codewatt.sampler_settings import SamplerSettings


class Grid:
    """The cells of a study in order, and the slices of the study that each stage reads.

    A slice is canonical JSON text: Snakemake compares params by repr, and this text is the same
    for the same values, whatever the order of the keys in the study file.
    """

    def __init__(self, study: Study, where: str = "study") -> None:
        """Build the grid of a study; `where` is its file, for error messages.

        Raises:
            CodewattError: exclude leaves no cell, or none of the baseline's.
        """
        self.study = study
        self.where = where
        self.cells = tuple(self._cells())
        if not self.cells:
            raise CodewattError(f"{where}: exclude: it leaves no cell; allowed: at least one")
        self._check_baseline()
        self._check_pairs()

    def _cells(self) -> Iterable[Cell]:
        axes: list[list[Any]] = [self.study.values(axis) or [None] for axis in AXES]
        for values in itertools.product(*axes):
            named: dict[str, Any] = dict(zip(AXES, values, strict=True))
            if self.study.too_deep(named["model"], named["prune"]):
                continue
            if not any(matches(entry, named) for entry in self.study.exclusions):
                yield Cell(**named)

    def _check_baseline(self) -> None:
        baseline = self.study.baseline
        if not any(
            (c.prune, c.precision) == (baseline.prune, baseline.precision) for c in self.cells
        ):
            raise CodewattError(
                f"{self.where}: exclude: it leaves no cell of the baseline (prune "
                f"{baseline.prune!r}, precision {baseline.precision!r}); allowed: at least one"
            )

    @cached_property
    def measured_cells(self) -> tuple[Cell, ...]:
        """Every cell in every session, the first session first."""
        return self.in_all_sessions(self.cells)

    def in_all_sessions(self, cells: Iterable[Cell]) -> tuple[Cell, ...]:
        """Cells of the design in every session of the study, the first session first."""
        chosen = tuple(cells)
        sessions = range(1, self.study.sessions + 1)
        return tuple(cell.in_session(session) for session in sessions for cell in chosen)

    def in_session(self, session: int) -> tuple[Cell, ...]:
        """The cells of the design in one session."""
        return tuple(cell.in_session(session) for cell in self.cells)

    @cached_property
    def named_pairs(self) -> list[tuple[str, str]]:
        """Ids of the cells that the study compares besides those with baselines, and references."""
        pairs = [
            (cell.design_id, reference.design_id)
            for pair in self.study.comparisons.pairs
            for cell, reference in cells_to_compare(self.cells, pair.cell, pair.reference)
        ]
        return list(dict.fromkeys(pairs))

    @cached_property
    def compared_pairs(self) -> list[tuple[str, str]]:
        """(id of a cell, id of its reference) of every comparison of two different cells."""
        prune, precision = self.study.baseline.prune, self.study.baseline.precision
        baseline_of: dict[str, str | None] = {
            cell.design_id: replace(cell, prune=prune, precision=precision).design_id
            for cell in self.cells
        }
        pairs = pairs_to_compare(baseline_of, self.named_pairs)
        return [(cell, reference) for cell, reference in pairs if cell != reference]

    def _check_pairs(self) -> None:
        for index, pair in enumerate(self.study.comparisons.pairs):
            if not cells_to_compare(self.cells, pair.cell, pair.reference):
                raise CodewattError(
                    f"{self.where}: comparisons.pairs[{index}]: no two cells of the study match "
                    f"cell {pair.cell} and reference {pair.reference}; allowed: at least one pair"
                )

    @cached_property
    def twins(self) -> dict[str, Cell]:
        """Id of each baseline cell -> its twin, the same cell with a second id for the A/A test."""
        baseline = (self.study.baseline.prune, self.study.baseline.precision)
        chosen = [cell for cell in self.cells if (cell.prune, cell.precision) == baseline]
        return {cell.id: replace(cell, second_run=True) for cell in chosen}

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The variants that some cell needs, in order."""
        return variants_of(self.cells)

    @cached_property
    def model_ids(self) -> tuple[str, ...]:
        """The models that some cell needs, in order."""
        return tuple(dict.fromkeys(cell.model for cell in self.cells))

    @cached_property
    def benchmark_ids(self) -> tuple[str, ...]:
        """The benchmarks that some cell needs, in order."""
        return tuple(dict.fromkeys(cell.benchmark for cell in self.cells))

    @cached_property
    def has_domains(self) -> bool:
        """Whether the tasks of a benchmark have domains: only those of BigCodeBench do."""
        kinds = {self.settings("benchmark", name)["kind"] for name in self.benchmark_ids}
        return "bigcodebench" in kinds

    @cached_property
    def hardware_ids(self) -> tuple[str | None, ...]:
        """The hardware that some cell runs on, in order; (None,) where the study names none."""
        return tuple(dict.fromkeys(cell.hardware for cell in self.cells))

    @cached_property
    def _cell_by_id(self) -> dict[str, Cell]:
        return {cell.id: cell for cell in (*self.measured_cells, *self.twins.values())}

    @cached_property
    def _variant_by_id(self) -> dict[str, Variant]:
        return {variant.id: variant for variant in self.variants}

    def cell(self, cell_id: str) -> Cell:
        """Look up a cell.

        Raises:
            CodewattError: no cell of this study has that id.
        """
        if cell_id not in self._cell_by_id:
            raise CodewattError(f"{cell_id}: no such cell in study {self.study.study!r}")
        return self._cell_by_id[cell_id]

    def variant(self, variant_id: str) -> Variant:
        """Look up a variant.

        Raises:
            CodewattError: no variant of this study has that id.
        """
        if variant_id not in self._variant_by_id:
            raise CodewattError(f"{variant_id}: no such variant in study {self.study.study!r}")
        return self._variant_by_id[variant_id]

    @cached_property
    def _hardware_of_variant(self) -> dict[Variant, str | None]:
        return {cell.variant: cell.hardware for cell in reversed(self.cells)}

    def quantise_hardware(self, variant: Variant) -> str | None:
        """The hardware on which a variant is made for all its cells: that of the first cell."""
        return self._hardware_of_variant[variant]

    def model_hardware(self, model_id: str) -> str | None:
        """The hardware on which a model's layers are scored: that of its first cell."""
        return next(cell.hardware for cell in self.cells if cell.model == model_id)

    def model_rule(self, model_id: str) -> str:
        """The rule that makes a model: it trains, downloads, or fetches and makes locally."""
        model: Model = next(entry for entry in self.study.models if entry.id == model_id)
        if model.source == "nano":
            return "train_nano"
        return "download_model" if model.downloads else "fetch_model"

    def models_made_by(self, rule: str) -> list[str]:
        """Ids of the needed models that a rule makes."""
        return [model for model in self.model_ids if self.model_rule(model) == rule]

    def models_of(self, *sources: str) -> list[str]:
        """Ids of the needed models that come from one of the sources."""
        return [m.id for m in self.study.models if m.source in sources and m.id in self.model_ids]

    def settings(self, kind: str, entry_id: str) -> dict[str, Any]:
        """The settings of a model, prune, precision, benchmark or corpus, without id and label."""
        return self._entry(kind, entry_id).settings()

    def _entry(self, kind: str, entry_id: str) -> Entry:
        entries: list[Entry] = self.study.entries(kind)
        return next(entry for entry in entries if entry.id == entry_id)

    def method(self, kind: str, entry_id: str) -> str:
        """The method of a prune or precision; its module has the same name."""
        return str(self.settings(kind, entry_id)["method"])

    def is_instruct(self, model_id: str) -> bool | None:
        """Whether a model is an instruct model; None if unknown."""
        model: Model = next(entry for entry in self.study.models if entry.id == model_id)
        return model.is_instruct

    def model_slice(self, model_id: str) -> str:
        """The settings that training or fetching a model reads."""
        settings = self.settings("model", model_id)
        if settings["source"] in ("hub", "path", "gguf"):
            for key in ("layers", "instruct"):  # what the study says of them changes no weights
                settings.pop(key)
        return canonical_json(settings)

    def calibrations(self, variant: Variant) -> tuple[str, ...]:
        """Ids of the corpora that making a variant reads, in order."""
        entries = (
            self._entry("prune", variant.prune),
            self._entry("precision", variant.precision),
        )
        named = [corpus for entry in entries if (corpus := calibration_of(entry)) is not None]
        return tuple(dict.fromkeys(named))

    @cached_property
    def corpus_ids(self) -> tuple[str, ...]:
        """The corpora that some variant or the study's fidelity needs, in order."""
        fidelity = [self.study.fidelity.corpus] if self.study.fidelity else []
        named = [corpus for variant in self.variants for corpus in self.calibrations(variant)]
        return tuple(dict.fromkeys([*named, *fidelity]))

    def scoring(self, variant: Variant) -> tuple[str, str, str] | None:
        """(model, method, corpus) of the layer scores that pruning a variant uses; None if none."""
        corpus = calibration_of(self._entry("prune", variant.prune))
        method = self.method("prune", variant.prune)
        return None if corpus is None else (variant.model, method, corpus)

    @cached_property
    def scorings(self) -> tuple[tuple[str, str, str], ...]:
        """The (model, method, corpus) of all layer scores that some variant needs, in order."""
        needed = [one for variant in self.variants if (one := self.scoring(variant)) is not None]
        return tuple(dict.fromkeys(needed))

    def score_slice(self, model_id: str, method: str, corpus_id: str) -> str:
        """The settings that scoring a model's layers reads; scores are the same for all depths."""
        return canonical_json(
            {
                "model": model_id,
                "method": method,
                "corpus": {"id": corpus_id, **self.settings("corpus", corpus_id)},
                "device": self.study.device,
                "hardware": self.model_hardware(model_id),
                "energy": self._sampling(),
            }
        )

    def corpus_slice(self, corpus_id: str) -> str:
        """The settings that preparing a corpus reads."""
        return canonical_json(self.settings("corpus", corpus_id))

    def contamination_slice(self, corpus_id: str, benchmark_id: str) -> str:
        """The settings that the contamination check reads."""
        return canonical_json({"corpus": corpus_id, "benchmark": benchmark_id})

    def benchmark_slice(self, benchmark_id: str) -> str:
        """The settings that preparing a benchmark reads."""
        return canonical_json(self.settings("benchmark", benchmark_id))

    def quantise_slice(self, variant: Variant) -> str:
        """The settings that quantise reads."""
        return canonical_json(
            {
                "variant": asdict(variant),
                "prune": self.settings("prune", variant.prune),
                "precision": self.settings("precision", variant.precision),
                "corpora": [
                    {"id": corpus, **self.settings("corpus", corpus)}
                    for corpus in self.calibrations(variant)
                ],
                "device": self.study.device,
                "hardware": self.quantise_hardware(variant),
                "energy": self._sampling(),
            }
        )

    def baseline_of(self, variant: Variant) -> Variant | None:
        """The baseline variant of a variant's model; None if the study excludes it."""
        baseline = self.study.baseline
        found = Variant(variant.model, baseline.prune, baseline.precision)
        return found if found in self.variants else None

    def baselines_first(self, cells: Sequence[Cell], most: int) -> list[Cell]:
        """The first `most` cells in groups of a model and a setting, each with its baseline first.

        A group that does not fit is cut; so the baseline of each cell in the result is in it.
        """
        baseline = (self.study.baseline.prune, self.study.baseline.precision)
        groups: dict[Cell, list[Cell]] = {}
        for cell in cells:
            key = replace(cell, prune=baseline[0], precision=baseline[1])
            groups.setdefault(key, []).append(cell)
        ordered = [
            cell
            for group in groups.values()
            for cell in sorted(group, key=lambda cell: (cell.prune, cell.precision) != baseline)
        ]
        return ordered[:most]

    def fidelity_slice(self, variant: Variant) -> str:
        """The settings that measure_fidelity reads.

        Raises:
            CodewattError: the study has no fidelity.
        """
        if self.study.fidelity is None:
            raise CodewattError(f"{self.where}: fidelity: there is none in this study")
        baseline, corpus = self.baseline_of(variant), self.study.fidelity.corpus
        return canonical_json(
            {
                "id": variant.id,
                "variant": asdict(variant),
                "baseline": None if baseline is None else baseline.id,
                "corpus": {"id": corpus, **self.settings("corpus", corpus)},
                "calibrations": self.calibrations(variant),
                "device": self.study.device,
                "hardware": self.quantise_hardware(variant),
            }
        )

    def generate_slice(self, cell: Cell) -> str:
        """The settings that generate reads."""
        energy = self.study.energy
        return canonical_json(
            {
                "cell": cell.identity(),
                "device": self.study.device,
                "decoding": self.study.decoding.model_dump(mode="json"),
                "energy": {
                    **self._sampling(),
                    "idle_s": energy.idle_s,
                    "start": None if energy.start is None else energy.start.model_dump(mode="json"),
                },
            }
        )

    def evaluate_slice(self) -> str:
        """The settings that evaluate reads."""
        evaluation = self.study.evaluation.model_dump(mode="json")
        return canonical_json({**evaluation, "energy": self._sampling()})

    def energy_slice(self) -> str:
        """The settings that measure_energy and measure_making_energy read."""
        read = {"boundary", "country", "validity"}
        return canonical_json(self.study.energy.model_dump(mode="json", include=read))

    def aggregate_slice(self, cells: Sequence[Cell]) -> str:
        """The settings that aggregate reads: cells of all sessions, their order, comparisons."""
        prunes = {cell.prune for cell in cells}
        return canonical_json(
            {
                "cells": [cell.identity() for cell in cells],
                "order_seed": self.study.order_seed,
                "variants": [{"id": v.id, **asdict(v)} for v in variants_of(cells)],
                "layers_removed": {
                    prune.id: layers_removed(prune)
                    for prune in self.study.single_prunes
                    if prune.id in prunes
                },
                "baseline": self.study.baseline.model_dump(mode="json"),
                "boundary": self.study.energy.boundary,
                "comparisons": {
                    "pass_at_1_margin": self.study.comparisons.pass_at_1_margin,
                    "equivalence_margin": self.study.comparisons.equivalence_margin,
                    "board_spread": self.study.comparisons.board_spread,
                    "pairs": self.named_pairs,
                },
            }
        )

    def aa_slice(self, cells: Sequence[Cell]) -> str:
        """The settings that the A/A test reads: the cells that ran, in order, and their twins."""
        twins = [[cell_id, twin.id] for cell_id, twin in self.twins.items()]
        margin = self.study.comparisons.aa_margin
        return canonical_json(
            {"cells": [cell.id for cell in cells], "twins": twins, "margin": margin}
        )

    def labels_slice(self) -> str:
        """The labels that figures and the summary show, in the study's order."""
        labels = {
            kind: {entry.id: entry.label or entry.id for entry in self.study.entries(kind)}
            for kind in ("model", "prune", "precision", "benchmark", "corpus")
        }
        labels["prune_line"] = lines_of(self.study.single_prunes)
        return json.dumps({"title": self.study.title, "labels": labels}, ensure_ascii=False)

    def _sampling(self) -> dict[str, Any]:
        """The part of the energy settings that decides what is recorded."""
        return self.study.energy.model_dump(mode="json", include=set(SamplerSettings.model_fields))
