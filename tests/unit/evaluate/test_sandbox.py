"""What the sandbox shows to a program, and what is said when it cannot be set up."""

import platform
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewatt.code_digests import stage_code
from codewatt.errors import CodewattError
from codewatt.evaluate.sandbox import bubblewrap, sandbox, sandbox_probe
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.seccomp import seccomp_filter

Look = Callable[..., Any]


def test_the_view_is_small(look_inside: Look) -> None:
    """Nothing of the user, of /etc, of /tmp; no environment but the sandbox's own."""
    found = look_inside(
        "import io, os, sys\n"
        "def look():\n"
        "    folders = {path: sorted(os.listdir(path)) for path in ('/tmp', '/dev', '/etc')}\n"
        "    return folders, dict(os.environ), os.listdir('/'), os.uname().nodename\n"
    )
    folders, environment, top, name = found
    # Python itself may be installed below /tmp; nothing else of it shows.
    roots = {
        path.split("/")[2] for path in bubblewrap._readable_paths() if path.startswith("/tmp/")
    }
    assert set(folders["/tmp"]) - roots == {"0"}
    assert folders["/dev"] == ["full", "null", "random", "urandom"]
    assert folders["/etc"] in ([], ["ld.so.cache"])
    assert set(environment) <= {*bubblewrap.ENVIRONMENT, "LD_LIBRARY_PATH", "PWD", "LC_CTYPE"}
    assert "runner" in top
    assert name == "sandbox"


def test_a_program_has_no_privileges_and_few_descriptors(look_inside: Look) -> None:
    status, pids, pipes = look_inside(
        "import io, os\n"
        "def look():\n"
        "    text = io.FileIO('/proc/self/status').read().decode()\n"
        "    status = dict(line.split(':', 1) for line in text.splitlines())\n"
        "    kept = {key: status[key].split() for key in ('Uid', 'Gid', 'Groups', 'CapEff',\n"
        "            'CapPrm', 'CapAmb', 'NoNewPrivs', 'Seccomp')}\n"
        "    pids = [name for name in os.listdir('/proc') if name.isdigit()]\n"
        "    held = []\n"
        "    for number in range(200):\n"
        "        try:\n"
        "            os.fstat(number)\n"
        "            held.append(number)\n"
        "        except OSError:\n"
        "            pass\n"
        "    return kept, pids, held\n"
    )
    assert "0" not in status["Uid"] + status["Gid"]
    assert {"0000000000000000"} == {*status["CapEff"], *status["CapPrm"], *status["CapAmb"]}
    assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])
    assert len(pids) == 3  # the namespace's init, the runner, the program
    assert len(pipes) <= 4  # the standard ones and the results


def test_the_limits_are_set(look_inside: Look) -> None:
    limits = Limits(memory_bytes=1 << 30, processes=7, files=50, tmpfs_bytes=1 << 20)
    text = look_inside(
        "import io\ndef look(): return io.FileIO('/proc/self/limits').read().decode()\n", limits
    )
    set_to = {line[:26].strip(): line[26:].split()[1] for line in text.splitlines()[1:]}
    assert set_to["Max address space"] == str(1 << 30)
    assert set_to["Max open files"] == "50"
    assert set_to["Max file size"] == str(1 << 20)
    assert set_to["Max core file size"] == "0"
    if bubblewrap.is_machine_root() or bubblewrap.process_limit_is_per_namespace():
        assert set_to["Max processes"] == "7"


def test_the_kernel_takes_sandboxes_first_if_memory_runs_out(look_inside: Look) -> None:
    code = "import io\ndef look(): return io.FileIO('/proc/self/oom_score_adj').read().decode()\n"
    assert look_inside(code).strip() == "1000"


def test_what_python_offers_is_there(look_inside: Look) -> None:
    assert look_inside(
        "import ctypes, decimal, hashlib, sqlite3, ssl, statistics, zlib, asyncio, numpy\n"
        "def look(): return asyncio.run(asyncio.sleep(0, 5))\n"
    ) == 5  # fmt: skip


