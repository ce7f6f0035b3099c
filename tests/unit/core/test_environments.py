"""The conda environment and the virtual environment install the same versions."""

import pytest
import yaml


def _pins(path):
    return set(path.read_text().split())


def test_conda_has_the_pins_of_the_lock(repository):
    """On failure: make lock."""
    lock = _pins(repository / "requirements" / "lock.txt")
    later = _pins(repository / "requirements" / "nodeps.txt")
    environment = yaml.safe_load((repository / "envs" / "codewatt.yaml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert set(pip) | later == lock
    assert set(pip).isdisjoint(later)
    deployed = (repository / "envs" / "codewatt.post-deploy.sh").read_text()
    assert all(pin in deployed for pin in later)


def test_conda_has_the_pins_of_vllms_lock(repository):
    """On failure: make lock."""
    lock = _pins(repository / "requirements" / "vllm.lock.txt")
    environment = yaml.safe_load((repository / "envs" / "vllm.yaml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert set(pip) == lock
    assert all("==" in pin for pin in lock)


def test_what_meters_is_the_same_in_vllms_environment(repository):
    """Figures of two engines are compared: meters, workflow, formats are of one version."""
    ours = _pins(repository / "requirements" / "lock.txt")
    theirs = _pins(repository / "requirements" / "vllm.lock.txt")
    for name in ("codecarbon", "nvidia-ml-py", "snakemake", "bitsandbytes", "torchao"):
        [pin] = [pin for pin in ours if pin.startswith(f"{name}==")]
        assert pin in theirs


def test_every_version_is_exact_and_no_cuda_is_asked_for(repository):
    lock = _pins(repository / "requirements" / "lock.txt")
    assert all("==" in pin for pin in lock)
    assert "torch==2.13.0" in lock
    cuda = ("nvidia-c", "cuda-", "triton=")
    assert not [pin for pin in lock if pin.startswith(cuda)], "torch's wheel decides on these"


@pytest.mark.parametrize(("asked", "locked"), [("base", "lock"), ("vllm", "vllm.lock")])
def test_what_is_asked_for_is_what_is_locked(repository, asked, locked):
    lock = _pins(repository / "requirements" / f"{locked}.txt")
    names = {pin.split("==")[0].lower().replace("_", "-") for pin in lock}
    for line in (repository / "requirements" / f"{asked}.in").read_text().splitlines():
        if line and not line.startswith("#"):
            assert line.split("==")[0].lower() in names
            assert "==" not in line or line in lock
