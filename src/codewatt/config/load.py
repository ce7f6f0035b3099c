"""Reading study and configuration files, with errors of one line: file, key, what is allowed."""

import difflib
import types
import typing
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from codewatt.config.machine import Config
from codewatt.config.study import Study
from codewatt.errors import CodewattError

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


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys; here the second is an error.

    A key beside a merged one (`<<: *base`) is not: it is what merging is for.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._checked: set[int] = set()  # ids of nodes: once merged, a mapping has others' keys too

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """PyYAML calls it for each mapping, before it looks at the keys, and merges the others'."""
        if id(node) not in self._checked:
            self._checked.add(id(node))
            self._check_keys(node)
        super().flatten_mapping(node)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            merges = key_node.tag == "tag:yaml.org,2002:merge"
            key = key_node.value if merges else self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _invalid(key_node, "a key is a mapping or a list; allowed: plain values")
            if key in seen:
                raise _invalid(key_node, f"key {key!r} is there twice")
            seen.add(key)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """PyYAML lets Python's own errors through for scalars that are not what they look like."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            raise _invalid(node, f"{node.value!r} is no {kind}") from None


def _invalid(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Hashable, Any]:
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one YAML mapping; duplicate keys fail.

    Raises:
        CodewattError: the file is missing, unreadable, not YAML or not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CodewattError(f"{path}: not readable: {error}") from None
    try:
        value = yaml.load(text, Loader=_UniqueKeys)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise CodewattError(f"{path}{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise CodewattError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise CodewattError(f"{path}: not valid YAML: nested too deeply") from None
    if not isinstance(value, dict):
        raise CodewattError(f"{path}: expected a mapping of keys, got {_kind(value)}")
    return value


def validate(model: type[_Model], values: Any, where: str) -> _Model:
    """Validate plain values against a model.

    Raises:
        CodewattError: one line for the first error, with the number of further ones.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise CodewattError(f"{where}: {_sentence(model, errors[0])}{more}") from None


def _sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    """One error as 'key: what is wrong; what is allowed'."""
    location, context = error["loc"], error.get("ctx", {})
    key = _key(model, location)
    given = f"{error['input']!r}"
    given = given if len(given) <= 60 else given[:57] + "..."
    match error["type"]:
        case "extra_forbidden":
            owner = _model_at(model, location[:-1])
            names = sorted(owner.model_fields) if owner else []
            near = difflib.get_close_matches(str(location[-1]), names, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
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
    """An annotation without Annotated[...] around it."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _union(annotation: Any) -> list[Any]:
    """The models of a union, [] if it is none."""
    annotation = _plain(annotation)
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return []
    return [_plain(member) for member in typing.get_args(annotation)]


def _tags(model: Any) -> set[Any]:
    """Every value of a model's literal fields: the tags that may choose it in a union."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return set()
    return {value for name in model.model_fields for value in _literals(model, name)}


def _literals(model: Any, name: str) -> tuple[Any, ...]:
    """The values of one literal field, () if it is not one."""
    annotation = _field(model, name)
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def _item(annotation: Any) -> Any:
    """What a list holds."""
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


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
