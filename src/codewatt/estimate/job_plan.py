"""All jobs of a study, as the workflow's rules create them, with their estimated sizes."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from codewatt.cells import Cell, Variant
from codewatt.config.prune_depths import layers_removed
from codewatt.estimate.unfetched_models import ModelFacts, read_model_facts
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.prune_chains import build_chains
from codewatt.sizing.estimate_assumptions import assumed_value
from codewatt.sizing.gpu_datasheets import Gpu
from codewatt.sizing.job_costs import (
    JobSize,
    generate_job,
    misfit_reason,
    pass_job,
    quantise_job,
    resources,
)
from codewatt.sizing.parameter_counts import Architecture
from codewatt.sizing.weight_bytes import weight_bytes
from codewatt.sizing.workload import BENCHMARKS, Workload, benchmark_size, workload_of

#: Id of hardware (None if the study names none) → the GPU that its jobs use; None: a CPU.
GpuByHardware = Mapping[str | None, Gpu | None]
#: Rule and id of a job.
Key = tuple[str, str]


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        rule: its Snakemake rule.
        id: the value of the rule's wildcards, such as the id of a cell.
        model: id of the study's model; None for jobs that all models share.
        variant: id of the variant that it needs or makes; None if there is none.
        size: estimated cost of a complete run; None if model or GPU are unknown.
        metered: whether its energy is measured.
        computes: whether it runs a model, and therefore needs a GPU if the study uses GPUs.
        infeasible: why it does not fit into the GPU's memory; None if it fits or is unknown.
        needs: jobs that must all have ended before it starts.
        needs_one: jobs of which at least one must have ended before it starts.
    """

    rule: str
    id: str
    model: str | None
    variant: str | None
    size: JobSize | None
    metered: bool = False
    computes: bool = False
    infeasible: str | None = None
    needs: tuple[Key, ...] = ()
    needs_one: tuple[Key, ...] = ()

    @property
    def expected_size(self) -> JobSize | None:
        """Cost that counts in sums; of a cell that does not fit, only starting and loading."""
        if self.size is None or self.infeasible is None:
            return self.size
        seconds = assumed_value("job_start_s") + assumed_value("load_s")
        return JobSize(seconds, 0.0, 0.0, self.size.vram_bytes, self.size.host_bytes, 0)


