"""Encodes a program's outputs as tagged JSON inside the sandbox; `output_decoder` decodes them.

Equality and type are preserved, so that the judge compares the decoded values as EvalPlus compares
the objects themselves. Only JSON text leaves the sandbox, never pickle or marshal data.
This file runs inside the sandbox, so it imports only the standard library.
"""

from __future__ import annotations

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # saves an import in every sandbox
    from collections.abc import Callable, Iterable
    from typing import Any

MAX_DEPTH = 100
"""Containers nested more deeply have no encoding; no benchmark needs this depth."""

MAX_NODES = 4_000_000
"""Values with more items have no encoding; a nested container counts as `_NESTED` items."""

MAX_CHARACTERS = 1 << 26
"""Longer strings have no encoding."""

_NESTED = 16

MAX_DIGITS = 4300
"""Integers with more decimal digits are sent in hexadecimal."""

# Kept here because a program may replace them in their modules.
_get_digits, _set_digits = sys.get_int_max_str_digits, sys.set_int_max_str_digits
_modules = sys.modules


class Unencodable(Exception):
    """A value without an encoding; the message is the name of its type."""


_ATOMS = frozenset({int, float, str, bool, type(None)})
_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_vars: Callable[[type], dict[str, Any]] = type.__dict__["__dict__"].__get__
_type_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_NUMPY_KINDS = frozenset("biufcSU")


def _refuse(value: Any) -> Any:
    raise Unencodable(type_name(value))


_encoder: Any = json.encoder
_json = _encoder.c_make_encoder(
    None, _refuse, _encoder.encode_basestring, None, ":", ",", False, False, True
)


def encode(value: Any) -> str:
    """Encode a value as one line of JSON that preserves equality and type.

    Atoms and lists are encoded as themselves, everything else as an object whose one key is the
    type. A value without an encoding gives `{"opaque": TYPE NAME}`. NaN and very long integers
    need the strict pass, which is slower.
    """
    digits = _get_digits()
    if digits != MAX_DIGITS:
        _set_digits(MAX_DIGITS)
    try:
        try:
            text = "".join(_json(_encode_value(value, [MAX_NODES], 0, False), 0))
            if "NaN" not in text:
                return text
        except ValueError:  # too many digits
            pass
        return "".join(_json(_encode_value(value, [MAX_NODES], 0, True), 0))
    except Unencodable as error:
        return '{"opaque":"' + str(error) + '"}'
    except BaseException:
        return '{"opaque":"' + type_name(value) + '"}'
    finally:
        if digits != MAX_DIGITS:
            _set_digits(digits)


def type_name(value: Any) -> str:
    """Name of a value's type: ASCII, at most 60 characters, safe inside JSON."""
    try:
        name = _type_name(type(value))
        return "".join(c for c in name[:60] if (c.isalnum() and c.isascii()) or c == "_") or "?"
    except BaseException:
        return "?"


def _encode_value(value: Any, budget: list[int], depth: int, strict: bool) -> Any:
    """The value as data for JSON. `budget` is a list with one number: the items that are left."""
    kind = type(value)
    if kind in _ATOMS:
        if strict and kind is int and value.bit_length() > 2000:
            return {"int": hex(value)}
        if strict and kind is float and value != value:
            return {"float": "nan"}
        if kind is str and len(value) > MAX_CHARACTERS:
            raise Unencodable("too_large")
        return value
    number = _numpy_number(value, kind)
    if number is not None:
        budget[0] -= 2
        if budget[0] < 0:
            raise Unencodable("too_large")
        return {"numpy": [number, _encode_value(value.item(), budget, depth, strict)]}
    budget[0] -= _NESTED
    if depth > MAX_DEPTH or budget[0] < 0:
        raise Unencodable("too_large")
    if kind is list:
        return _items(value, budget, depth, strict)
    pack = _EXACT_ENCODERS.get(kind)
    if pack is None:
        pack = _loaded_encoders().get(kind)
    if pack is not None:
        return pack(value, budget, depth, strict)
    array = _array(value, kind, budget, depth, strict)
    if array is not None:
        return array
    return _subclass(value, kind, budget, depth, strict)


