"""The conda environment and the virtual environment install the same versions."""

import pytest
import yaml

from codewatt.config.gptq_awq_libraries import BACKENDS


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


@pytest.mark.parametrize(
    ("name", "later"),
    [
        ("vllm", set()),
        ("autoawq", {"autoawq==0.2.9"}),
        ("autogptq", {"auto-gptq==0.7.1"}),
        ("bigcodebench", set()),
    ],
)
def test_conda_has_the_pins_of_the_lock_of_another_environment(repository, name, later):
    """On failure: make lock."""
    lock = _pins(repository / "requirements" / f"{name}.lock.txt")
    environment = yaml.safe_load((repository / "envs" / f"{name}.yaml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert set(pip) | later == lock
    assert set(pip).isdisjoint(later)
    assert all("==" in pin for pin in lock)
    deployed = repository / "envs" / f"{name}.post-deploy.sh"
    assert deployed.exists() == bool(later)
    assert all(f"--no-deps {pin}\n" in deployed.read_text() for pin in later)


METERS = ("codecarbon", "nvidia-ml-py", "snakemake", "psutil", "pyarrow")


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ("vllm", (*METERS, "bitsandbytes", "torchao")),
        ("autoawq", (*METERS, "torch", "transformers", "tokenizers", "safetensors")),
        ("autogptq", (*METERS, "torch", "safetensors")),
    ],
)
def test_what_meters_is_the_same_in_every_environment(repository, environment, names):
    """Their figures are compared: meters, workflow, formats are of one version.

    So is what AutoAWQ's codes hang on: with other versions they would be other codes.
    """
    ours = _pins(repository / "requirements" / "lock.txt")
    theirs = _pins(repository / "requirements" / f"{environment}.lock.txt")
    for name in names:
        [pin] = [pin for pin in ours if pin.startswith(f"{name}==")]
        assert pin in theirs


def test_each_backends_environment_is_there(repository):
    for backend in BACKENDS.values():
        if backend.environment:
            name, version = backend.library.lower().split()
            named = {"autoawq": "autoawq", "autogptq": "auto-gptq"}[name]
            pins = _pins(repository / "requirements" / f"{backend.environment}.lock.txt")
            assert f"{named}=={version}" in pins
            assert f"\n{backend.environment}: setup" in (repository / "Makefile").read_text()


@pytest.mark.parametrize("locked", ["lock", "autoawq.lock", "autogptq.lock"])
def test_every_version_is_exact_and_no_cuda_is_asked_for(repository, locked):
    lock = _pins(repository / "requirements" / f"{locked}.txt")
    assert all("==" in pin for pin in lock)
    assert "torch==2.13.0" in lock
    cuda = ("nvidia-c", "cuda-", "triton=")
    assert not [pin for pin in lock if pin.startswith(cuda)], "torch's wheel decides on these"


@pytest.mark.parametrize(
    ("asked", "locked"),
    [
        ("base", "lock"),
        ("vllm", "vllm.lock"),
        ("autoawq", "autoawq.lock"),
        ("autogptq", "autogptq.lock"),
        ("bigcodebench", "bigcodebench.lock"),
    ],
)
def test_what_is_asked_for_is_what_is_locked(repository, asked, locked):
    lock = _pins(repository / "requirements" / f"{locked}.txt")
    names = {pin.split("==")[0].lower().replace("_", "-") for pin in lock}
    for line in (repository / "requirements" / f"{asked}.in").read_text().splitlines():
        if line and not line.startswith("#"):
            assert line.split("==")[0].lower() in names
            assert "==" not in line or line in lock
