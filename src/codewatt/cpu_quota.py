"""The number of logical CPUs that this process may use: CPU affinity and cgroup CPU quotas."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def usable_processors(mount: Path = CGROUPS, own_cgroups: Path = OWN_CGROUPS) -> int:
    """Number of logical CPUs that this process may use; at least 1.

    The smallest of: the number of logical CPUs of the machine; the number in the process's CPU
    affinity (sched_getaffinity; set by Slurm and taskset); and the CPU quota of its cgroups
    (set by containers), rounded down.

    Args:
        mount: directory where the cgroup file system is mounted.
        own_cgroups: file that lists the cgroups of this process.
    """
    counts = [float(os.cpu_count() or 1), float(len(os.sched_getaffinity(0)))]
    if (quota := cpu_quota(mount, own_cgroups)) is not None:
        counts.append(quota)
    return max(1, int(min(counts)))


def cpu_quota(mount: Path = CGROUPS, own_cgroups: Path = OWN_CGROUPS) -> float | None:
    """The smallest CPU quota (in CPUs) of the process's cgroup and its parents; None without any.

    Read from cpu.max (cgroup v2) or cpu.cfs_quota_us (v1); see the Linux kernel's
    Documentation/admin-guide/cgroup-v2.rst. For the arguments see `usable_processors`.
    """
    found = []
    for folder in _cgroups(mount, own_cgroups):
        quota = _v2_quota(folder) or _v1_quota(folder)
        if quota is not None:
            found.append(quota)
    return min(found, default=None)


def _cgroups(mount: Path, own_cgroups: Path) -> Iterator[Path]:
    """Directories that may have a CPU quota: those of this process's cgroups and their parents."""
    try:
        lines = own_cgroups.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    seen = set()
    for line in [*lines, "0::/", "0:cpu:/"]:
        _, _, rest = line.partition(":")  # number:controllers:path, man 7 cgroups
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / "cpu" if controllers else mount
        folder = root / path.strip("/")
        for each in (folder, *folder.parents):
            if each not in seen and each.is_relative_to(root):
                seen.add(each)
                yield each


def _v2_quota(folder: Path) -> float | None:
    try:
        return _ratio(*(folder / "cpu.max").read_text(encoding="ascii").split())
    except (OSError, TypeError):
        return None


def _v1_quota(folder: Path) -> float | None:
    try:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        return _ratio(*((folder / name).read_text(encoding="ascii").strip() for name in names))
    except OSError:
        return None


def _ratio(quota: str, period: str) -> float | None:
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)
