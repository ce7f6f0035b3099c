"""The study file: the axes of the grid, and the settings that all cells share."""

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from codewatt.config.benchmark_settings import Benchmark
from codewatt.config.compression_settings import (
    Precision,
    Prune,
    calibration_of,
    engine_refusal,
    refusal_of_model,
    refusal_on_device,
)
from codewatt.config.corpus_settings import Corpus
from codewatt.config.energy_settings import EnergySettings
from codewatt.config.model_settings import Model
from codewatt.config.prune_depths import DepthSeries, expand_series, is_series, layers_removed
from codewatt.config.run_settings import (
    Baseline,
    Comparisons,
    Decoding,
    EvaluationSettings,
    Fidelity,
)
from codewatt.config.strict_model import Entry, Id, Line, PositiveInt, Seed, Strict

PromptStyle = Literal["stripped", "as_is", "chat"]
Engine = Literal["transformers", "graph", "vllm", "llama_cpp"]
AXES = (
    "model",
    "prune",
    "precision",
    "benchmark",
    "prompt",
    "token_limit",
    "batch_size",
    "engine",
    "hardware",
)
Axis = Literal[
    "model",
    "prune",
    "precision",
    "benchmark",
    "prompt",
    "token_limit",
    "batch_size",
    "engine",
    "hardware",
]
AxisValue = str | int

#: Axis, or "corpus" -> key of the study file, where that is not the plural with an s.
_STUDY_KEYS = {"hardware": "hardware", "corpus": "corpora"}


