"""Reading a YAML file: one mapping of plain, finite values, of limited size.

PyYAML reads it, as it is YAML 1.1 that Snakemake reads its configuration by: `no` and `on` are
booleans there, and `<<` merges. ruamel.yaml checks duplicate keys by itself, but reads YAML 1.2.
"""

import datetime
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from codewatt.error_messages import escaped
from codewatt.errors import CodewattError
from codewatt.units import BYTES_PER_MIB
from codewatt.untrusted_files import display_path, read_text

_MAX_BYTES = BYTES_PER_MIB
_MAX_VALUES = 100_000
_INTEGERS = range(-(2**63), 2**63)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one YAML mapping; duplicate keys fail.

    Values are those of JSON: text, finite numbers, true, false, null, lists, and mappings with
    text keys. Other values of YAML (.inf, .nan, dates, binary) are refused.

    Raises:
        CodewattError: the file is missing, unreadable, not YAML or not a mapping; it contains a
            value of another type; or its aliases expand to too many values.
    """
    text, name = read_text(path, _MAX_BYTES), display_path(path)
    try:
        value = _load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise CodewattError(f"{name}{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise CodewattError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise CodewattError(f"{name}: not valid YAML: nested too deeply") from None
    if not isinstance(value, dict):
        raise CodewattError(f"{name}: expected a mapping of keys, got {_kind(value)}")
    if problem := _problem(value, ""):
        raise CodewattError(f"{name}: {problem}")
    return value


def _load(text: str) -> Any:
    """The value of a YAML text; values that aliases expand to are counted before construction."""
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, {}, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count_values(node: yaml.Node, counts: dict[int, int], inside: set[int]) -> int:
    """Number of values of a node, with those that its aliases repeat.

    Args:
        node: the node.
        counts: numbers of the nodes that are already counted, by id().
        inside: id() of the nodes that contain this one.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in inside:
        raise _invalid(node, "a value contains an alias of itself")
    if id(node) not in counts:
        inside.add(id(node))
        if isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        else:
            children = list(node.value)
        total = 1 + sum(_count_values(child, counts, inside) for child in children)
        if total > _MAX_VALUES:
            raise _invalid(node, f"aliases expand to more than {_MAX_VALUES} values")
        inside.discard(id(node))
        counts[id(node)] = total
    return counts[id(node)]


def _problem(value: Any, key: str) -> str | None:
    """The first value of a type that is not allowed, as 'key: problem; allowed: types'."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                where = f"{key}: " if key else ""
                return f"{where}key {name!r} is not a string; allowed: the key in quotes"
            if problem := _problem(inner, f"{key}.{name}" if key else name):
                return problem
        return None
    if isinstance(value, list):
        found = (_problem(inner, f"{key}[{index}]") for index, inner in enumerate(value))
        return next((problem for problem in found if problem), None)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{key}: {value}: a number must be finite"
    if isinstance(value, int) and value not in _INTEGERS:
        return f"{key}: an integer of {value.bit_length()} bits; allowed: up to 64"
    if isinstance(value, datetime.date):
        return f"{key}: {value}: a date; allowed: text, in quotes"
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return f"{key}: {escaped(value)[:60]!r}: half a surrogate pair; allowed: whole characters"
    if not isinstance(value, str | int | float | None):
        return f"{key}: {_kind(value)}; allowed: text, numbers, true, false, null, lists, mappings"
    return None


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader (YAML 1.1), which refuses duplicate keys instead of keeping the last.

    A key that replaces a merged one (`<<: *base`) is allowed.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._checked: set[int] = set()  # ids of nodes: once merged, a mapping has others' keys too

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Check the keys of a mapping before PyYAML merges (`<<`) the keys of others into it."""
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
                raise _invalid(key_node, f"duplicate key {key!r}; keys must be unique")
            seen.add(key)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a value; turn Python's exceptions for invalid scalars into YAML errors."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            raise _invalid(node, f"{node.value!r} is not a valid {kind}") from None


def _invalid(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