def _items(values: list[Any], budget: list[int], depth: int, strict: bool) -> Any:
    """A list of encoded items; fast if all are atoms, or NumPy scalars of one type."""
    budget[0] -= len(values)
    if budget[0] < 0:
        raise Unencodable("too_large")
    kinds = set(map(type, values))
    if not strict and kinds <= _ATOMS:
        return values
    if len(kinds) == 1:
        number = _numpy_number(values[0], type(values[0]))
        if number is not None:
            numbers = [value.item() for value in values]
            return {"scalars": [number, _items(numbers, budget, depth, strict)]}
    return [_encode_value(item, budget, depth + 1, strict) for item in values]


def _sequence(tag: str, iterate: Callable[[Any], Iterable[Any]]) -> Callable[..., Any]:
    def pack(value: Any, budget: list[int], depth: int, strict: bool) -> Any:
        return {tag: _items(list(iterate(value)), budget, depth, strict)}

    return pack


def _pairs(tag: str, items: Callable[[Any], Iterable[Any]] = dict.items) -> Callable[..., Any]:
    def pack(value: Any, budget: list[int], depth: int, strict: bool) -> Any:
        pairs = list(items(value))
        budget[0] -= len(pairs)
        if budget[0] < 0:
            raise Unencodable("too_large")
        return {
            tag: [
                [
                    _encode_value(key, budget, depth + 1, strict),
                    _encode_value(item, budget, depth + 1, strict),
                ]
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
        return {tag: [_encode_value(part, budget, depth + 1, strict) for part in view(value)]}

    return pack


_complex: Any = complex
_real, _imag = _complex.real.__get__, _complex.imag.__get__

_EXACT_ENCODERS: dict[type, Callable[..., Any]] = {
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

_BASE_ENCODERS: dict[type, Callable[..., Any]] = {
    int: lambda value, *how: _encode_value(int.__index__(value), *how),
    float: lambda value, *how: _encode_value(float.__float__(value), *how),
    str: lambda value, *how: str.__str__(value),
    list: lambda value, *how: _items(list(list.__iter__(value)), *how),
}


_late_encoders: dict[tuple[Any, ...], dict[type, Callable[..., Any]]] = {}


def _loaded_encoders() -> dict[type, Callable[..., Any]]:
    """Encoders for types of modules that the program has imported so far."""
    loaded = tuple(id(_modules.get(name)) for name in ("collections", "fractions", "decimal"))
    if loaded not in _late_encoders:
        _late_encoders[loaded] = _find_loaded_encoders()
    return _late_encoders[loaded]


def _find_loaded_encoders() -> dict[type, Callable[..., Any]]:
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


def _numpy_module() -> Any:
    numpy = _modules.get("numpy")
    return numpy if isinstance(getattr(numpy, "generic", None), type) else None


def _numpy_number(value: Any, kind: type) -> str | None:
    """Data type of a NumPy scalar that has a Python value of the same precision, else None."""
    if kind.__module__ != "numpy":
        return None
    numpy = _numpy_module()
    if numpy is None or numpy.generic not in _mro(kind):
        return None
    dtype = value.dtype
    if kind is not dtype.type or dtype.kind not in "biufc" or _is_long(dtype):
        return None
    return str(dtype.str)


def _is_long(dtype: Any) -> bool:
    """Whether a data type is more precise than Python's float and complex."""
    return dtype.name in ("longdouble", "clongdouble") or (
        dtype.kind in "fc" and dtype.itemsize > (8 if dtype.kind == "f" else 16)
    )


def _array(value: Any, kind: type, budget: list[int], depth: int, strict: bool) -> Any:
    """A NumPy array, or subclass that compares like an array, with shape and values."""
    numpy = _numpy_module()
    if numpy is None or numpy.ndarray not in _mro(kind):
        return None
    masked = getattr(_modules.get("numpy.ma"), "MaskedArray", None)
    if masked in _mro(kind) and numpy.ma.getmaskarray(value).any():
        raise Unencodable(type_name(value))
    array = numpy.ndarray.view(value, numpy.ndarray)
    dtype = array.dtype
    if array.size > MAX_NODES:
        raise Unencodable("too_large")
    if dtype.kind == "O" or (dtype.kind in "fc" and _is_long(dtype)):
        name = "|O"
    elif dtype.kind in _NUMPY_KINDS:
        name = dtype.str
    else:
        raise Unencodable(type_name(value))
    values = _items(array.ravel().tolist(), budget, depth + 1, strict)
    return {"ndarray": [name, list(array.shape), values]}


def _subclass(value: Any, kind: type, budget: list[int], depth: int, strict: bool) -> Any:
    """A value of any other type, encoded as the built-in value that it equals.

    A subclass of a built-in type is encoded through the methods of that type. A type that defines
    `__eq__` is converted to a built-in value, and its `__eq__` must confirm that both are equal.
    The judge compares only the built-in value, so an `__eq__` that lies gains nothing.
    """
    for owner in _mro(kind):
        pack = (
            _BASE_ENCODERS.get(owner) or _EXACT_ENCODERS.get(owner) or _loaded_encoders().get(owner)
        )
        if pack is not None:
            base = _type_name(owner)
            return {"sub": [base, type_name(value), pack(value, budget, depth + 1, strict)]}
    if next(owner for owner in _mro(kind) if "__eq__" in _vars(owner)) is not object:
        for find in _PLAIN_VALUES:
            try:
                plain = find(value, kind, budget[0])
                confirmed = plain is not None and (find in _EXACT_VALUES or bool(value == plain))
            except Exception:
                continue
            if confirmed:
                plain_kind = type(plain)
                content = _encode_value(plain, budget, depth + 1, strict)
                if plain_kind is bool:
                    return content
                return {"sub": [_type_name(plain_kind), type_name(value), content]}
    raise Unencodable(type_name(value))


def _has_attributes(kind: type, *names: str) -> bool:
    return all(hasattr(kind, name) for name in names)


def _integer(value: Any, kind: Any, max_items: int) -> Any:
    return int(kind.__index__(value)) if _has_attributes(kind, "__index__") else None


def _float(value: Any, kind: Any, max_items: int) -> Any:
    return float(kind.__float__(value)) if _has_attributes(kind, "__float__") else None


def _rational(value: Any, kind: type, max_items: int) -> Any:
    from fractions import Fraction

    if not _has_attributes(kind, "numerator", "denominator"):
        return None
    return Fraction(int(value.numerator), int(value.denominator))


def _ratio(value: Any, kind: type, max_items: int) -> Any:
    """A number more precise than a float, as an exact fraction (mpmath, sympy)."""
    from fractions import Fraction

    if _has_attributes(kind, "as_integer_ratio"):
        return Fraction(*map(int, value.as_integer_ratio()))
    sign, mantissa, exponent, _ = value._mpf_
    if abs(exponent) > 1 << 16:
        return None
    return (-1) ** int(sign) * int(mantissa) * Fraction(2) ** int(exponent)


def _complex_value(value: Any, kind: Any, max_items: int) -> Any:
    return complex(kind.__complex__(value)) if _has_attributes(kind, "__complex__") else None


def _mapping(value: Any, kind: type, max_items: int) -> Any:
    if not _has_attributes(kind, "keys", "__getitem__", "__len__") or len(value) > max_items:
        return None
    return {key: value[key] for key in value}


def _set(value: Any, kind: type, max_items: int) -> Any:
    right = _has_attributes(kind, "__contains__", "__iter__", "__len__") and not _has_attributes(
        kind, "__getitem__"
    )
    return set(value) if right and len(value) <= max_items else None


def _list(value: Any, kind: type, max_items: int) -> Any:
    right = _has_attributes(kind, "__getitem__", "__iter__", "__len__")
    return list(value) if right and len(value) <= max_items else None


def _tuple(value: Any, kind: type, max_items: int) -> Any:
    items = _list(value, kind, max_items)
    return None if items is None else tuple(items)


def _bytes(value: Any, kind: type, max_items: int) -> Any:
    return bytes(value) if kind is memoryview else None


def _truth(value: Any, kind: type, max_items: int) -> Any:
    return bool(value) if _has_attributes(kind, "__bool__") else None


_EXACT_VALUES = (_ratio,)
"""Conversions without confirmation: these types do not compare with fractions."""

_PLAIN_VALUES = (
    *(_integer, _float, _rational, _ratio, _complex_value, _mapping, _set, _bytes),
    *(_list, _tuple, _truth),
)
