"""What every part of a study file shares: strictness, identifiers and labels."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ID_LENGTH = 48
Id = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$",
        max_length=ID_LENGTH,
        description=(
            "Lower-case letters and digits, joined by single '.', '_' or '-'. It names directories "
            "under results/ and rows of the tables."
        ),
    ),
]
Dtype = Literal["float32", "bfloat16", "float16"]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Strict(BaseModel):
    """Unknown keys fail, nothing is coerced ('4' is not 4), nothing changes once read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Entry(Strict):
    """One value of an axis: an id for paths and tables, a label for figures."""

    id: Id
    label: str | None = Field(None, description="Shown in figures; the id if absent.")

    def settings(self) -> dict[str, object]:
        """All that changes results: every key but the id and the label."""
        return self.model_dump(mode="json", exclude={"id", "label"})
