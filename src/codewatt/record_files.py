"""Writing and reading the records that one stage writes and another reads, checked by type.

A record is a TypedDict in a module of its own beside the stage that writes it. What is checked
follows from the type alone: no list of keys is kept anywhere else. Fields that the type does not
name are let through, unread.
"""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar, cast, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json
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
        return int(get_args(get_type_hints(self._typed_dict)[VERSION_FIELD])[0])

    @property
    def _typed_dict(self) -> Any:
        """The record's TypedDict; the first one of a union."""
        record = self.declared
        while not hasattr(record, "__required_keys__"):  # a union, or one with annotations
            record = get_args(record)[0]
        return record

    def write(self, path: str | os.PathLike[str], record: Mapping[str, object]) -> None:
        """Write a record as JSON, after the same check as `read` makes.

        So a stage that makes a wrong record fails itself, and not a later stage that reads it.

        Raises:
            CodewattError: a field is missing or of a wrong type: an error of the rule's code.
        """
        # As it will be read: a tuple is a list in the file.
        problem = self._problem(json.loads(json.dumps(record, allow_nan=False)))
        if problem is not None:
            raise CodewattError(
                f"{display_path(path)}: not written: {problem}; "
                f"correct the code of rule {self.rule}: {self._typed_dict.__module__} "
                "declares the fields of its record"
            )
        write_json(path, record)

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
        problem = self._problem(content)
        if problem is not None:
            raise CodewattError(f"{display_path(path)}: {problem}; {self._remedy()}")
        return cast(Record, content)

    def _problem(self, content: Any) -> str | None:
        """Why the content is not a record of this format; None if it is one."""
        if not isinstance(content, dict):
            return "expected a JSON object"
        found = content.get(VERSION_FIELD, self.version)
        if found != self.version:
            return (
                f"{VERSION_FIELD}: record version {found!r}, "
                f"this version of codewatt reads {self.version}"
            )
        try:
            self._adapter.validate_python(content, strict=True)
        except ValidationError as error:
            return _first_problem(error)
        return None

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
