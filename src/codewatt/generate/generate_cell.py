"""The generate stage: rest, load once, warm up, then N measured repeats over the benchmark.

It writes completions, a row for each completion and raw telemetry. What they mean in joules and in
solved tasks is computed by later stages.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from codewatt.benchmarks.benchmark_record import BENCHMARK
from codewatt.benchmarks.prompt_format import PromptFormat
from codewatt.benchmarks.tasks import read_tasks
from codewatt.energy.metered_job import MeteredJob
from codewatt.energy.placement_check import RequestedHardware, check_placement
from codewatt.energy.record_ids import CellIds
from codewatt.energy.start_record import StartConditions, WarmupRecord
from codewatt.files import describe_files
from codewatt.generate.cell_prompts import CellPrompts, cell_prompts
from codewatt.generate.completion_files import (
    MeasuredCompletion,
    write_completions,
    write_task_records,
)
from codewatt.generate.context_length import check_context_length
from codewatt.generate.engine import (
    DecodingParams,
    Engine,
    InfeasibleError,
    LoadRequest,
    engine_class,
)
from codewatt.generate.generate_record import (
    CommonCellFields,
    DecodingRecord,
    Generated,
    GeneratingModel,
    GenerationDescription,
)
from codewatt.generate.logit_checks import invalid_logits_reason, summarise_logits
from codewatt.generate.roofline_inputs import describe_roofline
from codewatt.generate.sampling import SampleSeeds
from codewatt.generate.warmup import warm_up
from codewatt.logs import mute_library_logs
from codewatt.models.loading import InvalidLogitsError, gpu_memory, resolve_device, used_gpu_uuids
from codewatt.models.tokenizers import load_tokenizer
from codewatt.quantise.variant_record import VARIANT, VariantRecord
from codewatt.sizing.loaded_memory import PeakMemory
from codewatt.units import BYTES_PER_GB

_LOG = logging.getLogger(__name__)
#: The variant cannot run on this machine: the cell's record says so, and the study goes on.
_INFEASIBLE = (InfeasibleError, InvalidLogitsError)


@dataclass(frozen=True)
class CellFiles:
    """Where a cell's outputs are written; all three are in one directory."""

    completions: Path
    tasks: Path
    timeline: Path


class GenerateSettings(TypedDict):
    """The study's settings that `generate` reads.

    device: "auto", "cuda" or "cpu". energy: fields of `sampler_settings.SamplerSettings`, idle_s,
    and start (`StartConditions`, or None).
    """

    cell: CellIds
    device: str
    decoding: DecodingRecord
    energy: dict[str, Any]


