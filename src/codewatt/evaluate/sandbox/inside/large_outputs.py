"""Outputs that `output_encoder` does not encode as a whole: too many items, or an iterator.

This file runs inside the sandbox, so it imports only the standard library.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # saves an import in every sandbox
    from collections.abc import Callable
    from typing import Any

TOO_LARGE = '{"opaque":"too_large"}'
"""What `output_encoder.encode` returns for a value with too many items."""

_ITEMS_OF_A_PIECE = 4096
_NAN = '{"float":"nan"}'


def digest_in_pieces(output: Any, encode: Callable[[Any], str], sha256: Any) -> bytes | None:
    """The digest line of a list or tuple that may have any number of items.

    Lists that begin with a float are left out: they may be compared with a tolerance, for which the
    whole value is needed.

    Args:
        output: the value.
        encode: `output_encoder.encode`.
        sha256: `hashlib.sha256`.

    Returns:
        SHA-256 and length of the encoding that the whole value would have, or None if it has none
        or contains NaN.
    """
    kind = type(output)
    if kind not in (list, tuple) or not output or isinstance(output[0], float):
        return None
    start, end = ("[", "]") if kind is list else ('{"tuple":[', "]}")
    digest, length = sha256(), 0
    try:
        for at in range(0, len(output), _ITEMS_OF_A_PIECE):
            text = encode(list(output[at : at + _ITEMS_OF_A_PIECE]))
            if text[0] != "[" or _NAN in text:
                return None
            piece = ((start if at == 0 else ",") + text[1:-1]).encode("utf-8", "surrogatepass")
            digest.update(piece)
            length += len(piece)
    except BaseException:
        return None
    digest.update(end.encode())
    return b"#%s %d" % (digest.hexdigest().encode(), length + len(end))


def encode_items(output: Any, otherwise: str, encode: Callable[[Any], str]) -> str:
    """The encoded set of the items of an output; `otherwise` if it has none. EvalPlus takes it."""
    try:
        return encode(set(output))
    except BaseException:
        return otherwise
