"""A GGUF file loaded by llama.cpp: token ids in, logits out, with a KV cache for each sequence.

llama.cpp's own tokenizer and samplers are not used: prompts, sampling and stop rules are those of
the other engines. The names are those of llama.h.
"""

import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codewatt.errors import CodewattError
from codewatt.models.gguf_header import GgufHeader, read_gguf_header
from codewatt.models.llama_cpp_library import LOG, import_llama_cpp

#: llama.cpp's defaults (llama-bench has the same): tokens of a llama_decode, and of a graph.
BATCH_TOKENS, GRAPH_TOKENS = 2048, 512
#: llama.cpp rounds the cells of a sequence up to a multiple of this.
_CELL_MULTIPLE = 256
_DTYPES = {"f32": 0, "f16": 1}  # ggml_type


class LlamaCppModel:
    """A model on the CPU, and after `allocate` its KV cache.

    Args:
        path: of the GGUF file.
        threads: CPU threads.

    Attributes:
        header: of the file.
        vocabulary: number of logits of a position.
        layers: decoder layers.

    Raises:
        CodewattError: the file is not GGUF, is truncated, or llama.cpp refuses it.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._lib = import_llama_cpp()
        self.header: GgufHeader = read_gguf_header(path)
        self.threads = threads
        self._context: Any = None
        self._batch: Any = None
        parameters = self._lib.llama_model_default_params()
        parameters.n_gpu_layers = 0
        LOG.clear()
        self._model = self._lib.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise CodewattError(f"{path}: llama.cpp cannot load it: {LOG.reason()}")
        self.vocabulary = int(
            self._lib.llama_vocab_n_tokens(self._lib.llama_model_get_vocab(self._model))
        )
        self.layers = int(self._lib.llama_model_n_layer(self._model))

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors, as llama.cpp counts them."""
        return int(self._lib.llama_model_size(self._model))

    @property
    def cells(self) -> int:
        """Tokens that the KV cache holds of each sequence; 0 before `allocate`."""
        return 0 if self._context is None else int(self._lib.llama_n_ctx_seq(self._context))

    def allocate(self, sequences: int, tokens: int, cache_dtype: str) -> None:
        """Allocate a KV cache; one that was allocated before is freed.

        With 'f32' flash attention is off: llama.cpp's flash attention rounds to float16, which
        changed logits in their fourth decimal. With 'f16' llama.cpp decides, as llama-bench does.

        Args:
            sequences: number of sequences.
            tokens: of the longest sequence.
            cache_dtype: 'f16' or 'f32'.

        Raises:
            CodewattError: llama.cpp refuses, as for want of memory.
        """
        self.free_cache()
        parameters = self._lib.llama_context_default_params()
        cells = -(-tokens // _CELL_MULTIPLE) * _CELL_MULTIPLE
        parameters.n_ctx, parameters.n_seq_max = sequences * cells, sequences
        parameters.n_batch, parameters.n_ubatch = BATCH_TOKENS, GRAPH_TOKENS
        parameters.n_threads = parameters.n_threads_batch = self.threads
        parameters.type_k = parameters.type_v = _DTYPES[cache_dtype]
        parameters.kv_unified = False
        if cache_dtype == "f32":
            parameters.flash_attn_type = self._lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        LOG.clear()
        self._context = self._lib.llama_init_from_model(self._model, parameters)
        if not self._context:
            self._context = None
            raise CodewattError(
                f"llama.cpp: no KV cache of {sequences} x {tokens} tokens: {LOG.reason()}"
            )
        self._batch = self._lib.llama_batch_init(BATCH_TOKENS, 0, 1)

    def clear(self) -> None:
        """Empty the KV cache."""
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)

    def prefill(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Read a prompt into each sequence.

        Args:
            rows: token ids of sequence 0, 1, ...

        Returns:
            The logits after each prompt, float32 (rows, vocabulary).
        """
        logits = np.empty((len(rows), self.vocabulary), np.float32)
        flat = [
            (token, position, row, position == len(ids) - 1)
            for row, ids in enumerate(rows)
            for position, token in enumerate(ids)
        ]
        for start in range(0, len(flat), BATCH_TOKENS):
            part = flat[start : start + BATCH_TOKENS]
            self._decode(part)
            for index, (_, _, row, last) in enumerate(part):
                if last:
                    logits[row] = self._logits_of(index)
        return logits

    def step(
        self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[int]
    ) -> NDArray[np.float32]:
        """Append one token to each of some sequences.

        Args:
            tokens, positions, sequences: of each token: its id, its place in its sequence, and the
                number of the sequence.

        Returns:
            The logits after each token, float32 (tokens, vocabulary), in llama.cpp's own memory:
            valid until the next call.
        """
        last = [True] * len(tokens)
        self._decode(list(zip(tokens, positions, sequences, last, strict=True)))
        pointer = self._lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(
            ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)),
            (len(tokens), self.vocabulary),
        )

    def all_logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The logits after each token of one sequence, float32 (tokens, vocabulary).

        The KV cache is emptied first. It must hold the sequence.
        """
        self.clear()
        found = np.empty((len(ids), self.vocabulary), np.float32)
        for start in range(0, len(ids), GRAPH_TOKENS):
            part = ids[start : start + GRAPH_TOKENS]
            positions = range(start, start + len(part))
            found[start : start + len(part)] = self.step(part, positions, [0] * len(part))
        return found

    def free_cache(self) -> None:
        """Free the KV cache."""
        if self._batch is not None:
            self._lib.llama_batch_free(self._batch)
            self._batch = None
        if self._context is not None:
            self._lib.llama_free(self._context)
            self._context = None

    def close(self) -> None:
        """Free the model and its KV cache."""
        self.free_cache()
        if self._model is not None:
            self._lib.llama_model_free(self._model)
            self._model = None

    def __del__(self) -> None:
        # While Python ends, the library's functions may be gone already.
        if getattr(self, "_model", None) is not None and not sys.is_finalizing():
            self.close()

    def _decode(self, tokens: Sequence[tuple[int, int, int, bool]]) -> None:
        """Run llama_decode.

        Args:
            tokens: id, position, sequence, and whether logits are wanted.

        Raises:
            CodewattError: llama.cpp reports an error.
        """
        batch = self._batch
        batch.n_tokens = len(tokens)
        for index, (token, position, sequence, wanted) in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = wanted
        LOG.clear()
        if code := self._lib.llama_decode(self._context, batch):
            raise CodewattError(f"{self.header.path}: llama_decode returned {code}: {LOG.reason()}")

    def _logits_of(self, index: int) -> NDArray[np.float32]:
        """The logits of the token at an index of the latest batch."""
        pointer = self._lib.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(
            ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), (self.vocabulary,)
        )
