"""Which files of a directory belong to a model: what transformers and tokenizers read.

Loading, counting, copying, fetching and listing a model's files all use this module, so that all
use the same files. Other files in the directory (copies in other formats, adapters, a .git folder)
do not belong to the model. Of contents, only a safetensors index and config.json's key
`transformers_weights` are read.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from codewatt.errors import CodewattError

CONFIGURATION = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
#: Files of AutoGPTQ and AutoAWQ that describe the packed format, from before config.json did.
PACKED_FORMAT_FILES = ("quantize_config.json", "quant_config.json")
CONFIG_FILES = (CONFIGURATION, "generation_config.json", *PACKED_FORMAT_FILES)
#: Vocabulary files of transformers' tokenizers.
VOCABULARIES = (
    "prophetnet.tokenizer",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spiece.model",
    "spm.model",
    "tekken.json",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
)
#: All files of transformers' tokenizers, and chat templates.
TOKENIZER_FILES = (
    *VOCABULARIES,
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "emoji.json",
    "merges.txt",
    "normalizer.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "word_pronunciation.json",
    "word_shape.json",
)
TOKENIZER_PATTERNS = ("tokenizer.*.json", "additional_chat_templates/*.jinja")

_POINTER = b"version https://git-lfs.github.com/spec/"
#: Suffixes of files that some library loads if they are in a model's directory.
_LOADABLE = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".py", ".json", ".model"}


def weight_files(directory: str | Path) -> list[Path]:
    """Paths of the weight files that transformers loads with use_safetensors=True.

    The first of these that exists: the file that config.json names as `transformers_weights`,
    model.safetensors, the shards that model.safetensors.index.json names. Pickled weights are never
    loaded, because they can run code.

    Raises:
        CodewattError: there are none; one is missing, a Git LFS pointer, or outside the directory;
            or the index is not valid.
    """
    root = Path(directory)
    return [model_file(root, name) for name in weight_names(root)]


def weight_names(directory: str | Path) -> list[str]:
    """Names of the weight files, relative to the directory; they may still be missing.

    Raises:
        CodewattError: there are none, or the index is not valid.
    """
    root = Path(directory)
    named = _named_weights(root)
    if named is not None:
        return shard_names(root / named) if named.endswith(".index.json") else [named]
    if (root / WEIGHTS).is_file():
        return [WEIGHTS]
    if (root / INDEX).is_file():
        return shard_names(root / INDEX)
    raise CodewattError(f"{root}: no {WEIGHTS} and no {INDEX}{_other_weights(root)}")


def index_name(directory: str | Path) -> str | None:
    """The name of the index that names the weight files; None if there is a single file."""
    root = Path(directory)
    named = _named_weights(root)
    if named is not None:
        return named if named.endswith(".index.json") else None
    return None if (root / WEIGHTS).is_file() else INDEX


def shard_names(index: Path) -> list[str]:
    """Names of the files in a safetensors index, each once, sorted.

    Raises:
        CodewattError: the file is not a safetensors index.
    """
    refuse_lfs_pointer(index)
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CodewattError(f"{index}: not readable as JSON: {error}") from None
    for key in ("metadata", "weight_map"):
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            raise CodewattError(
                f"{index}: {key!r} is missing; a safetensors index has the objects 'metadata' "
                "and 'weight_map'"
            )
    names = content["weight_map"].values()
    if not names or not all(isinstance(name, str) for name in names):
        raise CodewattError(f"{index}: weight_map: allowed: tensor name -> file name")
    return sorted(set(names))


def list_model_files(directory: str | Path) -> list[str]:
    """Names of the model's files that exist, relative to its directory, sorted.

    Raises:
        CodewattError: see `weight_files`; the other files are checked the same way.
    """
    root = Path(directory)
    names = {*weight_names(root), *_config_files(root)}
    index = index_name(root)
    return sorted(_checked(root, name) for name in (names if index is None else {*names, index}))


def list_config_files(directory: str | Path) -> list[str]:
    """Names of the model's files other than its weights that exist, relative to its directory.

    Raises:
        CodewattError: one is outside the directory, or a Git LFS pointer.
    """
    root = Path(directory)
    return [_checked(root, name) for name in _config_files(root)]


def model_file(root: Path, name: str) -> Path:
    """The path of a file in a model's directory, checked.

    Links may lead inside the directory and into the blobs of the hub's cache only.

    Raises:
        CodewattError: the file is missing, outside the directory, or a Git LFS pointer.
    """
    return root / _checked(root, name)


def refuse_lfs_pointer(path: Path) -> None:
    """Refuse a Git LFS pointer: the text file that git leaves in place of a file not fetched.

    Raises:
        CodewattError: the file is a Git LFS pointer.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_POINTER))
    except OSError:
        return  # the code that reads the file reports the error
    if head == _POINTER:
        raise CodewattError(
            f"{path}: a Git LFS pointer, not the file itself; `git lfs pull` in its directory "
            "fetches it"
        )


