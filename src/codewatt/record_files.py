"""Reading the records that one stage writes and another reads, checked against their type.

A record is a TypedDict in a module of its own beside the stage that writes it. What is checked
follows from the type alone: no list of keys is kept anywhere else. Fields that the type does not
name are let through, unread.
"""

import os
from functools import cached_property
from typing import Any, Generic, TypeVar, cast, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.untrusted_files import display_path

Record = TypeVar("Record")
#: The field that every record has: the version of its format, as Literal[version].
VERSION_FIELD = "schema"
_TAGS = ("ok", "infeasible")
_SHOWN = 60


class RecordFormat(Generic[Record]):
    """One kind of record: its type and the rule that writes it.

    Example:
        VARIANT: RecordFormat[VariantRecord] = RecordFormat(VariantRecord, "quantise")
        variant = VARIANT.read(path)

    Args:
        declared: the record's TypedDict, or a union of TypedDicts told apart by their "status".
        rule: the Snakemake rule to run again if the record cannot be used.
    """

    def __init__(self, declared: Any, rule: str) -> None:
        self.declared = declared
        self.rule = rule

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.declared)

    @cached_property
    def version(self) -> int:
        """The version of the format that this version of codewatt reads."""
        record = self.declared
        while not hasattr(record, "__required_keys__"):  # a union, or one with annotations
            record = get_args(record)[0]
        return int(get_args(get_type_hints(record)[VERSION_FIELD])[0])

    def read(self, path: str | os.PathLike[str]) -> Record:
        """Read a record (JSON, gzip by suffix).

        Raises:
            CodewattError: the file is missing, damaged or of another version, or a field is
                missing or of a wrong type. The message names the file, the field and the rule.
        """
        try:
            content = read_json(path)
        except CodewattError as error:
            raise CodewattError(f"{error}; {self._remedy()}") from None
        return self.check(content, path)

    def check(self, content: Any, path: str | os.PathLike[str]) -> Record:
        """Check a record that was read from `path`; returns it unchanged.

        Raises:
            CodewattError: as `read` says.
        """
        if not isinstance(content, dict):
            raise self._refusal(path, "expected a JSON object")
        found = content.get(VERSION_FIELD, self.version)
        if found != self.version:
            raise self._refusal(
                path,
                f"{VERSION_FIELD}: record version {found!r}, "
                f"this version of codewatt reads {self.version}",
            )
        try:
            self._adapter.validate_python(content, strict=True)
        except ValidationError as error:
            raise self._refusal(path, _first_problem(error)) from None
        return cast(Record, content)

    def _refusal(self, path: str | os.PathLike[str], problem: str) -> CodewattError:
        return CodewattError(f"{display_path(path)}: {problem}; {self._remedy()}")

    def _remedy(self) -> str:
        return f"delete this file and run Snakemake: rule {self.rule} writes it again"


def _first_problem(error: ValidationError) -> str:
    """The first problem and the number of problems, on one line."""
    problems = error.errors(include_url=False)
    first = problems[0]
    location = [str(part) for part in first["loc"]]
    if location and location[0] in _TAGS:
        location = location[1:]
    if first["type"] == "union_tag_not_found":
        return f"{first['ctx']['discriminator'].strip(chr(39))}: field is missing"
    if first["type"] == "missing":
        what = "field is missing"
    else:
        found = " ".join(repr(first["input"]).split())
        found = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."
        what = f"{first['msg'][:1].lower()}{first['msg'][1:]}, found {found}"
    more = f" (1 of {len(problems)} problems)" if len(problems) > 1 else ""
    return f"{'.'.join(location) or 'record'}: {what}{more}"
