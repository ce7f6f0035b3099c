"""Decodes the tagged JSON of `output_encoder` into objects that compare like the originals.

Every line from a sandbox may be hostile: only known tags are decoded, into known types, and
anything else raises `ValueError`. The number of items is checked before any object is built. The
cost of a value within these bounds (a dictionary of equal hashes, for instance) is limited by the
helper process in which the judge decodes (`comparison_process`).
"""

import json
import math
import re
from collections import Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any

ENCODED_NAN = b'{"float":"nan"}'

TOO_LARGE = "too_large"
"""Type name that `output_encoder` reports for a value with too many items."""

MAX_PARTS = 12_000_000
"""A line with more separators and brackets (outside of strings) is not decoded."""


class OpaqueValue:
    """An output without an encoding; it equals nothing, not even itself."""

    __hash__ = object.__hash__

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<{self.name}>"


def decode(line: bytes) -> Any:
    """Decode an encoded output.

    Raises:
        ValueError: the line is not an output of `output_encoder.encode`.
    """
    _check_parts(line)
    try:
        return json.loads(line.decode("utf-8", "surrogatepass"), object_hook=_decode_object)
    except (ArithmeticError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"not an encoded output: {error!r:.200}") from None


def _check_parts(line: bytes) -> None:
    """Refuse a line with more than `MAX_PARTS` items."""
    if len(line) <= MAX_PARTS or _count_parts(line) <= MAX_PARTS:
        return
    if _count_parts(_TEXT.sub(b"", line)) > MAX_PARTS:
        raise ValueError("the output has too many items")


def _count_parts(line: bytes) -> int:
    return line.count(b",") + line.count(b"[") + line.count(b"{")


def opaque_type_name(line: bytes) -> str | None:
    """Name of the first type in an encoded output that has no encoding; None if there is none.

    The name may be found inside a string of the output, so use it for messages only.
    """
    found = _OPAQUE.search(line)
    return found[1].decode() if found else None


def contains_opaque(line: bytes) -> bool:
    """Whether an encoded output contains a value that has no encoding."""
    if b'{"opaque":' not in line:  # within a text, its quotation marks would be escaped
        return False
    found = False

    def find(tagged: dict[str, Any]) -> Any:
        nonlocal found
        found = found or "opaque" in tagged
        return tuple(tagged)

    json.loads(line.decode("utf-8", "surrogatepass"), object_hook=find)
    return found


def _decode_object(tagged: dict[str, Any]) -> Any:
    if len(tagged) != 1:
        raise ValueError("expected an object with one key")
    ((tag, content),) = tagged.items()
    wanted, build = _DECODERS[tag]
    # By exact type: a decoded range, for instance, must not be treated as a list and expanded.
    if type(content) is not wanted:
        raise ValueError(f"{tag}: expected content of type {wanted.__name__}")
    return build(content)


def _check_types(content: list[Any], *kinds: type) -> list[Any]:
    if tuple(map(type, content)) != kinds:
        raise ValueError("expected items of other types")
    return content


def _pairs(content: list[Any]) -> list[Any]:
    if any(type(pair) is not list or len(pair) != 2 for pair in content):
        raise ValueError("expected a list of pairs")
    return content


def _subclass_value(content: list[Any]) -> Any:
    """A value of a subclass, which compares like a value of its base type."""
    base, name, value = content
    if type(base) is not str or type(name) is not str:
        raise ValueError("expected the names of two types")
    kind: Any = _SUBCLASSED.get(base)
    if kind is None:
        return value
    if type(value) is not kind:
        raise ValueError("expected a value of the base type")
    made = _subclass(base)
    if kind is defaultdict:
        return made(None, value)
    if kind is Fraction:
        return made(value.numerator, value.denominator)
    return made(value)


@cache
def _subclass(base: str) -> Any:
    """The subclass of a base type that replaces all its subclasses of the sandbox."""
    return type(f"{base}_subclass", (_SUBCLASSED[base],), {})


