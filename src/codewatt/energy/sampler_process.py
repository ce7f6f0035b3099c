"""The sampler process: polls every meter in its own thread until it receives a stop request.

Started as `python -m codewatt.energy.sampler_process`. It reads JSON lines from stdin: first
{"timeline", "settings", "gpu_ids", "job_pid"}; then optionally {"gpus": [UUID, ...]}, which
restricts the timeline to the job's GPUs; any number of {"readings": {"meter", "component",
"since_s"}}; then {"stop": true}. It writes JSON lines to stdout: {"meters": [...]} when every meter
was read once, {"readings": [...]} as an answer, and {"meters": [...], "summary": {...}} when the
timeline is written.
It ends without a timeline when stdin is closed or its parent has ended. It ignores keyboard
interrupts, which the job handles.
"""

import json
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from codewatt.energy.gpu_meters import GPU_METERS
from codewatt.gpu_uuids import nvml_uuid

if TYPE_CHECKING:
    from codewatt.energy.job_energy_record import MeterRecord, MeterSampling, SamplerRecord
    from codewatt.energy.meters.meter import Meter, MeterInfo, Reading
    from codewatt.energy.timeline_writer import Recorder

#: How often the parent is looked for; its death closes the input, unless a fork of it lives on.
_PARENT_CHECK_S = 0.5


class Poller(threading.Thread):
    """Reads one meter at its interval and records statistics of the reads."""

    def __init__(self, meter: "Meter", recorder: "Recorder", stopping: threading.Event) -> None:
        super().__init__(name=f"poll {meter.info.name}", daemon=True)
        self.meter, self.first_read = meter, threading.Event()
        self.started_s = time.monotonic()
        self._recorder, self._stopping = recorder, stopping
        self._reads, self._first_s, self._last_s, self._max_gap_s = 0, 0.0, 0.0, 0.0

    def run(self) -> None:
        """Poll until stopped, then read once more. After a slow read, missed reads are skipped."""
        interval_s = self.meter.info.interval_s
        assert interval_s is not None, "absent meters are not polled"
        due_s = time.monotonic()
        while True:
            last = self._stopping.is_set()
            self._read()
            if last:
                return
            due_s = max(due_s + interval_s, time.monotonic())
            self._stopping.wait(due_s - time.monotonic())

    def _read(self) -> None:
        t_s = time.monotonic()
        try:
            self._recorder.add(self.meter.info.name, self.meter.read())
        except Exception as error:  # one failed read must not end the series
            self.meter.failures[f"{type(error).__name__}: {error}"] += 1
        if self._reads:
            self._max_gap_s = max(self._max_gap_s, t_s - self._last_s)
        else:
            self._first_s = t_s
        self._reads, self._last_s = self._reads + 1, t_s
        self.first_read.set()

    def summary(self) -> "MeterSampling":
        """Number of reads, achieved rate (Hz), longest gap (s) and failures."""
        span_s = self._last_s - self._first_s
        return {
            "reads": self._reads,
            "interval_s": self.meter.info.interval_s,
            "rate_hz": (self._reads - 1) / span_s if span_s > 0 else None,
            "max_gap_s": self._max_gap_s if self._reads > 1 else None,
            "failures": dict(self.meter.failures),
        }


