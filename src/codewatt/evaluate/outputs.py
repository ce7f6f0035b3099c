"""The tagged JSON of a program's outputs, made inside the sandbox, read by `codec` outside.

Equality and type survive, so that the judge can compare as EvalPlus would have compared the
objects themselves. Nothing but JSON text leaves the sandbox: never pickle, never marshal.
This file is read inside the sandbox, so it imports nothing but the standard library.
"""

from __future__ import annotations

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # a module less to load, for every program
    from collections.abc import Callable, Iterable
    from typing import Any

MAX_DEPTH = 100
"""Containers nested deeper are opaque; no benchmark's expected output comes near."""

MAX_NODES = 4_000_000
"""Values with more parts are opaque; a container within another counts as `_NESTED` parts."""

MAX_CHARACTERS = 1 << 26
"""Longer texts are opaque."""

_NESTED = 16

MAX_DIGITS = 4300
"""Longer decimal integers are refused by both ends; they travel as hexadecimal."""

# A program may put something else in the place of these.
_get_digits, _set_digits = sys.get_int_max_str_digits, sys.set_int_max_str_digits
_modules = sys.modules


class Unencodable(Exception):
    """A value that no expected output can be equal to."""


_ATOMS = frozenset({int, float, str, bool, type(None)})
_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_vars: Callable[[type], dict[str, Any]] = type.__dict__["__dict__"].__get__
_type_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_NUMPY_KINDS = frozenset("biufcSU")


def _fail(value: Any) -> Any:
    raise Unencodable(type(value).__name__)


_encoder: Any = json.encoder
_json = _encoder.c_make_encoder(
    None, _fail, _encoder.encode_basestring, None, ":", ",", False, False, True
)


def encode(value: Any) -> str:
    """One line of JSON (str) that keeps equality and type, `{"opaque": NAME}` if none can.

    Atoms and lists are themselves; everything else is an object with one key, its type. NaN, and
    integers too long for decimal digits, only have a form in the strict pass.
    """
    digits = _get_digits()
    if digits != MAX_DIGITS:
        _set_digits(MAX_DIGITS)
    try:
        try:
            text = "".join(_json(_tagged(value, [MAX_NODES], 0, False), 0))
            if "NaN" not in text:
                return text
        except ValueError:  # too many digits
            pass
        return "".join(_json(_tagged(value, [MAX_NODES], 0, True), 0))
    except BaseException:
        return '{"opaque":"' + name_of(value) + '"}'
    finally:
        if digits != MAX_DIGITS:
            _set_digits(digits)


def name_of(value: Any) -> str:
    """The name of a value's type: ASCII, short, safe inside JSON."""
    try:
        name = _type_name(type(value))
        return "".join(c for c in name[:60] if (c.isalnum() and c.isascii()) or c == "_") or "?"
    except BaseException:
        return "?"


def _tagged(value: Any, budget: list[int], depth: int, strict: bool) -> Any:
    """The value as JSON-ready data. `budget`: one cell, the nodes that are left."""
    kind = type(value)
    if kind in _ATOMS:
        if strict and kind is int and value.bit_length() > 2000:
            return {"int": hex(value)}
        if strict and kind is float and value != value:
            return {"float": "nan"}
        if kind is str and len(value) > MAX_CHARACTERS:
            raise Unencodable("size")
        return value
    budget[0] -= _NESTED
    if depth > MAX_DEPTH or budget[0] < 0:
        raise Unencodable("size")
    if kind is list:
        return _items(value, budget, depth, strict)
    pack = _EXACT.get(kind)
    if pack is None:
        pack = _late_exact().get(kind)
    if pack is not None:
        return pack(value, budget, depth, strict)
    numpy_value = _numpy(value, kind)
    if numpy_value is not None:
        return {numpy_value[0]: [*numpy_value[1:-1], _tagged(numpy_value[-1], budget, 0, strict)]}
    return _subclass(value, kind, budget, depth, strict)


def _items(values: list[Any], budget: list[int], depth: int, strict: bool) -> list[Any]:
    """A list of encoded items; at the speed of C where all are atoms."""
    budget[0] -= len(values)
    if budget[0] < 0:
        raise Unencodable("size")
    if not strict and set(map(type, values)) <= _ATOMS:
        return values
    return [_tagged(item, budget, depth + 1, strict) for item in values]


def _sequence(tag: str, iterate: Callable[[Any], Iterable[Any]]) -> Callable[..., Any]:
    def pack(value: Any, budget: list[int], depth: int, strict: bool) -> Any:
        return {tag: _items(list(iterate(value)), budget, depth, strict)}

    return pack