def generate_cell(
    settings: GenerateSettings,
    variant_manifest: Path,
    benchmark_manifest: Path,
    tasks_path: Path,
    out: CellFiles,
    threads: int,
    requested: RequestedHardware | None = None,
) -> Generated:
    """Generate a cell's completions while its energy is sampled.

    Args:
        settings: the study's slice.
        variant_manifest: the record of the variant to load.
        benchmark_manifest: the record of the benchmark, with its prompt format.
        tasks_path: the benchmark's tasks.
        out: where completions, task rows and telemetry are written.
        threads: CPU threads for torch; results are repeatable for a fixed number of threads.
        requested: the hardware that the job must find; None where neither study nor site names
            any.

    Returns:
        The cell's record before provenance is added. Its status is 'infeasible', with a reason, if
        the model does not fit the device or its logits are unsound (`summarise_logits`); later
        stages withhold all figures of such a cell.

    Raises:
        CodewattError: an input differs from its manifest, the hardware is not the cell's, the
            model cannot be asked in the cell's prompt style or cannot be loaded, or the engine is
            not installed.
    """
    variant = VARIANT.read(variant_manifest)
    prompt_format = PromptFormat.from_record(BENCHMARK.read(benchmark_manifest)["prompt_format"])
    tasks = read_tasks(tasks_path)
    job = MeteredJob(out.timeline, settings["energy"]).start()
    import torch  # both imports run while the meters open, and outside the window of loading
    import transformers.modeling_utils  # noqa: F401

    torch.set_num_threads(threads)
    device = resolve_device(settings["device"])
    completions: list[MeasuredCompletion] = []
    described: GenerationDescription | None = None
    reason: str | None = None
    with job:
        engine_class(settings["cell"]["engine"]).check_installed()
        gpu_ids = used_gpu_uuids(device)
        placement = check_placement(requested, settings["device"], device, gpu_ids)
        job.use_gpus(gpu_ids)
        directory = variant["weights"]["directory"]
        tokenizer = load_tokenizer(directory)
        prompts = cell_prompts(tasks, settings["cell"]["prompt"], prompt_format, tokenizer)
        check_context_length(prompts, tokenizer, directory, settings["cell"]["token_limit"])
        try:
            _refuse_oversized_weights(variant, device)
            run = _CellRun(settings, variant, prompts, device, job)
            completions, described = run.measure()
            reason = invalid_logits_reason(described["logits"])
        except (torch.cuda.OutOfMemoryError, MemoryError, *_INFEASIBLE) as error:
            reason = " ".join(str(error).split()) or "out of memory"
    write_completions(out.completions, completions)
    write_task_records(out.tasks, completions)
    names = [path.name for path in (out.completions, out.tasks, out.timeline)]
    frame: CommonCellFields = {
        "schema": 5,
        "cell": settings["cell"],
        "prompt": prompts.describe(),
        "repeats": settings["decoding"]["repeats"],
        "decoding": settings["decoding"],
        "threads": threads,
        "placement": placement,
        **job.record(),
        "files": describe_files(out.timeline.parent, names),
    }
    if reason is not None:
        _LOG.warning("infeasible: %s", reason)
        if described is None:
            return {**frame, "status": "infeasible", "reason": reason}
        return {**frame, "status": "infeasible", "reason": reason, **described}
    assert described is not None, "a cell without a reason has run"
    return {**frame, "status": "ok", **described}


