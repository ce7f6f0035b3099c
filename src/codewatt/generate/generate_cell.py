"""The generate stage: load once, warm up, then N measured repeats over the benchmark."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.benchmarks.benchmark import Task, read_tasks
from codewatt.energy.phase_windows import PhaseLog
from codewatt.energy.placement_check import RequestedHardware, check_placement
from codewatt.energy.sampler import Sampler
from codewatt.errors import CodewattError
from codewatt.files import read_json, sha256_file
from codewatt.generate.completion_files import Measured, write_completions, write_task_records
from codewatt.generate.context_length import refuse_long_prompts
from codewatt.generate.engine import Decoding, Engine, InfeasibleError, Work, engine_named
from codewatt.generate.logit_checks import describe_logits, unsound_reason
from codewatt.generate.roofline_inputs import describe_roofline
from codewatt.logs import quiet_libraries
from codewatt.models.loading import UnsoundLogitsError, gpu_memory, resolve_device, used_gpus
from codewatt.sizing.loaded_memory import PeakMemory

_LOG = logging.getLogger(__name__)
#: Facts about a variant on this machine: the cell says so, and the study goes on.
_INFEASIBLE = (InfeasibleError, UnsoundLogitsError)


@dataclass(frozen=True)
class CellFiles:
    """Where a cell's outputs are written."""

    completions: Path
    tasks: Path
    timeline: Path


def generate_cell(
    settings: dict[str, Any],
    variant_manifest: Path,
    benchmark_manifest: Path,
    tasks_path: Path,
    out: CellFiles,
    threads: int,
    asked: RequestedHardware | None = None,
) -> dict[str, Any]:
    """Generate a cell's completions while its energy is sampled.

    Args:
        settings: the study's slice: cell, device, decoding, energy.
        variant_manifest: of the variant to load.
        benchmark_manifest: of the benchmark: its stop strings.
        tasks_path: the benchmark's tasks.
        out: where completions, task records and telemetry are written.
        threads: CPU threads for torch; part of what makes results repeatable.
        asked: the hardware that the job must find; None where nobody says.

    Returns:
        The cell's manifest, less provenance and code; status 'infeasible' with a reason if the
        model does not fit the device, or its logits are no answer (see `describe_logits`): figures
        of such a cell are withheld by all that follows.

    Raises:
        CodewattError: inputs differ from their manifests, the hardware is not the cell's, the
            model cannot be loaded, or the engine is not installed.
    """
    variant = read_json(variant_manifest)
    stop_strings = tuple(read_json(benchmark_manifest)["stop_strings"])
    tasks = read_tasks(tasks_path)
    sampler = Sampler(out.timeline, settings["energy"]).start()
    import torch  # these two while the meters open, and outside the window of loading
    import transformers.modeling_utils  # noqa: F401

    torch.set_num_threads(threads)
    device = resolve_device(settings["device"])
    synchronise = torch.cuda.synchronize if device == "cuda" else _nothing
    phases = PhaseLog(synchronise)
    with sampler:
        engine_named(settings["cell"]["engine"]).check()
        gpu_ids = used_gpus(device)
        placement = check_placement(asked, settings["device"], device, gpu_ids)
        sampler.use_gpus(gpu_ids)
        refuse_long_prompts(
            [_prompt(task, settings["cell"]["prompt"]) for task in tasks],
            [task.task_id for task in tasks],
            variant["weights"]["directory"],
            settings["cell"]["token_limit"],
        )
        try:
            _require_room(variant, device)
            run = _Run(settings, variant, tasks, stop_strings, device, phases, synchronise)
            completions, described = run.measure()
            status: dict[str, Any] = {"status": "ok"}
            if (why := unsound_reason(described["logits"])) is not None:
                _LOG.warning("infeasible: %s", why)
                described, status = {"reason": why, **described}, {"status": "infeasible"}
        except (torch.cuda.OutOfMemoryError, MemoryError, *_INFEASIBLE) as error:
            reason = " ".join(str(error).split()) or "out of memory"
            _LOG.warning("infeasible: %s", reason)
            completions, described = [], {"reason": reason}
            status = {"status": "infeasible"}
    write_completions(out.completions, completions)
    write_task_records(out.tasks, completions)
    outputs = (out.completions, out.tasks, out.timeline)
    return {
        "schema": 1,
        "cell": settings["cell"],
        **status,
        "repeats": settings["decoding"]["repeats"],
        "decoding": settings["decoding"],
        "threads": threads,
        "placement": placement,
        **described,
        "windows": phases.windows,
        "epoch_offset_s": time.time() - time.monotonic(),
        "meters": sampler.meters,
        "sampler": sampler.summary,
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in outputs
        },
    }


