"""Reading and validating study and configuration files; an error is one line."""

import difflib
import reprlib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from codewatt.config.site import Config
from codewatt.config.study import Study
from codewatt.config.yaml_file import read_yaml
from codewatt.errors import CodewattError

#: repr() of a value that aliases repeat a billion times over would never end.
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict = 3, 10, 10
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 100

#: Former keys of the study file -> their present names, for the message.
_RENAMED = {"texts": "corpora", "text": "corpus", "recovery": "fidelity"}

_Model = TypeVar("_Model", bound=BaseModel)


def load_study(path: str | Path) -> Study:
    """Read and validate a study file.

    Raises:
        CodewattError: one line that names file, key and what is allowed.
    """
    return validate(Study, read_yaml(path), str(path))


def load_config(values: dict[str, Any], where: str = "config/config.yaml") -> Config:
    """Validate the workflow's configuration as Snakemake merged it."""
    return validate(Config, values, where)


def validate(model: type[_Model], values: Any, where: str) -> _Model:
    """Validate plain values against a model.

    Raises:
        CodewattError: one line for the first error, with the number of further ones.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        # A misspelt key is both unknown and absent under its right name: the first says more.
        errors.sort(key=lambda one: one["type"] != "extra_forbidden")
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise CodewattError(f"{where}: {_sentence(model, errors[0])}{more}") from None


def _sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    """One error as 'key: what is wrong; what is allowed'."""
    location, context = error["loc"], error.get("ctx", {})
    key = _key(model, location)
    given = _REPR.repr(error["input"])
    given = given if len(given) <= 60 else given[:57] + "..."
    match error["type"]:
        case "extra_forbidden":
            owner = _model_at(model, location[:-1])
            names = sorted(owner.model_fields) if owner else []
            hint = _hint(str(location[-1]), names)
            return f"{key}: unknown key; {hint}allowed: {', '.join(names)}"
        case "missing":
            return f"{key}: required, but absent{_choices(model, location)}"
        case "union_tag_invalid":
            tag = str(context["discriminator"]).strip("'")
            tags = str(context["expected_tags"]).replace("'", "")
            return f"{key}.{tag}: {context['tag']!r} is not allowed; allowed: {tags}"
        case "union_tag_not_found":
            tag = str(context["discriminator"]).strip("'")
            members = _union(_annotation_at(model, location))
            allowed = sorted({str(v) for m in members for v in _literals(m, tag)})
            return f"{key}.{tag}: required, but absent; allowed: {', '.join(allowed)}"
        case "literal_error":
            return f"{key}: {given} is not allowed; allowed: {context['expected']}"
        case "string_pattern_mismatch":
            return f"{key}: {given} does not match {context['pattern']}"
        case "value_error":
            text = str(context["error"])
            return f"{key}: {text}" if key else text
    return f"{key}: {given}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _hint(name: str, allowed: list[str]) -> str:
    """A hint for an unknown key: its new name, or the most similar allowed key."""
    if (new := _RENAMED.get(name)) in allowed:
        return f"renamed to {new!r}; "
    near = difflib.get_close_matches(name, allowed, 1)
    return f"did you mean {near[0]!r}? " if near else ""


def _key(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """The key as a user would write it: models[0].source, without pydantic's union tags."""
    text = ""
    current: Any = model
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
            current = _item(current)
            continue
        members = _union(current)
        if members and any(part in _tags(member) for member in members):
            current = next(member for member in members if part in _tags(member))
            continue
        if isinstance(part, str) and part.endswith("]"):  # a pydantic internal, e.g. list[str]
            continue
        if part in ("str", "int", "[key]"):
            continue
        text += f".{part}" if text else str(part)
        current = _field(current, part)
    return text


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model that owns the keys at a location."""
    current = _plain(_annotation_at(model, location))
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _annotation_at(model: type[BaseModel], location: tuple[int | str, ...]) -> Any:
    """The annotation of the key at a location."""
    current: Any = model
    for part in location:
        if isinstance(part, int):
            current = _item(current)
            continue
        tagged = [member for member in _union(current) if part in _tags(member)]
        current = tagged[0] if tagged else _field(current, part)
    return current


def _choices(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """'; allowed: ...' where a key has a closed set of values."""
    annotation = _plain(_annotation_at(model, location))
    if typing.get_origin(annotation) is not typing.Literal:
        return ""
    return f"; allowed: {', '.join(map(str, typing.get_args(annotation)))}"


def _plain(annotation: Any) -> Any:
    """An annotation without Annotated[...] and without `| None` around it."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [m for m in typing.get_args(annotation) if m is not types.NoneType]
        return _plain(members[0]) if len(members) == 1 else annotation
    return annotation


def _union(annotation: Any) -> list[Any]:
    """The members of a union; [] if the annotation is not a union."""
    annotation = _plain(annotation)
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return []
    return [_plain(member) for member in typing.get_args(annotation)]


def _tags(model: Any) -> set[Any]:
    """All values of a model's literal fields: the tags that select it in a union."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return set()
    return {value for name in model.model_fields for value in _literals(model, name)}


def _literals(model: Any, name: str) -> tuple[Any, ...]:
    """The values of a literal field; () if the field is not a Literal."""
    annotation = _field(model, name)
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def _item(annotation: Any) -> Any:
    """The annotation of the items of a list."""
    arguments = typing.get_args(_plain(annotation))
    return arguments[0] if arguments else None


def _field(annotation: Any, name: Any) -> Any:
    """The annotation of a model's field or a mapping's values, its discriminator's union kept."""
    annotation = _plain(annotation)
    if typing.get_origin(annotation) is dict:
        return typing.get_args(annotation)[1]
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return None
    field = annotation.model_fields.get(str(name))
    return field.annotation if field else None