def _pairs(tag: str, items: Callable[[Any], Iterable[Any]] = dict.items) -> Callable[..., Any]:
    def pack(value: Any, budget: list[int], depth: int, strict: bool) -> Any:
        pairs = list(items(value))
        budget[0] -= len(pairs)
        if budget[0] < 0:
            raise Unencodable("size")
        return {
            tag: [
                [_tagged(key, budget, depth + 1, strict), _tagged(item, budget, depth + 1, strict)]
                for key, item in pairs
            ]
        }

    return pack


def _plain(tag: str, view: Callable[[Any], Any]) -> Callable[..., Any]:
    def pack(value: Any, budget: list[int], depth: int, strict: bool) -> Any:
        return {tag: view(value)}

    return pack


def _parts(tag: str, view: Callable[[Any], Iterable[Any]]) -> Callable[..., Any]:
    def pack(value: Any, budget: list[int], depth: int, strict: bool) -> Any:
        return {tag: [_tagged(part, budget, depth + 1, strict) for part in view(value)]}

    return pack


_complex: Any = complex
_real, _imag = _complex.real.__get__, _complex.imag.__get__

_EXACT: dict[type, Callable[..., Any]] = {
    tuple: _sequence("tuple", tuple.__iter__),
    set: _sequence("set", set.__iter__),
    frozenset: _sequence("frozenset", frozenset.__iter__),
    dict: _pairs("dict"),
    complex: _parts("complex", lambda value: (_real(value), _imag(value))),
    bytes: _plain("bytes", bytes.hex),
    bytearray: _plain("bytearray", bytearray.hex),
    range: _parts("range", lambda value: (value.start, value.stop, value.step)),
    type({}.keys()): _sequence("dict_keys", iter),
    type({}.items()): _pairs("dict_items", iter),
    type(type.__dict__): _pairs("mappingproxy", lambda value: value.items()),
}

_BASES: dict[type, Callable[..., Any]] = {
    int: lambda value, *how: _tagged(int.__index__(value), *how),
    float: lambda value, *how: _tagged(float.__float__(value), *how),
    str: lambda value, *how: str.__str__(value),
    list: lambda value, *how: _items(list(list.__iter__(value)), *how),
}


def _late_exact() -> dict[type, Callable[..., Any]]:
    """Types of modules that a program may load, once it has loaded them."""
    known: dict[type, Callable[..., Any]] = {}
    collections = _modules.get("collections")
    if collections is not None:
        known[collections.Counter] = _pairs("Counter")
        known[collections.OrderedDict] = _pairs("OrderedDict", collections.OrderedDict.items)
        known[collections.defaultdict] = _pairs("defaultdict")
        known[collections.deque] = _sequence("deque", collections.deque.__iter__)
        known[collections.UserList] = _parts("UserList", lambda value: (value.data,))
        known[collections.UserDict] = _parts("UserDict", lambda value: (value.data,))
        known[collections.UserString] = _parts("UserString", lambda value: (value.data,))
    fractions, decimal = _modules.get("fractions"), _modules.get("decimal")
    if fractions is not None:
        known[fractions.Fraction] = _parts(
            "Fraction", lambda value: (value._numerator, value._denominator)
        )
    if decimal is not None:
        known[decimal.Decimal] = _plain("Decimal", decimal.Decimal.__str__)
    return known


def _numpy(value: Any, kind: type) -> tuple[Any, ...] | None:
    """(tag, dtype, value) of a NumPy scalar, (tag, dtype, shape, values) of an array, or None."""
    numpy = _modules.get("numpy")
    if numpy is None or not isinstance(getattr(numpy, "generic", None), type):
        return None
    array = kind is numpy.ndarray
    if not array and numpy.generic not in _mro(kind):
        return None
    dtype = value.dtype
    if array and dtype.kind == "O" and value.size <= MAX_NODES:
        return "ndarray", dtype.str, list(value.shape), value.ravel().tolist()
    if dtype.kind not in _NUMPY_KINDS or dtype.name in ("longdouble", "clongdouble"):
        return None
    if dtype.itemsize > 16 and dtype.kind in "fc":
        return None
    if array:
        if value.size > MAX_NODES:
            raise Unencodable("size")
        return "ndarray", dtype.str, list(value.shape), value.ravel().tolist()
    return ("numpy", dtype.str, value.item()) if kind is dtype.type else None


def _subclass(value: Any, kind: type, budget: list[int], depth: int, strict: bool) -> Any:
    """A subclass that compares as its base does: the base's content, under the class's name."""
    for owner in _mro(kind):
        if "__eq__" in _vars(owner):
            pack = _BASES.get(owner) or _EXACT.get(owner) or _late_exact().get(owner)
            if pack is None or owner is bool:
                break
            base = _type_name(owner)
            return {"sub": [base, name_of(value), pack(value, budget, depth + 1, strict)]}
    raise Unencodable(name_of(value))