class _Run:
    """One cell's model, from loading to the last repeat."""

    def __init__(
        self,
        settings: dict[str, Any],
        variant: dict[str, Any],
        tasks: list[Task],
        stop_strings: tuple[str, ...],
        device: str,
        phases: PhaseLog,
        synchronise: Callable[[], None],
    ) -> None:
        cell, decoding = settings["cell"], settings["decoding"]
        self.variant, self.device, self.phases = variant, device, phases
        self.synchronise = synchronise
        self.idle_s = settings["energy"]["idle_s"]
        self.engine, self.batch_size = engine_named(cell["engine"]), cell["batch_size"]
        self.repeats, self.seed = decoding["repeats"], decoding["seed"]
        self.warmup_batches = decoding["warmup_batches"]
        self.prompts = [_prompt(task, cell["prompt"]) for task in tasks]
        self.task_ids = [task.task_id for task in tasks]
        self.decoding = Decoding(
            token_limit=cell["token_limit"],
            stop_strings=stop_strings,
            samples=decoding["samples"],
            temperature=decoding["temperature"],
            top_p=decoding["top_p"],
        )

    def measure(self) -> tuple[list[Measured], dict[str, Any]]:
        """Load, rest, probe, warm up, repeat, rest. Returns completions and what the model is."""
        peak = PeakMemory(self.device)
        self.engine.build(self._work())
        with self.phases.window("idle_unloaded"):
            time.sleep(min(self.idle_s, 1.0))
        with self.phases.window("load"):
            loaded = self.engine.load(self._work())
        with self.phases.window("idle_loaded"):
            time.sleep(self.idle_s)
        engine = self.engine(loaded, self.synchronise)
        if ignored := loaded.generation.ignored:
            _LOG.warning("generation_config.json: not followed: %s", ignored)
        # What it draws is in no other window, what it holds is not the model's.
        with self.phases.window("probe"), peak.left_out():
            roofline = describe_roofline(engine)
        self._seed(0)
        with self.phases.window("warmup"):
            engine.prepare([prompts for _, prompts in self._batches()], self.decoding)
            for _, prompts in self._batches()[: self.warmup_batches]:
                engine.complete(prompts, self.decoding)
        completions: list[Measured] = []
        for repeat in range(self.repeats):
            completions += self._repeat(engine, repeat)
            if any(item.completion.unsound_token is not None for item in completions):
                break  # further repeats would cost energy and say nothing
        with self.phases.window("idle_after"):
            time.sleep(self.idle_s)
        return completions, {
            "model": self._describe(engine),
            "engine": engine.describe(),
            "generation": engine.loaded.generation.describe(engine.loaded.tokenizer),
            "logits": describe_logits(completions),
            "roofline": roofline,
            "peak_memory": peak.read(),
        }

    def _work(self) -> Work:
        weights = self.variant["weights"]
        return Work(
            directory=weights["directory"],
            files=weights["files"],
            dtype=self.variant["dtype"],
            device=self.device,
            batches=[prompts for _, prompts in self._batches()],
            batch_size=self.batch_size,
            decoding=self.decoding,
            seed=self.seed,
        )

    def _repeat(self, engine: Engine, repeat: int) -> list[Measured]:
        """One measured pass over the benchmark."""
        self._seed(repeat)
        found: list[Measured] = []
        with quiet_libraries(), self.phases.window("repeat", repeat=repeat):
            for number, (first, prompts) in enumerate(self._batches()):
                batch = engine.complete(prompts, self.decoding)
                self.phases.add("prefill", batch.start_s, batch.first_token_s, repeat, number)
                self.phases.add("decode", batch.first_token_s, batch.end_s, repeat, number)
                for done in batch.completions:
                    task_id = self.task_ids[first + done.prompt_index]
                    prompt = prompts[done.prompt_index]
                    found.append(Measured(repeat, number, task_id, prompt, done))
        tokens = sum(item.completion.new_tokens for item in found)
        _LOG.info("repeat %d: %d completions, %d new tokens", repeat, len(found), tokens)
        return found

    def _batches(self) -> list[tuple[int, list[str]]]:
        """(index of the first prompt, prompts) of each batch, in the benchmark's order."""
        starts = range(0, len(self.prompts), self.batch_size)
        return [(start, self.prompts[start : start + self.batch_size]) for start in starts]

    def _seed(self, repeat: int) -> None:
        """Seed before each repeat: what it draws does not depend on what came before."""
        import torch

        torch.manual_seed(self.seed + repeat)

    def _describe(self, engine: Engine) -> dict[str, Any]:
        """What was really loaded, and what its manifest says of it."""
        return {
            **engine.describe_model(),
            "parameters": self.variant["parameters"],
            "meaningful_accuracy": self.variant["meaningful_accuracy"],
        }


def _require_room(variant: dict[str, Any], device: str) -> None:
    """Refuse weights that alone exceed the GPU, before minutes go into loading them.

    Raises:
        InfeasibleError: they do.
    """
    if device != "cuda":
        return
    name, memory_bytes = gpu_memory()
    if variant["size_bytes"] > memory_bytes:
        raise InfeasibleError(
            f"its weights take {variant['size_bytes'] / 1e9:.1f} GB, "
            f"the {name} has {memory_bytes / 1e9:.1f} GB"
        )


def _prompt(task: Task, style: str) -> str:
    """The prompt as the model gets it.

    Raises:
        CodewattError: the style is not known.
    """
    if style == "stripped":
        return task.prompt.strip()
    if style == "as_is":
        return task.prompt
    raise CodewattError(f"prompt style {style!r}: allowed: stripped, as_is")


def _nothing() -> None:
    """The CPU has nothing to wait for."""