def _array(content: list[Any]) -> Any:
    import numpy

    dtype, shape, values = _check_types(content, str, list, list)
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("expected the shape of an array")
    # With an empty axis the other axes may have any length: NumPy accepts such a shape.
    if len(shape) > 32 or math.prod(shape) != len(values) or max(shape, default=0) > MAX_PARTS:
        raise ValueError("the shape does not fit the number of values")
    if dtype == "|O" or _dtype(dtype).kind in "SU":
        # NumPy strips trailing NUL characters of strings and pads all strings to the longest one.
        array = numpy.empty(len(values), dtype=object)
        for index, value in enumerate(values):
            array[index] = value
    else:
        array = numpy.array(_numbers(values), dtype=_dtype(dtype))
    array = array.reshape(shape)
    return array if array.size == 1 else array.view(_ambiguous_array_type())


@cache
def _ambiguous_array_type() -> Any:
    import numpy

    class Plural(numpy.ndarray):  # type: ignore[type-arg]
        """An array whose comparison raises at once; NumPy would first compute all elements."""

        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> Any:
            raise ValueError("the truth value of an array with more than one element is ambiguous")

    return Plural


def as_plain_array(value: Any) -> Any:
    """The value; a decoded array as NumPy's own type, which compares element by element."""
    if not hasattr(value, "dtype"):
        return value
    import numpy

    return value.view(numpy.ndarray) if isinstance(value, numpy.ndarray) else value


def _scalar(content: list[Any]) -> Any:
    (value,) = _scalars([content[0], content[1:]])
    return value


def _scalars(content: list[Any]) -> list[Any]:
    """A list of NumPy scalars of one data type."""
    import numpy

    name, values = _check_types(content, str, list)
    dtype = _dtype(name)
    if dtype.kind in "SU":
        raise ValueError("expected a numeric data type")
    return list(numpy.array(_numbers(values), dtype=dtype))


def _numbers(values: list[Any]) -> list[Any]:
    if not set(map(type, values)) <= _NUMBERS:
        raise ValueError("expected numbers as values of an array")
    return values


def _dtype(name: str) -> Any:
    import numpy

    # The width of strings is ignored: a small array could claim gigabytes.
    if not _DTYPE.fullmatch(name):
        raise ValueError("this data type is not supported")
    return numpy.dtype(name[1]) if name[1] in "SU" else numpy.dtype(name)


def _float(content: str) -> float:
    if content != "nan":
        raise ValueError("expected nan")
    # A new object each time: [x] == [x] is true if both contain the same NaN object.
    return float("nan")


_DECODERS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "int": (str, lambda content: int(content, 16)),
    "float": (str, _float),
    "tuple": (list, tuple),
    "set": (list, set),
    "frozenset": (list, frozenset),
    "dict": (list, lambda content: dict(_pairs(content))),
    "complex": (list, lambda content: complex(*_check_types(content, float, float))),
    "bytes": (str, bytes.fromhex),
    "bytearray": (str, bytearray.fromhex),
    "range": (list, lambda content: range(*_check_types(content, int, int, int))),
    "dict_keys": (list, lambda content: dict.fromkeys(content).keys()),
    "dict_items": (list, lambda content: dict(_pairs(content)).items()),
    "mappingproxy": (list, lambda content: MappingProxyType(dict(_pairs(content)))),
    "Counter": (list, lambda content: Counter(dict(_pairs(content)))),
    "OrderedDict": (list, lambda content: OrderedDict(_pairs(content))),
    "defaultdict": (list, lambda content: defaultdict(None, _pairs(content))),
    "deque": (list, deque),
    "UserList": (list, lambda content: UserList(*_check_types(content, list))),
    "UserDict": (list, lambda content: UserDict(*_check_types(content, dict))),
    "UserString": (list, lambda content: UserString(*_check_types(content, str))),
    "Fraction": (list, lambda content: Fraction(*_check_types(content, int, int))),
    "Decimal": (str, Decimal),
    "numpy": (list, _scalar),
    "scalars": (list, _scalars),
    "ndarray": (list, _array),
    "sub": (list, _subclass_value),
    "opaque": (str, OpaqueValue),
}

_DTYPE = re.compile(r"[<>|=][biufcSU][0-9]{1,9}")
_NUMBERS = frozenset({int, float, bool, complex})
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_OPAQUE = re.compile(rb'\{"opaque":"([A-Za-z0-9_?]{1,60})"\}')

_SUBCLASSED: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(int, float, str, list, tuple, dict, set, frozenset, complex, bytes, bytearray),
        *(Counter, OrderedDict, defaultdict, deque, UserList, UserDict, UserString),
        *(Fraction, Decimal),
    )
}
