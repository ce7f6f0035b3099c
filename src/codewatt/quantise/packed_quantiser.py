"""Quantisers whose checkpoints are packed as GPTQ's or AWQ's: checks before, counts after."""

from pathlib import Path
from typing import Any

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.models.model_config import refuse_long_sequences, resolved_configuration
from codewatt.models.model_record import QuantisedCounts
from codewatt.models.packed_checkpoints import (
    PackedFormat,
    count_packed,
    packed_format_of,
    packed_layers,
)
from codewatt.models.weight_headers import headers_of
from codewatt.quantise.backends.backend import check_backend, open_backend
from codewatt.quantise.linear_selection import decoder_matrices
from codewatt.quantise.quantiser import Quantiser

_WORD_BITS = 32


class PackedQuantiser(Quantiser):
    """GPTQ or AWQ; which library does it is a setting."""

    def __init__(self, method: str) -> None:
        self._method = method

    def load_dtype(self, settings: dict[str, Any]) -> str:
        """See `Quantiser.load_dtype`."""
        return str(settings["compute_dtype"])

    def import_libraries(self, settings: dict[str, Any]) -> None:
        """See `Quantiser.import_libraries`."""
        open_backend(settings["backend"]).import_libraries()

    def held(self, source: Path, settings: dict[str, Any]) -> QuantisedCounts | None:
        """See `Quantiser.held`: a published checkpoint of this method is used as it is."""
        packing = packed_format_of(source)
        if packing is None or packing.method != self._method:
            return super().held(source, settings)
        check_packing(source, packing, settings)
        return count_packed(source)

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts:
        """See `Quantiser.quantise`.

        Raises:
            CodewattError: there is no corpus to calibrate on, a layer has a shape that the settings
                do not fit, or a sequence is longer than the model reads (all before any weight is
                read); the library cannot do it, or a layer was not quantised as asked.
        """
        if (held := self.held(source, settings)) is not None:
            return held
        if calibration is None:
            raise CodewattError(
                f"precision method {self._method!r}: the model is not quantised yet; allowed: "
                "calibration, with the id of one of the study's corpora"
            )
        check_backend(settings["backend"], source, device)
        matrices = decoder_matrices(headers_of(source))
        for name, shape in matrices.items():
            check_shape(name, shape, settings)
        backend = open_backend(settings["backend"])
        tokenizer = backend.load_tokenizer(source)
        sequences = calibration.sequences(tokenizer)
        # Libraries cut longer ones without a word.
        refuse_long_sequences(sequences, resolved_configuration(source))
        if self._method == "awq":
            sequences = of_one_length(sequences, tokenizer.eos_token_id)
        notes = backend.quantise(source, target, settings, device, sequences)
        return {**check_written(target, matrices, settings), **notes}


def of_one_length(sequences: list[list[int]], end: int) -> list[list[int]]:
    """Sequences joined, with an end of sequence after each, and cut into those of one length.

    AWQ's libraries average activations over samples of the same length, as AWQ's own code does
    (Lin et al. 2024), and use only some of others.

    Args:
        sequences: token ids; returned as they are if all are of one length.
        end: the end of sequence's id.
    """
    lengths = set(map(len, sequences))
    if len(lengths) == 1:
        return sequences
    length = max(lengths)
    stream = [token for ids in sequences for token in (*ids, end)]
    return [stream[at : at + length] for at in range(0, len(stream) - length + 1, length)]


def check_shape(name: str, shape: tuple[int, int], settings: dict[str, Any]) -> None:
    """Whether a layer can be packed.

    Raises:
        CodewattError: it cannot.
    """
    outs, ins = shape
    group_size = settings["group_size"]
    if group_size != -1 and ins % group_size:
        raise CodewattError(
            f"{name}: its {ins} inputs are no multiple of group_size {group_size}; allowed: one "
            "that divides them"
        )
    codes = _WORD_BITS // settings["bits"]
    if ins % _WORD_BITS or outs % codes:
        raise CodewattError(
            f"{name}: {outs} outputs of {ins} inputs; {settings['method']} with {settings['bits']} "
            f"bits packs multiples of {codes} outputs and {_WORD_BITS} inputs"
        )


def check_packing(directory: Path, packing: PackedFormat, settings: dict[str, Any]) -> None:
    """See that a checkpoint is packed as a precision says.

    Raises:
        CodewattError: it is not.
    """
    found = {"bits": packing.bits, "group_size": packing.group_size}
    if packing.method == "gptq":
        found["act_order"] = packing.act_order
    for key, value in found.items():
        if settings[key] != value:
            raise CodewattError(
                f"{directory}: quantised by {packing.method} with {key} {value}, the study asks "
                f"for {settings[key]}; allowed: {key}: {value}"
            )


def check_written(
    target: Path, matrices: dict[str, tuple[int, int]], settings: dict[str, Any]
) -> QuantisedCounts:
    """Count what a library wrote, layer by layer.

    Args:
        target: the quantised checkpoint.
        matrices: `decoder_matrices` of the model that it was made from.
        settings: the study's precision.

    Returns:
        See `count_packed`.

    Raises:
        CodewattError: a layer is not packed, or not to the bits, groups and shape asked for.
    """
    packing = packed_format_of(target)
    if packing is None or packing.method != settings["method"]:
        raise CodewattError(f"{target}: its config.json does not say {settings['method']}")
    check_packing(target, packing, settings)
    layers = packed_layers(headers_of(target), packing)
    for name, (outs, ins) in matrices.items():
        layer = layers.get(name)
        if layer is None:
            raise CodewattError(f"{name}: {settings['backend']} left this layer unquantised")
        if (layer.out_features, layer.in_features) != (outs, ins):
            raise CodewattError(
                f"{name}: {settings['backend']} packed {layer.out_features} x {layer.in_features} "
                f"weights, not {outs} x {ins}"
            )
    if extra := sorted(set(layers) - set(matrices)):
        raise CodewattError(f"{extra[0]}: packed, but no matrix of the model's decoder layers")
    counts = count_packed(target)
    assert counts is not None
    return counts
