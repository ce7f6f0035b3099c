"""Methods `gptq` and `awq`: checks before a library quantises, and counts after it has.

GPTQ is algorithm 1 of Frantar et al. 2023, for int8 and int4. AWQ is section 3 of Lin et al. 2024,
for int4. The libraries that implement them are in backends/.
"""

from pathlib import Path

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.models.model_config import check_sequence_lengths, resolved_configuration
from codewatt.models.model_record import QuantisedCounts
from codewatt.models.packed_checkpoints import count_packed_weights, packed_layers
from codewatt.models.packed_format import PackedFormat, read_packed_format
from codewatt.models.weight_headers import read_weight_headers
from codewatt.quantise.backends.backend import check_backend, open_backend
from codewatt.quantise.linear_selection import decoder_matrices
from codewatt.quantise.precision_settings import PrecisionSettings
from codewatt.quantise.quantiser import Quantiser

_INT32_BITS = 32


class GptqAwqQuantiser(Quantiser):
    """GPTQ or AWQ, by the library of the setting `backend`."""

    def load_dtype(self, settings: PrecisionSettings) -> str:
        """See `Quantiser.load_dtype`."""
        return str(settings["compute_dtype"])

    tensors_tell_parameters = True

    def import_libraries(self, settings: PrecisionSettings) -> None:
        """See `Quantiser.import_libraries`."""
        open_backend(settings["backend"]).import_libraries()

    def existing_counts(self, source: Path, settings: PrecisionSettings) -> QuantisedCounts | None:
        """See `Quantiser.existing_counts`: a checkpoint of this method is used as it is."""
        packing = read_packed_format(source)
        if packing is None or packing.method != settings["method"]:
            return super().existing_counts(source, settings)
        check_packed_format(source, packing, settings)
        return count_packed_weights(source)

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts:
        """See `Quantiser.quantise`.

        Raises:
            CodewattError: there is no calibration corpus, a layer's shape does not fit the
                settings, or a sequence is longer than the model's context (all before any weight
                is read); the library cannot quantise the model, or a layer was not quantised as
                the settings say.
        """
        if (counts := self.existing_counts(source, settings)) is not None:
            return counts
        if calibration is None:
            raise CodewattError(
                f"precision method {settings['method']!r}: the model is not quantised yet and "
                "calibration is missing; allowed: the id of one of the study's corpora"
            )
        check_backend(settings["backend"], source, device)
        matrices = decoder_matrices(read_weight_headers(source))
        for name, shape in matrices.items():
            check_layer_shape(name, shape, settings)
        backend = open_backend(settings["backend"])
        tokenizer = backend.load_tokenizer(source)
        sequences = calibration.sequences(tokenizer)
        # Libraries truncate longer sequences silently.
        check_sequence_lengths(sequences, resolved_configuration(source))
        if settings["method"] == "awq":
            sequences = join_to_one_length(sequences, tokenizer.eos_token_id)
        library_counts = backend.quantise(source, target, settings, device, sequences)
        return {**check_quantised_checkpoint(target, matrices, settings), **library_counts}


def join_to_one_length(sequences: list[list[int]], end: int) -> list[list[int]]:
    """Join sequences, with an end-of-sequence token after each, and split them to one length.

    AWQ's libraries average activations over samples of the same length, as the authors' code does
    (Lin et al. 2024), and drop parts of other samples.

    Args:
        sequences: token ids; returned unchanged if all have the same length.
        end: token id of the end of a sequence.

    Returns:
        Sequences as long as the longest of the given ones; an incomplete last one is dropped.
    """
    lengths = set(map(len, sequences))
    if len(lengths) == 1:
        return sequences
    length = max(lengths)
    stream = [token for ids in sequences for token in (*ids, end)]
    return [stream[at : at + length] for at in range(0, len(stream) - length + 1, length)]


def check_layer_shape(name: str, shape: tuple[int, int], settings: PrecisionSettings) -> None:
    """Check that a layer's shape can be packed with these settings.

    Args:
        name: of the layer, for the message.
        shape: (out_features, in_features).
        settings: a study's precision.

    Raises:
        CodewattError: it cannot be packed.
    """
    outs, ins = shape
    group_size = settings["group_size"]
    if group_size != -1 and ins % group_size:
        raise CodewattError(
            f"{name}: {ins} inputs are not a multiple of group_size {group_size}; allowed: a "
            "group_size that divides the inputs"
        )
    per_int32 = _INT32_BITS // settings["bits"]
    if ins % _INT32_BITS or outs % per_int32:
        raise CodewattError(
            f"{name}: {outs} outputs and {ins} inputs; allowed for {settings['method']} with "
            f"{settings['bits']} bits: multiples of {per_int32} outputs and {_INT32_BITS} inputs"
        )


def check_packed_format(
    directory: Path, packing: PackedFormat, settings: PrecisionSettings
) -> None:
    """Check that a checkpoint's packed format agrees with a precision.

    Args:
        directory: of the checkpoint, for the message.
        packing: format of the checkpoint.
        settings: a study's precision.

    Raises:
        CodewattError: bits, group_size or act_order differ.
    """
    found = [
        ("bits", packing.bits, settings["bits"]),
        ("group_size", packing.group_size, settings["group_size"]),
    ]
    if packing.method == "gptq":
        found.append(("act_order", packing.act_order, settings["act_order"]))
    for key, value, chosen in found:
        if chosen != value:
            raise CodewattError(
                f"{directory}: the checkpoint is quantised by {packing.method} with {key} {value}, "
                f"but the precision has {key}: {chosen}; allowed: {key}: {value}"
            )


def check_quantised_checkpoint(
    target: Path, matrices: dict[str, tuple[int, int]], settings: PrecisionSettings
) -> QuantisedCounts:
    """Check and count the checkpoint that a library wrote, layer by layer.

    Args:
        target: directory of the quantised checkpoint.
        matrices: `decoder_matrices` of the unquantised model.
        settings: a study's precision.

    Returns:
        See `count_packed_weights`.

    Raises:
        CodewattError: a layer is not packed, or its bits, groups or shape are not as expected.
    """
    packing = read_packed_format(target)
    if packing is None or packing.method != settings["method"]:
        raise CodewattError(
            f"{target}: config.json: quant_method is not {settings['method']}, which "
            f"{settings['backend']} should have written"
        )
    check_packed_format(target, packing, settings)
    layers = packed_layers(read_weight_headers(target), packing)
    for name, (outs, ins) in matrices.items():
        layer = layers.get(name)
        if layer is None:
            raise CodewattError(f"{name}: {settings['backend']} left this layer unquantised")
        if (layer.out_features, layer.in_features) != (outs, ins):
            raise CodewattError(
                f"{name}: {settings['backend']} packed {layer.out_features} x {layer.in_features} "
                f"weights; expected {outs} x {ins}"
            )
    if extra := sorted(set(layers) - set(matrices)):
        raise CodewattError(
            f"{extra[0]}: {settings['backend']} packed this layer, which is not a matrix of the "
            "model's decoder layers"
        )
    counts = count_packed_weights(target)
    assert counts is not None
    return counts


QUANTISER = GptqAwqQuantiser()
