"""A real Slurm of four virtual nodes on this machine, started for tests and gone with them.

slurmctld, slurmdbd (with MariaDB, so that sacct works) and a slurmd for each node, all below one
folder and on 127.0.0.1. The GPUs are links to /dev/null: Slurm counts, grants and hides them as it
does real ones, and no NVML answers for them.
"""

import contextlib
import ctypes
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

NEEDED = ("slurmctld", "slurmd", "slurmdbd", "sbatch", "mariadbd", "mariadb-install-db")
#: Node -> (gres without the number, partition); four GPUs each.
NODES = {
    "l40s01": ("gpu:l40s", "gpu_l40s"),
    "l40s02": ("gpu:l40s", "gpu_l40s"),
    "a10001": ("gpu:a100", "gpu_a100"),
    "cpu01": ("", "cpu"),
}
GPUS, CPUS, MEMORY_MB = 4, 8, 64_000
ACCOUNT = "quant"
_CLIENTS = (
    "sbatch srun salloc sacct sacctmgr scancel scontrol sinfo squeue sstat sreport sprio sdiag"
)
_PR_SET_PDEATHSIG = 1


def missing() -> str | None:
    """Why no Slurm can be started here; None if it can."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    absent = [name for name in NEEDED if shutil.which(name, path=search) is None]
    return f"Slurm is not installed ({', '.join(absent)}): make test-cluster" if absent else None


@dataclass(frozen=True)
class Job:
    """A job; comment: the rule and its wildcards; start_s, end_s: of the clock, None if not yet."""

    id: str
    state: str
    node: str
    comment: str
    start_s: float | None
    end_s: float | None
    partition: str = ""
    tres: str = ""

    @property
    def rule(self) -> str:
        """The rule or group that it runs."""
        return self.comment.removeprefix("rule_").partition("_wildcards_")[0]


class Slurm:
    """The cluster, from `start` to `stop`.

    Attributes:
        folder: where all its files are.
        configuration: slurm.conf.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "etc" / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = _free_ports(3 + len(NODES))

    def start(self) -> None:
        """Start everything and wait until each node is idle."""
        for name in ("etc", "bin", "ctld", "log", "run", "dev", *(f"spool/{n}" for n in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        self._start_accounting()
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        _await("idle nodes", lambda: self.states() == dict.fromkeys(NODES, "idle"))

    def stop(self) -> None:
        """Cancel every job and end every process of this cluster."""
        for client in (["scancel", "--user", getpass.getuser()], ["squeue", "--noheader"]):
            subprocess.run(
                client, env=self.environment(), capture_output=True, timeout=20, check=False
            )
        for pid in list(_processes({"SLURM_CONF": str(self.configuration)})):
            _kill(pid)
        for name, daemon in self._daemons.items():
            if name in ("slurmdbd", "mariadbd"):
                daemon.terminate()
            daemon.wait(timeout=30)

    def environment(self, base: dict[str, str] | None = None) -> dict[str, str]:
        """An environment in which Slurm's commands speak to this cluster."""
        base = dict(os.environ if base is None else base)
        path = os.pathsep.join([str(self.folder / "bin"), base.get("PATH", ""), "/usr/sbin"])
        return {**base, "PATH": path, "SLURM_CONF": str(self.configuration)}

    def run(self, *command: str, expect: int = 0, environment: Any = None) -> str:
        """One of Slurm's commands; its output. expect: its exit code; environment: to submit."""
        done = subprocess.run(
            command,
            env=environment or self.environment(),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == expect, f"{' '.join(command)}: {done.returncode} {done.stderr}"
        return done.stdout

    def states(self) -> dict[str, str]:
        """Node -> state."""
        lines = self.run("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        return dict(line.split() for line in lines)

    def queue(self, *options: str) -> list[Job]:
        """Jobs that wait or run; with --states=all those that have ended as well."""
        form = "--format=%i|%T|%N|%k|%S"
        rows = [line.split("|") for line in self.run("squeue", "-h", form, *options).splitlines()]
        return [Job(*row[:4], _seconds(row[4]), None) for row in rows]

    def accounts(self) -> list[Job]:
        """Every job so far as sacct tells, once it knows that all have ended."""
        fields = "JobID,State,NodeList,Comment,Start,End,Partition,AllocTRES"
        command = ("sacct", "-X", "-n", "-P", "-S", "now-1day", f"--format={fields}")

        def told() -> list[Job]:
            rows = [line.split("|") for line in self.run(*command).splitlines()]
            return [Job(*row[:4], _seconds(row[4]), _seconds(row[5]), *row[6:]) for row in rows]

        ended = len(self.queue("--states=all")) - len(self.queue())
        _await("sacct", lambda: sum(job.end_s is not None for job in told()) >= ended)
        return told()

    def start_controller(self) -> None:
        """Start slurmctld, with the state that an earlier one saved."""
        self._daemon("slurmctld", "slurmctld", "-D")
        _await("slurmctld", lambda: "UP" in self.run("scontrol", "ping"))

    def stop_controller(self) -> None:
        """End slurmctld as a restart of its service does."""
        controller = self._daemons.pop("slurmctld")
        controller.terminate()
        controller.wait(timeout=60)

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        self._daemon(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """Pull a node's plug: slurmd, its steps and their jobs at once, and nobody cleans up."""
        victims = [self._daemons.pop(node).pid, *self._steps(node)]
        victims += _processes({"SLURM_CONF": str(self.configuration), "SLURMD_NODENAME": node})
        for pid in victims:
            _kill(pid, signal.SIGSTOP)
        for pid in victims:
            _kill(pid)
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=no answer")

    def script_of(self, job: Job) -> int:
        """The process of the rule's script in a job."""
        for pid in _processes({"SLURM_CONF": str(self.configuration), "SLURM_JOB_ID": job.id}):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if any(".snakemake/scripts/" in word for word in words):
                return pid
        raise AssertionError(f"no script is running in job {job.id}")

    def _steps(self, node: str) -> Iterator[int]:
        """Processes slurmstepd of one node: what they write to says whose they are."""
        for pid in _processes({"SLURM_CONF": str(self.configuration)}):
            try:
                opened = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
                name = Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            marks = (f"slurmd-{node}.log", f"spool/{node}/")
            if name == "slurmstepd" and any(mark in path for path in opened for mark in marks):
                yield pid

    def _start_accounting(self) -> None:
        user, data = getpass.getuser(), self.folder / "mysql"
        log = self.folder / "log"
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}"]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(
            [*install, *options, "--skip-name-resolve"],
            check=True,
            stdout=(log / "mysql-install.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        begin = self.folder / "init.sql"
        begin.write_text(
            "CREATE DATABASE slurm_acct_db;\n"
            "CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';\n"
            "GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';\n"
        )
        self._daemon(
            "mariadbd", "mariadbd", "--no-defaults", f"--user={user}", f"--datadir={data}",
            f"--init-file={begin}", f"--socket={self.folder}/run/sql", f"--port={self._ports[0]}",
            f"--pid-file={self.folder}/run/mariadbd.pid", "--bind-address=127.0.0.1",
            "--skip-name-resolve", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M",
            "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0", "--skip-log-bin", "--performance-schema=OFF",
        )  # fmt: skip
        _await("MariaDB", lambda: _answers(self._ports[0]))
        self._daemon("slurmdbd", "slurmdbd", "-D")
        _await("slurmdbd", lambda: _answers(self._ports[1]))
        for entry in (
            ("cluster", "tests"),
            ("account", ACCOUNT, "Cluster=tests"),
            ("user", user, f"Account={ACCOUNT}", f"DefaultAccount={ACCOUNT}", "Cluster=tests"),
        ):
            self.run("sacctmgr", "-i", "add", *entry)

    def _daemon(self, name: str, *command: str) -> None:
        """Start a process that ends with this one, however this one ends; from the main thread.

        (Linux sends the signal when the thread that started it ends.)
        """
        libc = ctypes.CDLL(None)
        self._daemons[name] = subprocess.Popen(
            command,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "log" / f"{name}.out").open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        )

    def _write_configuration(self) -> None:
        for number in range(GPUS):  # Slurm wants devices whose names end in a number
            (self.folder / f"dev/gpu{number}").symlink_to("/dev/null")
        etc = self.folder / "etc"
        _, dbd, controller, *nodes = self._ports
        user = getpass.getuser()
        lines = _SLURM_CONF.format(folder=self.folder, user=user, controller=controller, dbd=dbd)
        gres = ""
        for (node, (kind, _)), port in zip(NODES.items(), nodes, strict=True):
            lines += (
                f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} "
                f"CPUs={CPUS} CoresPerSocket={CPUS} RealMemory={MEMORY_MB}"
            )
            if kind:
                lines += f" Gres={kind}:{GPUS} Feature={kind.partition(':')[2]}"
                devices = f"{self.folder}/dev/gpu[0-{GPUS - 1}]"
                gres += f"NodeName={node} Name=gpu Type={kind.partition(':')[2]} File={devices}\n"
            lines += "\n"
        for partition in dict.fromkeys(partition for _, partition in NODES.values()):
            members = ",".join(node for node, (_, where) in NODES.items() if where == partition)
            default = "YES" if partition == "cpu" else "NO"
            lines += (
                f"PartitionName={partition} Nodes={members} Default={default} MaxTime=600 "
                "State=UP\n"
            )
        self.configuration.write_text(lines)
        (etc / "gres.conf").write_text(gres)
        (etc / "slurmdbd.conf").write_text(
            _DBD_CONF.format(folder=self.folder, user=user, dbd=dbd, sql=self._ports[0])
        )
        (etc / "slurmdbd.conf").chmod(0o600)
        # The executor in a job drops SLURM_CONF; a cluster has /etc/slurm, these have wrappers.
        for name in _CLIENTS.split():
            wrapper = self.folder / "bin" / name
            wrapper.write_text(
                f'#!/bin/sh\nSLURM_CONF={self.configuration} exec /usr/bin/{name} "$@"\n'
            )
            wrapper.chmod(0o755)


_SLURM_CONF = """\
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
MailProg=/bin/true
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=60
SlurmctldTimeout=60
InactiveLimit=0
KillWait=2
MinJobAge=3600
MessageTimeout=20
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStorageTRES=gres/gpu,gres/gpu:l40s,gres/gpu:a100
AccountingStoreFlags=job_comment
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
"""

_DBD_CONF = """\
AuthType=auth/none
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser={user}
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""


def _seconds(text: str) -> float | None:
    return (
        None if text in ("Unknown", "N/A", "None", "") else datetime.fromisoformat(text).timestamp()
    )


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _await(what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except AssertionError:
            pass
        assert time.monotonic() < deadline, f"gave up waiting for {what}"
        time.sleep(0.05)


def _processes(environment: dict[str, str]) -> Iterator[int]:
    """Processes, this one aside, whose environment holds these variables."""
    wanted = {f"{name}={value}" for name, value in environment.items()}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            held = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if wanted <= set(held) and int(entry.name) != os.getpid():
            yield int(entry.name)


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
