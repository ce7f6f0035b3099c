"""The base of all models of the study file: strictness, identifiers, labels and paths."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from codewatt.error_messages import escaped
from codewatt.errors import CodewattError
from codewatt.untrusted_files import expand_home

ID_LENGTH = 48
Id = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$",
        max_length=ID_LENGTH,
        description=(
            "Id of the entry: lower-case letters and digits, joined by single '.', '_' or '-'. It "
            "is used in the names of directories under results/ and in tables."
        ),
    ),
]


_LINE_LENGTH = 300


def _on_one_line(value: str) -> str:
    """Replace white space and line ends by single spaces; refuse other control characters."""
    line = " ".join(value.split())
    if len(line) > _LINE_LENGTH:
        raise ValueError(f"{len(line)} characters; allowed: at most {_LINE_LENGTH}")
    if (shown := escaped(line)) != line:
        raise ValueError(f"{shown!r} contains a control character; allowed: text on one line")
    return line


def _user_path(value: str) -> str:
    """Expand ~ in a path; refuse control characters."""
    if (shown := escaped(value)) != value:
        raise ValueError(
            f"{shown!r} contains a control character; allowed: a path without control characters"
        )
    try:
        return expand_home(value)
    except CodewattError as error:
        raise ValueError(str(error)) from None


def _no_wildcard(value: str) -> str:
    """Refuse braces: Snakemake takes {name} in a path for a wildcard, and cannot escape a brace."""
    if re.search(r"[{}]", value):
        raise ValueError(f"{value!r} contains a brace; allowed: a path without braces")
    return value


Line = Annotated[str, AfterValidator(_on_one_line)]
"""Text that figures and pages show: any characters, on one line."""

UserPath = Annotated[str, AfterValidator(_user_path), Field(min_length=1)]
"""A path of the user's: ~ and ~user are expanded."""

RulePath = Annotated[UserPath, AfterValidator(_no_wildcard)]
"""A path that rules name as input or output."""

Dtype = Literal["float32", "bfloat16", "float16"]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Strict(BaseModel):
    """Base of all settings: unknown keys are errors, no type coercion ('4' is not 4), immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Entry(Strict):
    """One value of an axis: an id for paths and tables, a label for figures."""

    id: Id
    label: Line | None = Field(
        None, description="Name in figures and on the summary page. Absent: the id."
    )

    def settings(self) -> dict[str, object]:
        """The settings that affect results: all keys except id and label."""
        return self.model_dump(mode="json", exclude={"id", "label"})
