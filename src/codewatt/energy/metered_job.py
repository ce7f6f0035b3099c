"""Metering of one job: the sampler's process, the phases of the job, and its record.

Which windows a job has and what they mean is the stage's own matter; joules are computed
afterwards, by `cell_energy`.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from codewatt.energy.gpu_meters import gpu_meter
from codewatt.energy.job_energy_record import JobEnergyRecord, MeteredRecord
from codewatt.energy.phase_windows import PhaseLog
from codewatt.energy.rest import Rest
from codewatt.energy.sampler import Sampler
from codewatt.energy.start_record import Sensor, StartConditions, StartRecord
from codewatt.gpu_uuids import nvml_uuid

_LOG = logging.getLogger(__name__)


class MeteredJob:
    """Sample energy around a job and log when each of its phases began and ended.

    The sampler takes about 2 s to start (mostly CodeCarbon). `start` returns at once, so that the
    job can import its libraries meanwhile; entering the block waits until every meter was read.
    An exception inside the block ends the sampler without a timeline.

    Example:
        job = MeteredJob(timeline, settings["energy"]).start()
        import torch                               # while the meters open

        with job:                                  # every meter was read once
            job.use_gpus(gpu_ids)
            with job.window("load"):               # the window begins: GPU idle, time taken
                model = load()
                                                   # the window ends: GPU idle, time taken
            with job.window("repeat", repeat=0):
                generate(model)
        manifest = {"schema": 1, **job.record()}   # the timeline is written

    Args:
        timeline: the Parquet file to write.
        settings: the study's energy settings (`sampler_settings.SamplerSettings`).
        gpu_ids: UUIDs of the job's GPUs; an empty list: it uses none; None: those of
            CUDA_VISIBLE_DEVICES, until `use_gpus` names them.

    Attributes:
        synchronise: waits until the GPUs have finished all queued work; does nothing on a CPU.
    """

    def __init__(
        self,
        timeline: Path,
        settings: Mapping[str, Any],
        gpu_ids: Sequence[str] | None = None,
    ) -> None:
        self.timeline = timeline
        self._sampler = Sampler(timeline, settings, gpu_ids)
        self._phases = PhaseLog()
        self._gpu_ids = list(gpu_ids or [])
        self.synchronise: Callable[[], None] = _do_nothing

    def start(self) -> Self:
        """Start the sampler's process and return at once."""
        self._sampler.start()
        return self

    def use_gpus(self, gpu_ids: Sequence[str]) -> None:
        """Set the GPUs that the job uses; readings of other GPUs are left out of the timeline.

        With a GPU, `synchronise` waits for it at both ends of each window.

        Args:
            gpu_ids: their UUIDs; empty for a job on the CPU.
        """
        self._sampler.use_gpus(gpu_ids)
        self._gpu_ids = list(gpu_ids)
        if gpu_ids:
            import torch

            self.synchronise = torch.cuda.synchronize
            self._phases = PhaseLog(self.synchronise)

    def window(
        self, phase: str, repeat: int | None = None, batch: int | None = None
    ) -> AbstractContextManager[None]:
        """Log the block as one window; a block that raises leaves none."""
        return self._phases.window(phase, repeat, batch)

    def add_window(self, phase: str, start_s: float, end_s: float, repeat: int, batch: int) -> None:
        """Log a window whose ends (CLOCK_MONOTONIC seconds) were taken by the engine."""
        self._phases.add(phase, start_s, end_s, repeat, batch)

    def rest(self, conditions: StartConditions | None) -> StartRecord:
        """Wait until the job's devices meet the conditions; their state is described.

        The devices are the job's GPUs, or the machine's CPU packages if it uses no GPU. The wait is
        a window `rest`; without conditions there is none.
        """
        meter: Sensor = gpu_meter(self._sampler.meters) if self._gpu_ids else "rapl"
        component = "gpu" if self._gpu_ids else "cpu"
        rest = Rest(
            *self._sensor(meter, component),
            [nvml_uuid(uuid) for uuid in self._gpu_ids] or None,
            lambda since_s: self._sampler.readings(meter, component, since_s),
        )
        if conditions is None:
            return rest.describe()
        with self.window("rest"):
            found = rest.wait(conditions)
        if found["condition_met"] is not True:
            _LOG.warning("energy.start: measured without it: %s", found["reason"])
        window = self._phases.windows[-1]
        return {**found, "rest_s": window["end_s"] - window["start_s"]}

    def _sensor(self, meter: Sensor, component: str) -> tuple[Sensor | None, str | None]:
        """The meter, None if it cannot read the component; and the reason why not."""
        for found in self._sampler.meters:
            if found["name"] == meter and component in found["components"]:
                described = found["components"][component]
                readable = described["status"] != "unavailable"
                return (meter, None) if readable else (None, described["detail"])
        return None, f"no meter {meter}"

    def record(self) -> MeteredRecord:
        """The metered fields of the job's record, once the block has ended."""
        return {
            "windows": self._phases.windows,
            "epoch_offset_s": time.time() - time.monotonic(),
            "meters": self._sampler.meters,
            "sampler": self._sampler.summary,
        }

    def energy_record(self, device: str) -> JobEnergyRecord:
        """The metered fields of a variant manifest or of layer scores, once the block has ended."""
        record = self.record()
        return {
            **record,
            "duration_s": math.fsum(w["end_s"] - w["start_s"] for w in record["windows"]),
            "timeline": str(self.timeline),
            "device": device,
        }

    def __enter__(self) -> Self:
        self._sampler.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sampler.__exit__(kind, error, trace)


def unmetered(device: str) -> JobEnergyRecord:
    """The metered fields of a variant that needed no pruning or quantising."""
    return {
        "windows": [],
        "duration_s": 0.0,
        "epoch_offset_s": None,
        "timeline": None,
        "meters": [],
        "sampler": None,
        "device": device,
    }


def _do_nothing() -> None:
    """On a CPU there is no queued work to wait for."""