def copy_config_files(source: Path, target: Path) -> None:
    """Copy a model's files other than its weights: configs, tokenizer, chat templates."""
    for name in _config_files(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model_file(source, name), target / name)


@contextmanager
def only_model_files(directory: str | Path) -> Iterator[Path]:
    """A directory that has a model's files and no other file that a library would load.

    Yields:
        The directory itself if it has no such files, else a temporary directory of links.

    Raises:
        CodewattError: see `list_model_files`.
    """
    root = Path(directory)
    names = list_model_files(root)
    others = {
        path.name for path in root.iterdir() if path.suffix in _LOADABLE and path.name not in names
    }
    if not others:
        yield root
        return
    with tempfile.TemporaryDirectory(prefix="codewatt-model.") as scratch:
        for name in names:
            link = Path(scratch) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((root / name).resolve())
        yield Path(scratch)


def _config_files(root: Path) -> list[str]:
    """Names of the model's files other than its weights that exist."""
    names = [name for name in (*CONFIG_FILES, *TOKENIZER_FILES) if (root / name).is_file()]
    found = (path for pattern in TOKENIZER_PATTERNS for path in root.glob(pattern))
    return [*names, *(str(path.relative_to(root)) for path in found if path.is_file())]


def _named_weights(root: Path) -> str | None:
    """The weight file that config.json names as `transformers_weights`; None without one."""
    try:
        content = json.loads((root / CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # the code that reads the config reports the error
    named = content.get("transformers_weights") if isinstance(content, Mapping) else None
    if named is None:
        return None
    if not isinstance(named, str) or not named.endswith(
        (".safetensors", ".safetensors.index.json")
    ):
        raise CodewattError(
            f"{root / CONFIGURATION}: transformers_weights: {named!r}; allowed: the name of a "
            "*.safetensors or *.safetensors.index.json in this directory"
        )
    return named


def _checked(root: Path, name: str) -> str:
    """The name, if that file exists, is inside the directory, and is no Git LFS pointer."""
    parts = PurePosixPath(name)
    path = root / name
    if parts.is_absolute() or ".." in parts.parts or not _inside(root, path):
        raise CodewattError(
            f"{root}: {name!r} is outside the model's directory; allowed: files inside it, or "
            "links into the blobs of the hub's cache"
        )
    if not path.is_file():
        raise CodewattError(
            f"{path}: file is missing, but the model's config or index names it; fetch it again"
        )
    refuse_lfs_pointer(path)
    return name


def _inside(root: Path, path: Path) -> bool:
    """Whether a file, links resolved, is in a directory or in the hub cache's blobs for it."""
    try:
        home, real = root.resolve(), path.resolve()
    except (OSError, RuntimeError):  # circular links
        return False
    homes = [home]
    if home.parent.name == "snapshots" and home.parent.parent.name.startswith("models--"):
        homes.append(home.parent.parent / "blobs")
    return any(real.is_relative_to(directory) for directory in homes)


def _other_weights(root: Path) -> str:
    """Text for a message: weight files of other names or formats in the directory."""
    others = sorted(
        path.name
        for path in (root.iterdir() if root.is_dir() else ())
        if path.suffix in (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".msgpack", ".h5")
    )
    if not others:
        return "; allowed: a save_pretrained directory, which has one of them"
    return f", but {', '.join(others[:3])}; allowed: safetensors files of these two names"
