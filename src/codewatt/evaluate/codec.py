"""Reads the tagged JSON that `outputs` writes, back into objects that compare as the originals.

What comes out of a sandbox is hostile until shown otherwise: only known tags are read, into known
types, and anything else raises `ValueError`.
"""

import json
import re
from collections import Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Any

NAN = b'{"float":"nan"}'


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
    try:
        return json.loads(line.decode("utf-8", "surrogatepass"), object_hook=_object)
    except (ArithmeticError, LookupError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"not an encoded output: {error!r:.200}") from None


def holds_opaque(line: bytes) -> bool:
    """Whether an encoded output, or a part of it, has no faithful encoding."""
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
    """An instance of a class of the program's own, which compares as its base does."""
    base, name, value = content
    if type(base) is not str or type(name) is not str:
        raise ValueError("names were expected")
    kind: Any = _SUBCLASSED.get(base)
    if kind is None:
        return value
    if type(value) is not kind:
        raise ValueError("a subclass holds what its base would")
    made = _subclass(base, name)
    if kind is defaultdict:
        return made(None, value)
    if kind is Fraction:
        return made(value.numerator, value.denominator)
    return made(value)


@lru_cache(maxsize=1024)
def _subclass(base: str, name: str) -> Any:
    """One class a (base, name), so that two outputs of one program's class have one type."""
    return type(name or "?", (_SUBCLASSED[base],), {})


def _array(content: list[Any]) -> Any:
    import numpy

    dtype, shape, values = _exactly(content, str, list, list)
    if len(shape) > 32 or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("not an array's shape")
    if dtype == "|O":
        array = numpy.empty(len(values), dtype=object)
        for index, value in enumerate(values):
            array[index] = value
        return array.reshape(shape)
    if not set(map(type, values)) <= _NUMPY_ITEMS:
        raise ValueError("not an array's values")
    longest = max((len(item) for item in values if type(item) in (str, bytes)), default=0)
    if longest * len(values) > _MAX_ARRAY_CHARACTERS:
        raise ValueError("an array of too many characters")
    return numpy.array(values, dtype=_dtype(dtype)).reshape(shape)


def _scalar(content: list[Any]) -> Any:
    import numpy

    dtype, value = content
    if type(dtype) is not str or type(value) not in _NUMPY_ITEMS:
        raise ValueError("not a scalar")
    return numpy.array(value, dtype=_dtype(dtype))[()]


def _dtype(name: str) -> Any:
    import numpy

    # The width of strings is not taken over: a small array could claim gigabytes.
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
    "ndarray": (list, _array),
    "sub": (list, _sub),
    "opaque": (str, Opaque),
}

_DTYPE = re.compile(r"[<>|=][biufcSU][0-9]{1,9}")
_NUMPY_ITEMS = frozenset({int, float, bool, complex, str, bytes})
_MAX_ARRAY_CHARACTERS = 1 << 24

_SUBCLASSED: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(int, float, str, list, tuple, dict, set, frozenset, complex, bytes, bytearray),
        *(Counter, OrderedDict, defaultdict, deque, UserList, UserDict, UserString),
        *(Fraction, Decimal),
    )
}