def test_the_machine_is_ready_or_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox_probe.require_sandbox()
    sandbox_probe._probe.cache_clear()
    bubblewrap.find_bubblewrap.cache_clear()
    bubblewrap.bubblewrap_arguments.cache_clear()
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(CodewattError, match=r"is not installed; .*: apt install bubblewrap"):
        sandbox_probe.require_sandbox()


def test_a_sandbox_that_does_not_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Never a reason to run without one: the message is bubblewrap's own."""
    refusing = tmp_path / "bwrap"
    refusing.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1"
    )
    refusing.chmod(0o755)
    monkeypatch.setattr(sandbox, "bubblewrap_arguments", lambda tmpfs_bytes: (str(refusing),))
    sandbox_probe._probe.cache_clear()
    message = r"^sandbox: did not start: bwrap: No permissions[^\n]*$"
    with pytest.raises(CodewattError, match=message):
        sandbox_probe.require_sandbox(Limits(start_s=5))
    sandbox_probe._probe.cache_clear()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_well_formed(machine: str) -> None:
    """Every jump lands inside the program, and the last instruction returns."""
    program = seccomp_filter(machine)
    instructions = list(struct.iter_unpack("<HBBI", program))
    for place, (code, if_true, if_false, _) in enumerate(instructions):
        if code & 7 == 5:
            assert place + 1 + max(if_true, if_false) < len(instructions)
    assert instructions[-1][0] == 6


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(CodewattError, match="no system-call filter for mips"):
        seccomp_filter("mips")
    assert seccomp_filter() == seccomp_filter(platform.machine())


def test_relative_folders_of_libraries_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """To the dynamic linker an empty or relative entry is the working directory."""
    work, libraries = tmp_path / "home/work", tmp_path / "libraries"
    (work / "lib").mkdir(parents=True)
    libraries.mkdir()
    (tmp_path / "link").symlink_to(work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for hidden in (".", "", "lib", "..", "/", str(work), str(work.parent), f"{tmp_path}/link"):
        monkeypatch.setenv("LD_LIBRARY_PATH", f"{hidden}:{libraries}:")
        assert bubblewrap.shared_library_paths() == [str(libraries)], hidden
        assert not [path for path in bubblewrap._readable_paths() if path.startswith(str(work))]
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    assert bubblewrap.shared_library_paths() == []


def test_relative_folders_of_packages_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "site-packages:")
    monkeypatch.setattr("sys.path", [*sys.path, str(packages), "site-packages"])
    bubblewrap.package_paths.cache_clear()
    try:
        assert str(packages) not in bubblewrap.package_paths()
        monkeypatch.chdir("/")
        monkeypatch.setenv("PYTHONPATH", str(packages))
        bubblewrap.package_paths.cache_clear()
        assert str(packages) in bubblewrap.package_paths()
    finally:
        bubblewrap.package_paths.cache_clear()


def test_nothing_of_the_working_directory_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, look_inside: Look
) -> None:
    (tmp_path / "secret").write_text("x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", ".")
    bubblewrap.bubblewrap_arguments.cache_clear()
    try:
        code = "import os\ndef look(): return [f for f in {paths!r} if os.path.exists(f)]\n"
        assert look_inside(code.format(paths=[f"{tmp_path}/secret", str(tmp_path)])) == []
    finally:
        bubblewrap.bubblewrap_arguments.cache_clear()


def test_memory_is_shared_out() -> None:
    limits = Limits()
    assert limits.total_memory_limit(1) <= limits.memory_bytes
    assert limits.total_memory_limit(64) * 64 <= limits.total_memory_limit(1) * 64
    assert Limits(total_memory_bytes=5).total_memory_limit(9) == 5


def test_verdicts_go_stale_when_code_inside_the_sandbox_changes(repository: Path) -> None:
    """Files of the sandbox are read, not imported; digests of the stages name them all the same."""
    for stage in ("evaluate", "compute_expected"):
        script = repository / "workflow" / "scripts" / f"{stage}.py"
        modules = {line.split()[0] for line in stage_code(script)}
        for name in sandbox.RUNNER_FILES:
            assert f"codewatt.{name.replace('/', '.')}" in modules
        assert "codewatt.evaluate.sandbox.launcher_process" in modules
