"""Reads the tagged JSON that `outputs` writes, back into objects that compare as the originals.

What comes out of a sandbox is hostile until shown otherwise: only known tags are read, into known
types, and anything else raises `ValueError`. The number of parts is bounded before any is built.
What a value within these bounds may still cost (a dictionary of equal hashes, say) is bounded by
the helper process in which the judge decodes (`comparer`).
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

NAN = b'{"float":"nan"}'

TOO_LARGE = "too_large"
"""Stands for the name of a type where `outputs` found too many parts."""

MAX_PARTS = 12_000_000
"""A line with more separators and brackets (outside of texts) is not decoded."""


class Opaque:
    """An output that no expected output can be equal to; equal to nothing, itself included."""

    __hash__ = object.__hash__

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<{self.name}>"


def decode(line: bytes) -> Any:
    """The object that a line stands for.

    Raises:
        ValueError: the line is not what `outputs.encode` writes.
    """
    _check_parts(line)
    try:
        return json.loads(line.decode("utf-8", "surrogatepass"), object_hook=_object)
    except (ArithmeticError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"not an encoded output: {error!r:.200}") from None


def _check_parts(line: bytes) -> None:
    """Refuse a line with more parts than an honest encoding has."""
    if len(line) <= MAX_PARTS or _parts(line) <= MAX_PARTS:
        return
    if _parts(_TEXT.sub(b"", line)) > MAX_PARTS:
        raise ValueError("an output of too many parts")


def _parts(line: bytes) -> int:
    return line.count(b",") + line.count(b"[") + line.count(b"{")


def opaque_name(line: bytes) -> str | None:
    """The type that an encoded output, or a part of it, has no encoding for; None if there is none.

    May find a name in a text of the output, so it serves for messages only.
    """
    found = _OPAQUE.search(line)
    return found[1].decode() if found else None


def holds_opaque(line: bytes) -> bool:
    """Whether an encoded output, or a part of it, has no faithful encoding."""
    if b'{"opaque":' not in line:  # within a text, its quotation marks would be escaped
        return False
    found = False

    def look(tagged: dict[str, Any]) -> Any:
        nonlocal found
        found = found or "opaque" in tagged
        return tuple(tagged)

    json.loads(line.decode("utf-8", "surrogatepass"), object_hook=look)
    return found


def _object(tagged: dict[str, Any]) -> Any:
    if len(tagged) != 1:
        raise ValueError("an object with one key was expected")
    ((tag, content),) = tagged.items()
    wanted, build = _DECODERS[tag]
    # By exact type: a decoded range, say, must not be taken for a list and unrolled.
    if type(content) is not wanted:
        raise ValueError(f"{tag}: not the content that was expected")
    return build(content)


def _exactly(content: list[Any], *kinds: type) -> list[Any]:
    if tuple(map(type, content)) != kinds:
        raise ValueError("not the parts that were expected")
    return content


def _pairs(content: list[Any]) -> list[Any]:
    if any(type(pair) is not list or len(pair) != 2 for pair in content):
        raise ValueError("pairs were expected")
    return content


def _sub(content: list[Any]) -> Any:
    """A value of another type that compares as the value of a plain type does."""
    base, name, value = content
    if type(base) is not str or type(name) is not str:
        raise ValueError("names were expected")
    kind: Any = _SUBCLASSED.get(base)
    if kind is None:
        return value
    if type(value) is not kind:
        raise ValueError("a subclass holds what its base would")
    made = _subclass(base)
    if kind is defaultdict:
        return made(None, value)
    if kind is Fraction:
        return made(value.numerator, value.denominator)
    return made(value)


@cache
def _subclass(base: str) -> Any:
    """One subclass of each plain type, whatever its name was in the sandbox."""
    return type(f"{base}_subclass", (_SUBCLASSED[base],), {})


def _array(content: list[Any]) -> Any:
    import numpy

    dtype, shape, values = _exactly(content, str, list, list)
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("not an array's shape")
    # With an empty axis, the others may be of any length: NumPy takes such an array for small.
    if len(shape) > 32 or math.prod(shape) != len(values) or max(shape, default=0) > MAX_PARTS:
        raise ValueError("not the shape of these values")
    if dtype == "|O" or _dtype(dtype).kind in "SU":
        # NumPy's texts end before their last NUL characters, and all take the longest one's space.
        array = numpy.empty(len(values), dtype=object)
        for index, value in enumerate(values):
            array[index] = value
    else:
        array = numpy.array(_numbers(values), dtype=_dtype(dtype))
    array = array.reshape(shape)
    return array if array.size == 1 else array.view(_plural())


@cache
def _plural() -> Any:
    import numpy

    class Plural(numpy.ndarray):  # type: ignore[type-arg]
        """An array whose comparison has no one truth; NumPy would compute it before it says so."""

        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> Any:
            raise ValueError("the truth value of an array with more than one element is ambiguous")

    return Plural


def _scalar(content: list[Any]) -> Any:
    (value,) = _scalars([content[0], content[1:]])
    return value


def _scalars(content: list[Any]) -> list[Any]:
    """A list of NumPy numbers of one type."""
    import numpy

    name, values = _exactly(content, str, list)
    dtype = _dtype(name)
    if dtype.kind in "SU":
        raise ValueError("not a number's data type")
    return list(numpy.array(_numbers(values), dtype=dtype))


def _numbers(values: list[Any]) -> list[Any]:
    if not set(map(type, values)) <= _NUMBERS:
        raise ValueError("not an array's values")
    return values


def _dtype(name: str) -> Any:
    import numpy

    # The width of texts is not taken over: a small array could claim gigabytes.
    if not _DTYPE.fullmatch(name):
        raise ValueError("not a data type that is compared")
    return numpy.dtype(name[1]) if name[1] in "SU" else numpy.dtype(name)


def _float(content: str) -> float:
    if content != "nan":
        raise ValueError("only NaN is written so")
    # A fresh object each time: [x] == [x] is true of the very same NaN.
    return float("nan")


_DECODERS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "int": (str, lambda content: int(content, 16)),
    "float": (str, _float),
    "tuple": (list, tuple),
    "set": (list, set),
    "frozenset": (list, frozenset),
    "dict": (list, lambda content: dict(_pairs(content))),
    "complex": (list, lambda content: complex(*_exactly(content, float, float))),
    "bytes": (str, bytes.fromhex),
    "bytearray": (str, bytearray.fromhex),
    "range": (list, lambda content: range(*_exactly(content, int, int, int))),
    "dict_keys": (list, lambda content: dict.fromkeys(content).keys()),
    "dict_items": (list, lambda content: dict(_pairs(content)).items()),
    "mappingproxy": (list, lambda content: MappingProxyType(dict(_pairs(content)))),
    "Counter": (list, lambda content: Counter(dict(_pairs(content)))),
    "OrderedDict": (list, lambda content: OrderedDict(_pairs(content))),
    "defaultdict": (list, lambda content: defaultdict(None, _pairs(content))),
    "deque": (list, deque),
    "UserList": (list, lambda content: UserList(*_exactly(content, list))),
    "UserDict": (list, lambda content: UserDict(*_exactly(content, dict))),
    "UserString": (list, lambda content: UserString(*_exactly(content, str))),
    "Fraction": (list, lambda content: Fraction(*_exactly(content, int, int))),
    "Decimal": (str, Decimal),
    "numpy": (list, _scalar),
    "scalars": (list, _scalars),
    "ndarray": (list, _array),
    "sub": (list, _sub),
    "opaque": (str, Opaque),
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