class Sampling:
    """Samples all meters of one job and writes the timeline."""

    def __init__(self, request: dict[str, Any]) -> None:
        from codewatt.energy.timeline_writer import Recorder

        self._request, self._recorder = request, Recorder()
        self._stopping = threading.Event()
        self._pollers: list[Poller] = []
        self.infos: list[MeterInfo] = []
        self._started_s = time.monotonic()

    def open(self) -> None:
        """Open the meters and start polling; returns when all meters were read once."""
        from codewatt.energy.meters.open_meters import open_meters
        from codewatt.sampler_settings import SamplerSettings

        settings = SamplerSettings.from_dict(self._request["settings"])
        gpu_ids, job_pid = self._request["gpu_ids"], self._request["job_pid"]
        for meter in open_meters(settings, gpu_ids, job_pid):
            self.infos.append(meter.info)
            if meter.info.interval_s is not None:
                self._pollers.append(Poller(meter, self._recorder, self._stopping))
                self._pollers[-1].start()
        for poller in self._pollers:
            poller.first_read.wait()
            time.sleep(max(0.0, poller.started_s + poller.meter.settle_s - time.monotonic()))
        self._ready_s, self._startup_cpu_s = time.monotonic(), _cpu_s()

    def narrow(self, uuids: list[str]) -> None:
        """Restrict the timeline to these GPUs, once the job knows which GPUs it uses.

        A name that is not polled is kept in the facts, for the validity check to find. What
        CodeCarbon counted is the sum over all that were polled, so it is no figure for fewer.
        """
        wanted = {nvml_uuid(uuid) for uuid in uuids}
        self.infos = [
            _narrowed(info, wanted) if info.interval_s is not None else info for info in self.infos
        ]

    def recent(self, meter: str, component: str, since_s: float) -> "list[Reading]":
        """The readings of a meter's component since a time (s)."""
        return self._recorder.since(meter, component, since_s)

    def finish(self) -> "SamplerRecord":
        """Stop polling and write the timeline; returns the statistics of sampling."""
        time.sleep(max((poller.meter.settle_s for poller in self._pollers), default=0.0))
        self._stopping.set()
        for poller in self._pollers:
            poller.join()
        stopped_s, cpu_s = time.monotonic(), _cpu_s()
        for poller in self._pollers:
            poller.meter.close()
        self._recorder.write(self._request["timeline"], self.described())
        sampled_s, sampling_cpu_s = stopped_s - self._ready_s, cpu_s - self._startup_cpu_s
        return {
            "started_s": self._started_s,
            "ready_s": self._ready_s,
            "stopped_s": stopped_s,
            "startup_s": self._ready_s - self._started_s,
            "startup_cpu_s": self._startup_cpu_s,
            "sampling_cpu_s": sampling_cpu_s,
            "cpu_share": sampling_cpu_s / sampled_s,
            "max_rss_bytes": _max_rss_bytes(),
            "meters": {poller.meter.info.name: poller.summary() for poller in self._pollers},
        }

    def described(self) -> "list[MeterRecord]":
        """The meters, as manifests keep them."""
        return [info.to_dict() for info in self.infos]


def _narrowed(info: "MeterInfo", wanted: set[str]) -> "MeterInfo":
    """The description of a meter, restricted to the wanted GPUs."""
    from codewatt.energy.meters.meter import ComponentInfo

    polled = {device["device"] for device in info.devices}
    if info.name == "codecarbon" and set(info.facts["gpus"]) != wanted:
        reason = "it counted other GPUs than the job used" if wanted else "the job used no GPU"
        gone = ComponentInfo("unavailable", info.components["gpu"].method, reason)
        return replace(info, components={**info.components, "gpu": gone})
    if info.name not in GPU_METERS:
        return info
    kept = [device for device in info.devices if device["device"] in wanted]
    facts = {**info.facts, "selected_by": "caller", "not_polled": sorted(wanted - polled)}
    components = info.components
    if not kept:
        reason = "none of the job's GPUs was read" if wanted else "the job used no GPU"
        components = {"gpu": ComponentInfo("unavailable", info.name, reason)}
    return replace(info, devices=kept, components=components, facts=facts)


def _max_rss_bytes() -> int | None:
    """Peak memory of this process (bytes); getrusage would include its parent before exec."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
        lines = [line for line in stream if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else None


def _cpu_s() -> float:
    """CPU time (s) of this process and of processes that its meters started."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _requests(parent_pid: int) -> Iterator[dict[str, Any]]:
    """Yield the parent's lines; ends when stdin is closed or the parent has ended."""
    pending = b""
    while os.getppid() == parent_pid:
        if not select.select([0], [], [], _PARENT_CHECK_S)[0]:
            continue
        data = os.read(0, 1 << 16)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _private_stdout() -> IO[str]:
    """The stream to the parent; output that libraries print goes to stderr from now on."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def main() -> None:
    """Serve one job. The exit status is 0 only if the timeline was written."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = _private_stdout()

    def tell(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    requests = _requests(os.getppid())
    sampling = Sampling(next(requests))
    sampling.open()
    tell({"meters": sampling.described()})
    for request in requests:
        if "gpus" in request:
            sampling.narrow(request["gpus"])
        if "readings" in request:
            tell({"readings": sampling.recent(**request["readings"])})
        if request.get("stop"):
            summary = sampling.finish()
            tell({"meters": sampling.described(), "summary": summary})
            return
    sys.exit("the job ended without stopping its sampler")


if __name__ == "__main__":
    main()
