"""Types of arguments that JSON cannot express, such as tuples.

The inputs of a task are stored as JSON. If the function of a task takes values of other types, the
task has the name of each argument's type. This file is also copied into the sandbox, where it
converts the inputs, so it imports only the standard library.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # saves an import in every sandbox
    from collections.abc import Callable, Sequence
    from typing import Any


def _nested_tuples(value: Any) -> Any:
    return tuple(map(_nested_tuples, value)) if isinstance(value, list) else value


ARGUMENT_TYPES: dict[str, Callable[[Any], Any]] = {
    "json": lambda value: value,
    "float": float,
    "complex": complex,
    "tuple": tuple,
    "list[tuple]": lambda value: [tuple(item) for item in value],
    "tuple[tuple]": lambda value: tuple(tuple(item) for item in value),
    "tuple[tuple|json]": lambda value: tuple(
        tuple(item) if isinstance(item, list) else item for item in value
    ),
    "dict[tuple]": lambda value: {key: tuple(item) for key, item in value.items()},
    # An empty list becomes a dictionary, as in EvalPlus.
    "list[set]": lambda value: [
        set(item) if isinstance(item, list) and item else {} for item in value
    ],
    "nested tuples": _nested_tuples,
}
"""Conversion of a JSON value to an argument, by the name of the argument's type.

"list[tuple]" is a list whose items are tuples. "tuple[tuple|json]" is a tuple; its items that are
lists in JSON become tuples. "nested tuples" makes a tuple of each list, at every depth.
"""


def convert_arguments(arguments: list[Any], types: Sequence[str]) -> list[Any]:
    """The arguments of one call.

    Args:
        arguments: JSON values.
        types: the name of a type in `ARGUMENT_TYPES` for each argument; further arguments are left
            as they are.

    Raises:
        Exception: a value cannot be converted (any exception of the conversion).
    """
    converted = [ARGUMENT_TYPES[name](value) for name, value in zip(types, arguments, strict=False)]
    return converted + arguments[len(converted) :]