class Study(Strict):
    """A study: the grid of all combinations of the axes, without those that `exclude` matches."""

    study: Id = Field(description="Name of the study; its results are in results/<study>/.")
    title: Line = Field(
        description="Title of the study, shown above figures and on the summary page."
    )
    models: list[Model] = Field(min_length=1, description="The models that are compressed.")
    prunes: list[Prune] = Field(
        min_length=1,
        description="Prune settings: which decoder layers are removed. Method 'none' keeps all.",
    )
    precisions: list[Precision] = Field(
        min_length=1, description="Floating-point types and quantisation methods."
    )
    benchmarks: list[Benchmark] = Field(min_length=1, description="Sets of programming tasks.")
    prompts: list[PromptStyle] = Field(
        ["stripped"],
        min_length=1,
        description=(
            "'stripped' removes white space at both ends of the prompt. 'as_is' keeps the last "
            "newline; this splits the token of newline and indentation that the model would "
            "generate next. 'chat' gives an instruction in the chat template of the model's "
            "tokenizer, as EvalPlus and BigCodeBench do for instruct models; a model without a "
            "chat template completes the task directly (docs/explanation/prompts.md)."
        ),
    )
    token_limits: list[PositiveInt] = Field(
        min_length=1, description="Largest numbers of new tokens of a completion."
    )
    batch_sizes: list[PositiveInt] = Field(
        [1], min_length=1, description="Numbers of prompts that are completed together."
    )
    engines: list[Engine] = Field(
        ["transformers"],
        min_length=1,
        description=(
            "'transformers' calls generate(); 'graph' runs each decode step as one CUDA "
            "graph; 'vllm' is vLLM, in an environment of its own; 'llama_cpp' is llama.cpp on the "
            "CPU, for precisions of method gguf only (docs/explanation/engines.md)."
        ),
    )
    hardware: list[Id] = Field(
        [],
        description=(
            "GPUs on which cells run: ids of machine.hardware in the site file "
            "(docs/how-to/slurm.md). Every cell runs on each of them. Empty: cells run on the GPU "
            "of the machine, and cell ids do not name the hardware."
        ),
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="'auto' uses the GPU if there is one; the device that was used is recorded.",
    )
    corpora: list[Corpus] = Field(
        [],
        description=(
            "The corpora that `calibration` of a precision or prune setting and `fidelity.corpus` "
            "name. A corpus that contains tasks of a benchmark is refused."
        ),
    )
    decoding: Decoding = Field(
        Decoding(), description="How tokens are chosen, and how often a cell is measured."
    )
    sessions: PositiveInt = Field(
        1,
        description=(
            "Sessions: how often every cell is measured, each time by a Snakemake job of its own "
            "(on Slurm, the cells of a block share one Slurm job). The order of the cells within a "
            "session is drawn at random. With one session, intervals of energy and time describe "
            "repeats within one job only."
        ),
    )
    order_seed: Seed = Field(
        0, description="Seed of the random order of the cells within each session."
    )
    blocks: bool | None = Field(
        None,
        description=(
            "On a cluster, run the cells of a block in one Slurm job per session: on one node and "
            "one GPU, one after another. A block holds the cells that differ in nothing but prune "
            "setting and precision. Absent: true with two or more sessions, else false. Cells "
            "whose depth is until_zero run in Slurm jobs of their own "
            "(docs/explanation/sessions.md)."
        ),
    )
    evaluation: EvaluationSettings = Field(
        EvaluationSettings(), description="How completions are judged."
    )
    energy: EnergySettings = EnergySettings()
    comparisons: Comparisons = Field(
        Comparisons(), description="Margins of comparisons, and pairs of cells to compare."
    )
    fidelity: Fidelity | None = Field(
        None,
        description=(
            "Measure fidelity: compare logits and perplexity of each variant with the baseline's."
        ),
    )
    baseline: Baseline = Field(description="The variant with which others are compared.")
    exclude: list[dict[Axis, AxisValue | list[AxisValue]]] = Field(
        [],
        description=(
            "Combinations to leave out. An entry names axes, each with one value or a list of "
            "values; it matches the cells that have these values. A prune setting until_zero "
            "stands for all its depths."
        ),
    )

    @property
    def keeps_blocks(self) -> bool:
        """Whether the cells of a block run in one job of a cluster."""
        return self.sessions > 1 if self.blocks is None else self.blocks

    @cached_property
    def series(self) -> dict[str, DepthSeries]:
        """The prune settings with layers: until_zero, by id."""
        return {
            prune.id: DepthSeries.of(
                prune,
                self.models,
                (
                    model.id
                    for model in self.models
                    if self._excluded(model=model.id, prune=prune.id)
                ),
            )
            for prune in self.prunes
            if is_series(prune)
        }

    @cached_property
    def single_prunes(self) -> list[Prune]:
        """The prune settings, with each series replaced by the settings of its depths."""
        return [
            single
            for prune in self.prunes
            for single in (self.series[prune.id].depths if is_series(prune) else (prune,))
        ]

    @cached_property
    def exclusions(self) -> list[dict[Any, Any]]:
        """`exclude`, with each series replaced by its depths."""
        return expand_series(self.exclude, self.series)

    def too_deep(self, model: str, prune: str) -> bool:
        """Whether a prune setting is a depth that a series does not reach for this model."""
        return any(
            prune in [depth.id for depth in series.depths[series.deepest[model] :]]
            for series in self.series.values()
        )

    def entries(self, axis: str) -> list[Any]:
        """The entries of one axis (or "corpus"); a series gives the settings of its depths."""
        if axis == "prune":
            return list(self.single_prunes)
        return list(getattr(self, self.key_of(axis)))

    @staticmethod
    def key_of(axis: str) -> str:
        """The key of the study file that lists the values of an axis (or \"corpus\")."""
        return _STUDY_KEYS.get(axis, axis + "s")

    def values(self, axis: str) -> list[AxisValue]:
        """The values of one axis: ids, numbers or names."""
        return [item.id if isinstance(item, Entry) else item for item in self.entries(axis)]

    @model_validator(mode="after")
    def _values_are_unique(self) -> Self:
        for axis in (*AXES, "corpus"):
            # The id of a series is not a value, but an exclude entry may name it.
            own = [prune.id for prune in self.prunes if is_series(prune) and axis == "prune"]
            counts = Counter([*own, *self.values(axis)])
            if twice := [value for value, times in counts.items() if times > 1]:
                key, kind = self.key_of(axis), "id" if isinstance(twice[0], str) else "value"
                raise ValueError(f"{key}: duplicate {kind} {twice[0]!r}; each must be unique")
        return self

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        references: list[tuple[str, str, AxisValue]] = [
            ("baseline.precision", "precision", self.baseline.precision),
            ("baseline.prune", "prune", self.baseline.prune),
        ]
        for kind in ("prune", "precision"):
            for entry in getattr(self, kind + "s"):
                if (corpus := calibration_of(entry)) is not None:
                    references.append((f"{kind} {entry.id!r}: calibration", "corpus", corpus))
        if self.fidelity is not None:
            references.append(("fidelity.corpus", "corpus", self.fidelity.corpus))
        for index, entry in enumerate(self.exclude):
            if not entry:
                raise ValueError(
                    f"exclude[{index}]: an empty entry would exclude every cell; allowed: an "
                    "axis and a value"
                )
            for name, wanted in entry.items():
                for value in wanted if isinstance(wanted, list) else [wanted]:
                    references.append((f"exclude[{index}].{name}", name, value))
        for index, pair in enumerate(self.comparisons.pairs):
            for side, named in (("cell", pair.cell), ("reference", pair.reference)):
                where = f"comparisons.pairs[{index}].{side}"
                references += [(f"{where}.{axis}", axis, value) for axis, value in named.items()]
        for where, axis, value in references:
            known = self.values(axis)
            if axis == "prune" and where.startswith("exclude"):
                known += list(self.series)
            if value not in known:
                allowed = ", ".join(map(str, known)) or f"none, as {self.key_of(axis)} is empty"
                raise ValueError(f"{where}: no {axis} {value!r} in this study; allowed: {allowed}")
        return self

    @model_validator(mode="after")
    def _fidelity_is_held_out(self) -> Self:
        if self.fidelity is None:
            return self
        for kind in ("prune", "precision"):
            for entry in getattr(self, kind + "s"):
                if calibration_of(entry) == self.fidelity.corpus:
                    raise ValueError(
                        f"fidelity.corpus: {kind} {entry.id!r} is calibrated on "
                        f"{self.fidelity.corpus!r}; allowed: a corpus that no variant is "
                        "calibrated on"
                    )
        return self

    @model_validator(mode="after")
    def _baseline_runs(self) -> Self:
        chosen = self.baseline.prune
        for series in self.series.values():
            if chosen in [depth.id for depth in series.depths]:
                allowed = ", ".join(prune.id for prune in self.prunes if not is_series(prune))
                raise ValueError(
                    f"baseline.prune: {chosen!r} is a depth of {series.id!r}, a series that may "
                    "end "
                    f"before it; allowed: {allowed or 'none, as all are until_zero'}"
                )
        return self

    @model_validator(mode="after")
    def _device_has_kernels(self) -> Self:
        for precision in self.precisions:
            if why := refusal_on_device(precision, self.device):
                raise ValueError(f"precision {precision.id!r}: {why}")
        return self

    @model_validator(mode="after")
    def _backends_know_the_models(self) -> Self:
        for model in self.models:
            for precision in self.precisions:
                why = model.model_type and refusal_of_model(precision, model.model_type)
                if why and not self._excluded(model=model.id, precision=precision.id):
                    pair = f"precision {precision.id!r}, model {model.id!r}"
                    raise ValueError(f"{pair}: {why}, or exclude the pair")
        return self

    @model_validator(mode="after")
    def _engines_run_the_precisions(self) -> Self:
        for precision, engine in itertools.product(self.precisions, self.engines):
            why = engine_refusal(precision, engine)
            if why and not self._excluded(precision=precision.id, engine=engine):
                raise ValueError(f"precision {precision.id!r}: {why}, or exclude the pair")
        return self

    @model_validator(mode="after")
    def _models_read_whole_sequences(self) -> Self:
        """Check models whose context length is known in advance; a job checks the others."""
        for model in self.models:
            for what, corpus, pair in self._corpora_read(model.id):
                limit = model.max_tokens
                if limit is None or not corpus.joined or corpus.tokens <= limit:
                    continue
                if not self._excluded(**pair):
                    raise ValueError(
                        f"{what}: sequences of corpus {corpus.id!r} have {corpus.tokens} tokens, "
                        f"model {model.id!r} reads {limit}; allowed: tokens up to {limit}, or "
                        f"exclude {'the pair' if len(pair) > 1 else 'the model'}"
                    )
        return self

    @model_validator(mode="after")
    def _answers_are_sanitised(self) -> Self:
        if "chat" in self.prompts and not self.evaluation.sanitize:
            raise ValueError(
                "prompts: 'chat' needs evaluation.sanitize: true, because the answer to a chat "
                "can contain text that is not code; allowed with sanitize: false: stripped, as_is"
            )
        return self

    @model_validator(mode="after")
    def _instructions_are_asked_in_a_chat(self) -> Self:
        for index, benchmark in enumerate(self.benchmarks):
            if benchmark.kind != "bigcodebench" or benchmark.split != "instruct":
                continue
            for style in self.prompts:
                if style != "chat" and not self._excluded(benchmark=benchmark.id, prompt=style):
                    raise ValueError(
                        f"benchmarks[{index}].split: 'instruct' describes tasks in words, which "
                        f"needs prompt style 'chat', found {style!r}; allowed: prompts: [chat], or "
                        "exclude the pair"
                    )
        return self

    @model_validator(mode="after")
    def _samples_suffice(self) -> Self:
        samples, most = self.decoding.samples, max(self.evaluation.k)
        if most > samples:
            raise ValueError(
                f"evaluation.k: pass@{most} needs {most} completions per task and repeat, but "
                f"decoding.samples is {samples}; allowed: k up to {samples}"
            )
        return self

    def _corpora_read(self, model: str) -> Iterator[tuple[str, Corpus, dict[str, str]]]:
        """(key, corpus, exclude entry that would avoid it) for each corpus that a model reads."""
        corpora = {corpus.id: corpus for corpus in self.corpora}
        for kind in ("prune", "precision"):
            for entry in getattr(self, kind + "s"):
                if (corpus := calibration_of(entry)) is not None:
                    pair = {"model": model, kind: entry.id}
                    yield f"{kind} {entry.id!r}: calibration", corpora[corpus], pair
        if self.fidelity is not None:
            yield "fidelity.corpus", corpora[self.fidelity.corpus], {"model": model}

    @model_validator(mode="after")
    def _prunes_leave_a_layer(self) -> Self:
        for model, prune in itertools.product(self.models, self.prunes):
            if is_series(prune) or model.layers is None:
                continue
            removed, most = layers_removed(prune), max(model.layers - prune.always_kept, 0)
            if removed > most and not self._excluded(model=model.id, prune=prune.id):
                raise ValueError(
                    f"prune {prune.id!r} removes {removed} layers, model {model.id!r} has "
                    f"{model.layers}; allowed with method {prune.method!r}: at most {most}, or "
                    "exclude the pair"
                )
        return self

    def _excluded(self, **pair: AxisValue) -> bool:
        """Whether one exclude entry takes out a pair of axes' ids, whatever the other axes."""
        return any(set(entry) <= set(pair) and matches(entry, pair) for entry in self.exclude)


def matches(entry: dict[Any, Any], values: dict[str, Any]) -> bool:
    """Whether an exclude entry matches: each axis it names has the value, or one of the list."""
    return all(
        values[axis] in (wanted if isinstance(wanted, list) else [wanted])
        for axis, wanted in entry.items()
    )
