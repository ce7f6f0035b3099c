"""Which files of a directory are a model's own: what transformers and tokenizers read of it.

Loading, counting, copying, fetching and listing a model's files all ask here, so that all mean the
same files. Others that may lie beside them (copies in other formats, adapters, a .git folder) are
no part of the model. Of the files' contents only an index and the name of the weights are read.
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
#: Files with which libraries before transformers said how they had packed a model.
PACKING_FILES = ("quantize_config.json", "quant_config.json")
DESCRIPTION_FILES = (CONFIGURATION, "generation_config.json", *PACKING_FILES)
#: Vocabularies that transformers' tokenizers are read from.
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
#: What else their tokenizers read, and their chat templates.
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
#: Kinds of files that some library loads because they lie in a model's directory.
_LOADABLE = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".py", ".json", ".model"}


def weight_files(directory: str | Path) -> list[Path]:
    """The files that transformers loads a model's weights from, with use_safetensors=True.

    These are, in this order, the file that config.json names as `transformers_weights`,
    model.safetensors, or the shards that model.safetensors.index.json names.

    Raises:
        CodewattError: there are none, one is missing, is a Git LFS pointer, or lies outside of the
            directory; or the index is not one. Pickled weights are not read, as they can run code.
    """
    root = Path(directory)
    return [own_file(root, name) for name in weight_names(root)]


def weight_names(directory: str | Path) -> list[str]:
    """Names of `weight_files`, relative to the directory; they need not be there yet.

    Raises:
        CodewattError: there are none, or the index is not one.
    """
    root = Path(directory)
    named = _named_weights(root)
    if named is not None:
        return shard_names(root / named) if named.endswith(".index.json") else [named]
    if (root / WEIGHTS).is_file():
        return [WEIGHTS]
    if (root / INDEX).is_file():
        return shard_names(root / INDEX)
    raise CodewattError(f"{root}: no {WEIGHTS} and no {INDEX}{_instead(root)}")


def index_name(directory: str | Path) -> str | None:
    """The name of the index that `weight_names` are from; None if there is one file only."""
    root = Path(directory)
    named = _named_weights(root)
    if named is not None:
        return named if named.endswith(".index.json") else None
    return None if (root / WEIGHTS).is_file() else INDEX


def shard_names(index: Path) -> list[str]:
    """The files that a safetensors index names, each once.

    Raises:
        CodewattError: it is not such an index.
    """
    refuse_pointer(index)
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CodewattError(f"{index}: not readable as JSON: {error}") from None
    for key in ("metadata", "weight_map"):
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            raise CodewattError(
                f"{index}: no {key!r}; an index of safetensors has the objects 'metadata' and "
                "'weight_map'"
            )
    names = content["weight_map"].values()
    if not names or not all(isinstance(name, str) for name in names):
        raise CodewattError(f"{index}: weight_map: allowed: names of tensors with those of files")
    return sorted(set(names))


def own_files(directory: str | Path) -> list[str]:
    """Names of a model's own files that are there, relative to its directory, sorted.

    Raises:
        CodewattError: see `weight_files`; the same is said of every other file.
    """
    root = Path(directory)
    names = {*weight_names(root), *_descriptions(root)}
    index = index_name(root)
    return sorted(_checked(root, name) for name in (names if index is None else {*names, index}))


def own_file(root: Path, name: str) -> Path:
    """A file of a model's directory.

    Links are followed inside the directory only, and into the blobs of the hub's cache.

    Raises:
        CodewattError: it is not there, lies elsewhere, or is a Git LFS pointer.
    """
    return root / _checked(root, name)


def refuse_pointer(path: Path) -> None:
    """Refuse what git leaves in place of a large file that was not fetched.

    Raises:
        CodewattError: it is a Git LFS pointer.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_POINTER))
    except OSError:
        return  # whoever reads it says why it cannot be read
    if head == _POINTER:
        raise CodewattError(
            f"{path}: a Git LFS pointer, not the file itself; `git lfs pull` in its directory "
            "fetches it"
        )


def copy_descriptions(source: Path, target: Path) -> None:
    """Copy a model's own files but its weights: configurations, tokenizer, chat templates."""
    for name in _descriptions(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own_file(source, name), target / name)


@contextmanager
def own_files_only(directory: str | Path) -> Iterator[Path]:
    """A directory with a model's own files and none that a library would also load.

    It is the directory itself where nothing else lies in it, or a temporary one of links.

    Raises:
        CodewattError: see `own_files`.
    """
    root = Path(directory)
    names = own_files(root)
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


def _descriptions(root: Path) -> list[str]:
    """Names of the files beside the weights that are there."""
    names = [name for name in (*DESCRIPTION_FILES, *TOKENIZER_FILES) if (root / name).is_file()]
    found = (path for pattern in TOKENIZER_PATTERNS for path in root.glob(pattern))
    return [*names, *(str(path.relative_to(root)) for path in found if path.is_file())]


def _named_weights(root: Path) -> str | None:
    """What config.json names as the file of the weights, if it does."""
    try:
        content = json.loads((root / CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # whoever reads the configuration says why it cannot be read
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
    """The name, if a file of that name is there, inside, and itself."""
    parts = PurePosixPath(name)
    path = root / name
    if parts.is_absolute() or ".." in parts.parts or not _inside(root, path):
        raise CodewattError(
            f"{root}: {name!r} lies outside of the model's directory; allowed: files inside it, or "
            "links into the blobs of the hub's cache"
        )
    if not path.is_file():
        raise CodewattError(f"{path}: no such file, though the model's configuration names it")
    refuse_pointer(path)
    return name


def _inside(root: Path, path: Path) -> bool:
    """Whether a file really lies in a directory, or in the blobs of the hub's cache beside it."""
    try:
        home, real = root.resolve(), path.resolve()
    except (OSError, RuntimeError):  # links that go round in circles
        return False
    homes = [home]
    if home.parent.name == "snapshots" and home.parent.parent.name.startswith("models--"):
        homes.append(home.parent.parent / "blobs")
    return any(real.is_relative_to(place) for place in homes)


def _instead(root: Path) -> str:
    """What there is instead of weights, for the message."""
    others = sorted(
        path.name
        for path in (root.iterdir() if root.is_dir() else ())
        if path.suffix in (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".msgpack", ".h5")
    )
    if not others:
        return "; a save_pretrained directory has one of them"
    return f", but {', '.join(others[:3])}; transformers reads safetensors of those names only"
