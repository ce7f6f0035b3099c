"""A checkpoint of transformers as a GGUF file, by llama.cpp's own converter."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.llama_cpp_library import converter_folder
from codewatt.models.model_files import only_model_files
from codewatt.quantise.gguf_converter_process import READY

_PROCESS = "codewatt.quantise.gguf_converter_process"
_REASON_LENGTH = 300


class GgufConverter:
    """A process that has imported llama.cpp's converter and converts models.

    Raises:
        CodewattError: the converter is not installed, or its imports fail.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", _PROCESS, str(converter_folder())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TQDM_DISABLE": "1"},
        )
        if self._read() != READY:
            self.close()
            raise CodewattError(
                "llama.cpp's converter cannot be imported; the lines above say why; "
                "`make llama-cpp` installs it anew"
            )

    def convert(
        self, source: Path, target: Path, kind: str, layers: Sequence[str] = ()
    ) -> dict[str, str]:
        """Write a model as GGUF.

        Args:
            source: a directory with config.json and safetensors files.
            target: the file to write.
            kind: 'F32' or 'F16', of matrices; vectors are always F32.
            layers: names of linear layers.

        Returns:
            Name of each of `layers` -> llama.cpp's name of its matrix.

        Raises:
            CodewattError: the converter refuses the model.
        """
        assert self._process.stdin is not None
        with only_model_files(source) as own:
            request = {
                "source": str(own),
                "target": str(target.absolute()),
                "kind": kind,
                "layers": list(layers),
            }
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._read()
        reply: dict[str, Any] = {"error": "it ended without an answer", "names": {}}
        if line:
            reply = json.loads(line)
        if reply["error"] is not None:
            reason = reply["error"].replace(str(own), str(source))[:_REASON_LENGTH]
            raise CodewattError(f"{source}: llama.cpp's converter refuses the model: {reason}")
        names: dict[str, str] = reply["names"]
        return names

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