class Plan:
    """The jobs of a study, each sized for the GPU of its hardware."""

    def __init__(self, grid: Grid, paths: Paths, cards: GpuByHardware, cores: int) -> None:
        """Count and size all jobs.

        Args:
            grid: the study's grid.
            paths: the study's results, where downloaded models are looked up.
            cards: the GPU of each hardware; jobs on hardware that is absent are counted, but not
                sized.
            cores: number of cores of a job that judges completions.

        Raises:
            CodewattError: a precision's method is unknown.
        """
        self.grid, self.cards, self.cores = grid, cards, cores
        self.models = read_model_facts(grid, paths)
        self.notes: dict[str, str] = {}  # model or benchmark → why its size is unknown
        self._decoding = grid.study.decoding.model_dump(mode="json")
        self._energy = grid.study.energy.model_dump(mode="json")
        self._pruned: dict[tuple[str, str], Architecture] = {}
        for facts in self.models.values():
            if facts.config is None:
                self.notes[facts.id] = facts.source
        self.jobs = tuple(self._jobs())

    @cached_property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that jobs are sized for, each once; empty if all jobs run on CPUs."""
        return tuple({gpu.id: gpu for gpu in self.cards.values() if gpu is not None}.values())

    @cached_property
    def per_rule(self) -> Counter[str]:
        """Number of jobs of each rule."""
        return Counter(job.rule for job in self.jobs)

    @cached_property
    def infeasible(self) -> dict[str, str]:
        """Id of each cell that does not fit into its GPU's memory → the reason."""
        return {job.id: job.infeasible for job in self.jobs if job.infeasible is not None}

    @cached_property
    def _by_id(self) -> dict[Key, Job]:
        return {(job.rule, job.id): job for job in self.jobs}

    def resources(self, rule: str, job_id: str) -> dict[str, int] | None:
        """The resources that a job requests (`job_costs.resources`); None if its size is unknown.

        A cell that does not fit by the estimate requests the resources of a complete run: the
        estimate of memory is cautious, so the cell may run after all.

        Raises:
            KeyError: the study has no such job.
        """
        size = self._by_id[rule, job_id].size
        return None if size is None else resources(size)

    def _jobs(self) -> Iterator[Job]:
        grid = self.grid
        for facts in self.models.values():
            yield self._model_job(facts)
        for benchmark in grid.benchmark_ids:
            yield from self._benchmark_jobs(benchmark)
        for corpus in grid.corpus_ids:
            yield Job("prepare_corpus", corpus, None, None, _small_job())
        for corpus, benchmark in sorted(self._overlaps()):
            both = (("prepare_corpus", corpus), ("prepare_benchmark", benchmark))
            yield Job(
                "check_contamination", f"{corpus}.{benchmark}", None, None, _small_job(), needs=both
            )
        for model, method, corpus in grid.scorings:
            yield self._score(model, method, corpus)
        for variant in grid.variants:
            yield self._quantise(variant)
            yield self._making_energy(variant)
            if grid.study.fidelity is not None:
                yield self._fidelity(variant, grid.study.fidelity.corpus)
        for cell in grid.measured_cells:
            yield from self._cell_jobs(cell)
        for cell in dict.fromkeys(self._shallower.values()):
            needs = (("evaluate", cell.id),)
            yield Job(
                "judge_depth", cell.id, cell.model, cell.variant.id, _small_job(), needs=needs
            )
        yield from self._tables()

    def _tables(self) -> Iterator[Job]:
        """Jobs that make tables, figures, the summary page and the explorer."""
        grid, fidelity = self.grid, self.grid.study.fidelity
        needed = [("measure_energy", cell.id) for cell in grid.measured_cells]
        needed += [("measure_making_energy", variant.id) for variant in grid.variants]
        if fidelity is not None:
            needed += [("measure_fidelity", variant.id) for variant in grid.variants]
            needed += [
                ("check_contamination", f"{fidelity.corpus}.{name}") for name in grid.benchmark_ids
            ]
        yield Job("aggregate", "aggregate", None, None, _small_job(), needs=tuple(needed))
        after_tables = [
            ("statistical_tests", "statistical_tests"),
            ("plot", "plot"),
            ("plot_power", "plot_power"),
        ]
        if grid.has_domains:
            after_tables.append(("plot_domains", "plot_domains"))
        drawn = list(after_tables)
        for rule, name in after_tables:
            yield Job(rule, name, None, None, _small_job(), needs=(("aggregate", "aggregate"),))
        if grid.scorings:
            scores = tuple(_scores_key(*scoring) for scoring in grid.scorings)
            drawn.append(("plot_layers", "plot_layers"))
            yield Job("plot_layers", "plot_layers", None, None, _small_job(), needs=scores)
        yield Job("summarise", "summarise", None, None, _small_job(), needs=tuple(drawn))
        made = (("aggregate", "aggregate"), ("statistical_tests", "statistical_tests"))
        yield Job("explore", "explore", None, None, _small_job(), needs=made)

    def _overlaps(self) -> set[tuple[str, str]]:
        """(corpus, benchmark) of each contamination check, also for the corpus of fidelity."""
        fidelity = self.grid.study.fidelity
        judged = self.grid.benchmark_ids if fidelity is not None else ()
        return {(fidelity.corpus, name) for name in judged if fidelity is not None} | {
            (corpus, cell.benchmark)
            for cell in self.grid.cells
            for corpus in self.grid.calibrations(cell.variant)
        }

    @cached_property
    def _shallower(self) -> dict[Cell, Cell]:
        """Cell of a chain of prune depths → the cell of the next smaller depth."""
        pairs = itertools.chain.from_iterable(map(itertools.pairwise, build_chains(self.grid)))
        return {deeper: cell for cell, deeper in pairs}

    @cached_property
    def _depth_judged(self) -> dict[Variant, tuple[Key, ...]]:
        """Variant that is made only if a smaller depth solves a task → the jobs that judge it."""
        found: dict[Variant, tuple[Key, ...]] = {}
        at_once = {cell.variant for cell in self.grid.cells if cell not in self._shallower}
        for cell, before in self._shallower.items():
            if cell.variant not in at_once:
                judged = ("judge_depth", before.id)
                found[cell.variant] = (*found.get(cell.variant, ()), judged)
        return found

    def _tokens(self, corpus: str) -> int:
        """Number of tokens of a corpus."""
        settings = self.grid.settings("corpus", corpus)
        return int(settings["samples"]) * int(settings["tokens"])

    def _score(self, model: str, method: str, corpus: str) -> Job:
        """The job that scores a model's layers. SLEB runs the model once per candidate layer."""
        facts, hardware = self.models[model], self.grid.model_hardware(model)
        job_id, size = _scores_key(model, method, corpus)[1], None
        if facts.config is not None and hardware in self.cards:
            architecture = facts.architecture()
            passes = architecture.layers**2 / 3 if method == "sleb" else 1.0
            tokens = passes * self._tokens(corpus)
            size = pass_job(architecture, self.cards[hardware], facts.stored_bytes, tokens, loads=1)
        needs = (self._model_key(model), ("prepare_corpus", corpus))
        return Job("score_layers", job_id, model, None, size, True, True, needs=needs)

    def _fidelity(self, variant: Variant, corpus: str) -> Job:
        """The job that measures a variant's fidelity; it loads the baseline, then the variant."""
        facts, hardware = self.models[variant.model], self.grid.quantise_hardware(variant)
        size = None
        if facts.config is not None and hardware in self.cards:
            tokens, gpu = 2.0 * self._tokens(corpus), self.cards[hardware]
            size = pass_job(facts.architecture(), gpu, facts.stored_bytes, tokens, loads=2)
        name, baseline = variant.id, self.grid.baseline_of(variant)
        made = dict.fromkeys([variant, *([] if baseline is None else [baseline])])
        corpora = dict.fromkeys([*self.grid.calibrations(variant), corpus])
        needs = (*(("quantise", v.id) for v in made), *(("prepare_corpus", t) for t in corpora))
        return Job("measure_fidelity", name, variant.model, name, size, False, True, needs=needs)

    def _model_key(self, model: str) -> Key:
        """Rule and id of the job that trains, fetches or downloads a model."""
        return self.grid.model_rule(model), model

    def _model_job(self, facts: ModelFacts) -> Job:
        settings = self.grid.settings("model", facts.id)
        rule, _ = self._model_key(facts.id)
        if facts.config is None:
            return Job(rule, facts.id, facts.id, None, None)
        seconds, disk = assumed_value("plain_job_s"), facts.stored_bytes
        if settings["source"] == "nano":
            seconds = assumed_value("job_start_s") + settings["steps"] * assumed_value(
                "train_step_s"
            )
        elif settings["source"] == "architecture":
            seconds = assumed_value(
                "job_start_s"
            ) + facts.architecture().parameters * assumed_value("random_s_per_weight")
            seconds += facts.stored_bytes / assumed_value("save_bytes_per_s")
        elif facts.downloads:
            seconds += facts.stored_bytes / assumed_value("download_bytes_per_s")
        elif settings["source"] == "path":
            disk = 0
        host = round(assumed_value("cpu_host_bytes"))
        if settings["source"] == "architecture":
            host += facts.stored_bytes
        return Job(rule, facts.id, facts.id, None, JobSize(seconds, 0.0, 0.0, 0, host, disk))

    def _benchmark_jobs(self, benchmark: str) -> Iterator[Job]:
        settings = self.grid.settings("benchmark", benchmark)
        yield Job("prepare_benchmark", benchmark, None, None, _small_job())
        size, expected = benchmark_size(settings), None
        if size is None:
            self.notes[benchmark] = f"benchmark kind {settings['kind']!r}: its size is unknown"
        else:
            expected = _small_job(size.expected_s * size.tasks / self.cores)
        needs = (("prepare_benchmark", benchmark),)
        yield Job("compute_expected", benchmark, None, None, expected, needs=needs)

    def _quantise(self, variant: Variant) -> Job:
        """The job that makes a variant; it needs no GPU if the variant is not quantised."""
        facts, hardware = self.models[variant.model], self.grid.quantise_hardware(variant)
        size, pruned = None, self._architecture(variant)
        precision = self.grid.settings("precision", variant.precision)
        if pruned is not None and hardware in self.cards:
            gpu = self.cards[hardware]
            size = quantise_job(facts.architecture(), pruned, precision, gpu, facts.stored_bytes)
        metered = size is not None and size.metered_s > 0
        computes = precision["method"] != "none"
        scoring = self.grid.scoring(variant)
        return Job(
            "quantise", variant.id, variant.model, variant.id, size, metered, computes,
            needs=(
                self._model_key(variant.model),
                *(("prepare_corpus", corpus) for corpus in self.grid.calibrations(variant)),
                *([] if scoring is None else [_scores_key(*scoring)]),
            ),
            needs_one=self._depth_judged.get(variant, ()),
        )  # fmt: skip

    def _making_energy(self, variant: Variant) -> Job:
        """The job that computes the energy of making a variant."""
        scoring = self.grid.scoring(variant)
        needs = (("quantise", variant.id), *([] if scoring is None else [_scores_key(*scoring)]))
        name, model = variant.id, variant.model
        size = None if self.models[model].config is None else _small_job()
        return Job("measure_making_energy", name, model, name, size, needs=needs)

    def _cell_jobs(self, cell: Cell) -> Iterator[Job]:
        work = self._work(cell)
        pruned = self._architecture(cell.variant)
        size = judged = reason = None
        if work is not None and pruned is not None and cell.hardware in self.cards:
            gpu = self.cards[cell.hardware]
            precision = self.grid.settings("precision", cell.precision)
            stored = self._stored_bytes(cell.variant, precision, pruned, gpu)
            size = generate_job(pruned, precision, work, gpu, stored)
            reason = None if gpu is None else misfit_reason(size.vram_bytes, gpu)
            kind = self.grid.settings("benchmark", cell.benchmark)["kind"]
            seconds = BENCHMARKS[kind].judge_s * work.judged / self.cores
            judged = _small_job(seconds, metered_s=seconds)
        model, variant = cell.model, cell.variant.id
        generated, evaluated = ("generate", cell.id), ("evaluate", cell.id)
        before = self._shallower.get(cell.in_session(1))
        needs = (
            ("quantise", variant),
            ("prepare_benchmark", cell.benchmark),
            *(
                ("check_contamination", f"{corpus}.{cell.benchmark}")
                for corpus in self.grid.calibrations(cell.variant)
            ),
            *([] if before is None else [("judge_depth", before.id)]),
        )
        yield Job(*generated, model, variant, size, True, True, reason, needs)
        needs = (generated, ("compute_expected", cell.benchmark))
        yield Job(*evaluated, model, variant, judged, True, needs=needs)
        known = None if size is None else _small_job()
        yield Job("measure_energy", cell.id, model, variant, known, needs=(generated, evaluated))

    def _work(self, cell: Cell) -> Workload | None:
        if cell.benchmark in self.notes:
            return None
        benchmark = self.grid.settings("benchmark", cell.benchmark)
        return workload_of(vars(cell), benchmark, self._decoding, self._energy)

    def _architecture(self, variant: Variant) -> Architecture | None:
        """Architecture of a variant after pruning; None if the model is unknown."""
        facts = self.models[variant.model]
        if facts.config is None:
            return None
        key = (variant.model, variant.prune)
        if key not in self._pruned:
            prune = next(p for p in self.grid.study.single_prunes if p.id == variant.prune)
            self._pruned[key] = facts.architecture(layers_removed(prune))
        return self._pruned[key]

    def _stored_bytes(
        self, variant: Variant, precision: dict[str, Any], pruned: Architecture, gpu: Gpu | None
    ) -> int:
        """Size (bytes) of the weight files that a cell loads."""
        if precision["method"] != "none":
            return weight_bytes(pruned, precision, "cpu" if gpu is None else "cuda").total
        facts = self.models[variant.model]
        whole = facts.architecture().parameters
        return math.ceil(facts.stored_bytes * pruned.parameters / whole)


def _scores_key(model: str, method: str, corpus: str) -> Key:
    """Rule and id of the job that scores a model's layers."""
    return "score_layers", f"{model}.{method}.{corpus}"


def _small_job(seconds: float = 0.0, metered_s: float = 0.0) -> JobSize:
    """Size of a job on a CPU that loads no model.

    Args:
        seconds: its own work, in addition to starting (s).
        metered_s: duration of its metered window (s).
    """
    job_s = assumed_value("plain_job_s") + seconds
    return JobSize(job_s, metered_s, 0.0, 0, round(assumed_value("cpu_host_bytes")), 0)