class _CellRun:
    """The measured run of one cell, from loading its model to the last repeat."""

    def __init__(
        self,
        settings: GenerateSettings,
        variant: VariantRecord,
        prompts: CellPrompts,
        device: str,
        job: MeteredJob,
    ) -> None:
        cell, decoding = settings["cell"], settings["decoding"]
        self.variant, self.device, self.job = variant, device, job
        self.idle_s: float = settings["energy"]["idle_s"]
        self.start_conditions: StartConditions | None = settings["energy"]["start"]
        self.engine, self.batch_size = engine_class(cell["engine"]), cell["batch_size"]
        self.repeats, self.seed = decoding["repeats"], decoding["seed"]
        self.warmup = decoding["warmup"]
        self.prompts = prompts
        self.decoding = DecodingParams(
            token_limit=cell["token_limit"],
            stop_strings=prompts.stop_strings,
            add_special_tokens=prompts.add_special_tokens,
            samples=decoding["samples"],
            temperature=decoding["temperature"],
            top_p=decoding["top_p"],
        )

    def measure(self) -> tuple[list[MeasuredCompletion], GenerationDescription]:
        """Rest, load, idle, probe the machine, warm up, run the repeats, idle.

        Returns:
            The completions, and the description of model and engine.
        """
        peak = PeakMemory(self.device)
        self.engine.build_kernels(self._work())
        # Before loading: a rest before the repeats would undo the warm-up.
        start = self.job.rest(self.start_conditions)
        with self.job.window("idle_unloaded"):
            time.sleep(min(self.idle_s, 1.0))
        with self.job.window("load"):
            loaded = self.engine.load(self._work())
        with self.job.window("idle_loaded"):
            time.sleep(self.idle_s)
        engine = self.engine(loaded, self.job.synchronise)
        if ignored := loaded.generation.ignored:
            _LOG.warning("generation_config.json: not followed: %s", ignored)
        # The probe's energy is in no other window, and its memory is not the model's.
        with self.job.window("probe"), peak.excluded():
            roofline = describe_roofline(engine)
        with self.job.window("warmup"):
            engine.prepare([prompts for _, prompts in self._batches()], self.decoding)
            warmup = self._warm_up(engine)
        completions: list[MeasuredCompletion] = []
        for repeat in range(self.repeats):
            completions += self._repeat(engine, repeat)
            if any(item.completion.invalid_logits_token is not None for item in completions):
                break  # further repeats would cost energy, and their figures are withheld
        with self.job.window("idle_after"):
            time.sleep(self.idle_s)
        held = peak.read()
        return completions, {
            "model": self._describe(engine),
            "engine": engine.describe(),
            "generation": engine.loaded.generation.describe(engine.loaded.tokenizer),
            "logits": summarise_logits(completions),
            "roofline": roofline,
            "peak_memory": {
                "device_bytes": held["device_bytes"],
                "host_bytes": held["host_bytes"],
            },
            "start": start,
            "warmup": warmup,
        }

    def _work(self) -> LoadRequest:
        weights = self.variant["weights"]
        return LoadRequest(
            directory=weights["directory"],
            files=weights["files"],
            dtype=self.variant["dtype"],
            device=self.device,
            batches=[prompts for _, prompts in self._batches()],
            batch_size=self.batch_size,
            decoding=self.decoding,
            seed=self.seed,
        )

    def _warm_up(self, engine: Engine) -> WarmupRecord:
        """Complete the batches of the warm-up."""
        batches = self._batches()

        def complete_batch(number: int) -> float:
            first, prompts = batches[number]
            done = engine.complete(prompts, self.decoding, SampleSeeds(self.seed, first))
            return done.end_s - done.start_s

        done = warm_up(complete_batch, len(batches), self.warmup)
        if done["steady"] is False:
            _LOG.warning("warm-up ended after %d batches, before it was steady", done["batches"])
        return done

    def _repeat(self, engine: Engine, repeat: int) -> list[MeasuredCompletion]:
        """Run one measured pass over the benchmark."""
        found: list[MeasuredCompletion] = []
        with mute_library_logs(), self.job.window("repeat", repeat=repeat):
            for number, (first, prompts) in enumerate(self._batches()):
                seeds = SampleSeeds(self.seed + repeat, first)
                batch = engine.complete(prompts, self.decoding, seeds)
                self.job.add_window("prefill", batch.start_s, batch.first_token_s, repeat, number)
                self.job.add_window("decode", batch.first_token_s, batch.end_s, repeat, number)
                for done in batch.completions:
                    task_id = self.prompts.task_ids[first + done.prompt_index]
                    solution = self.prompts.solution(prompts[done.prompt_index], done.text)
                    found.append(MeasuredCompletion(repeat, number, task_id, solution, done))
        tokens = sum(item.completion.new_tokens for item in found)
        _LOG.info("repeat %d: %d completions, %d new tokens", repeat, len(found), tokens)
        return found

    def _batches(self) -> list[tuple[int, list[str]]]:
        """(index of the first prompt, prompts) of each batch, in the benchmark's order."""
        texts = self.prompts.texts
        starts = range(0, len(texts), self.batch_size)
        return [(start, texts[start : start + self.batch_size]) for start in starts]

    def _describe(self, engine: Engine) -> GeneratingModel:
        """The model that was really loaded, with two facts from its manifest."""
        return {
            **engine.describe_model(),
            "parameters": self.variant["parameters"],
            "meaningful_accuracy": self.variant["meaningful_accuracy"],
        }


def _refuse_oversized_weights(variant: VariantRecord, device: str) -> None:
    """Refuse weights that alone exceed the GPU's memory, before minutes go into loading them.

    Raises:
        InfeasibleError: they do.
    """
    if device != "cuda":
        return
    name, memory_bytes = gpu_memory()
    if variant["size_bytes"] > memory_bytes:
        raise InfeasibleError(
            f"the weights take {variant['size_bytes'] / BYTES_PER_GB:.1f} GB, "
            f"the {name} has {memory_bytes / BYTES_PER_GB:.1f} GB"
        )
