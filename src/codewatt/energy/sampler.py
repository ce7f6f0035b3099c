"""Start, await and stop the sampler's process from the job that is metered."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from codewatt.energy import sampler_process
from codewatt.energy.job_energy_record import MeterRecord, SamplerRecord
from codewatt.energy.meters.meter import Reading
from codewatt.errors import CodewattError
from codewatt.sampler_settings import SamplerSettings

_READY_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 120.0
_READINGS_TIMEOUT_S = 60.0


class Sampler:
    """Energy telemetry of the code between `start` and `stop`, as a timeline file.

    As a context manager it is ready on entry; an exception inside the block ends the sampler
    without a timeline. To overlap its start (about 2 s, mostly CodeCarbon's) with imports:

        sampler = Sampler(path, settings).start()
        import torch
        with sampler: ...

    Args:
        timeline_path: the Parquet file to write (its columns: timeline_writer.Recorder.write).
        settings: the study's energy settings; keys and defaults: sampler_settings.SamplerSettings.
        gpu_ids: UUIDs of the job's GPUs (str(torch.cuda.get_device_properties(i).uuid)); an empty
            list: it uses none; None: by CUDA_VISIBLE_DEVICES, until `use_gpus` says better.

    Attributes:
        meters: MeterInfo dicts, from `wait_ready` on.
        summary: samples, rates, gaps and the sampler's own cost, after `stop`.
    """

    def __init__(
        self,
        timeline_path: str | os.PathLike[str],
        settings: Mapping[str, Any] | None = None,
        gpu_ids: Sequence[str] | None = None,
    ) -> None:
        SamplerSettings.from_dict(settings or {})  # a bad setting fails here, in the job itself
        self._timeline = Path(timeline_path).absolute()
        self._settings = dict(settings or {})
        self._gpu_ids = None if gpu_ids is None else [str(name) for name in gpu_ids]
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._unread = b""
        self.meters: list[MeterRecord] = []
        self._summary: SamplerRecord | None = None

    def start(self) -> Self:
        """Start the process and return at once."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process ends
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", sampler_process.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._send(
            {
                "timeline": str(self._timeline),
                "settings": self._settings,
                "gpu_ids": self._gpu_ids,
                "job_pid": os.getpid(),
            }
        )
        return self

    def wait_ready(self) -> None:
        """Block until every meter has been read once.

        Raises:
            CodewattError: the sampler ended or did not answer in two minutes.
        """
        if not self.meters:
            self.meters = self._answer(_READY_TIMEOUT_S)["meters"]

    @property
    def summary(self) -> SamplerRecord:
        """Statistics of sampling: rates, gaps and cost of the sampler.

        Raises:
            CodewattError: the sampler was not stopped, so that it is not known yet.
        """
        if self._summary is None:
            raise CodewattError(f"{self._timeline}: the energy sampler was not stopped")
        return self._summary

    @property
    def pid(self) -> int:
        """Process ID of the sampler."""
        return self._running().pid

    def use_gpus(self, uuids: Sequence[str]) -> None:
        """Restrict the timeline to these GPUs, once the job knows which GPUs it uses."""
        self.wait_ready()
        self._send({"gpus": [str(uuid) for uuid in uuids]})

    def readings(self, meter: str, component: str, since_s: float) -> list[Reading]:
        """The readings of a meter's component since a time (CLOCK_MONOTONIC s), while it samples.

        Raises:
            CodewattError: the sampler ended or did not answer in a minute.
        """
        self.wait_ready()
        self._send({"readings": {"meter": meter, "component": component, "since_s": since_s}})
        return [Reading(*values) for values in self._answer(_READINGS_TIMEOUT_S)["readings"]]

    def stop(self) -> None:
        """Stop sampling and write the timeline; `summary` is available afterwards.

        Raises:
            CodewattError: the sampler died on the way, so there is no timeline.
        """
        self.wait_ready()
        self._send({"stop": True})
        answer = self._answer(_STOP_TIMEOUT_S)
        self.meters, self._summary = answer["meters"], answer["summary"]
        self._end()

    def abandon(self) -> None:
        """Stop sampling without writing a timeline."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.abandon()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.stop()
        finally:
            self.abandon()

    def _send(self, message: dict[str, Any]) -> None:
        """Write one line; a process that is gone is reported by `_answer`, with its reason."""
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        """The next line from the process, as JSON."""
        process = self._running()
        assert process.stdout is not None
        deadline_s = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                self.abandon()
                raise CodewattError(
                    f"{self._timeline}: the energy sampler did not answer in {timeout_s:.0f} s: "
                    "run the cell again"
                )
            if select.select([process.stdout], [], [], left_s)[0]:
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    raise CodewattError(self._end_reason(process))
                self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end_reason(self, process: subprocess.Popen[bytes]) -> str:
        """Why the process has ended, on one line."""
        status = process.wait()
        how = (
            f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
        )
        lines: list[str] = []
        if self._errors is not None:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self._end()
        last_line = f": {lines[-1]}" if lines else ""
        return (
            f"{self._timeline}: the energy sampler ended early ({how}){last_line}; "
            "run the cell again"
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise CodewattError(f"{self._timeline}: the energy sampler is not running")
        return self._process

    def _end(self) -> None:
        """Close the pipes and wait for the process."""
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout, self._errors):
                if stream is not None:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        continue
            self._process.wait()
        self._process = self._errors = None
