#!/usr/bin/env bash
# Make .venv-NAME from requirements/NAME.lock.txt, for an engine or a library that the pipeline's own
# environment cannot have: Python 3.11 on Linux (x86-64). With conda, envs/NAME.yaml has the same pins.
# Usage: tools/setup_environment.sh NAME, after tools/setup.sh (uv comes from .venv).
#   vllm      an NVIDIA driver for CUDA 13, many GB (docs/how-to/vllm.md)
#   autoawq   on a CPU or a GPU (docs/how-to/unmaintained-backends.md)
#   autogptq  an NVIDIA GPU (docs/how-to/unmaintained-backends.md)
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
uv=$PWD/.venv/bin/uv
venv=.venv-$name
lock=requirements/$name.lock.txt
stamp=$venv/.$(cat "$lock" tools/setup_environment.sh pyproject.toml | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0

.venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
  echo "setup: $venv needs Python 3.11: its pins are for it, and AutoGPTQ has no wheel for later ones;" \
    "make .venv anew with PYTHON=python3.11, or use envs/$name.yaml with conda" >&2
  exit 1
}

echo "setup: installing $lock into $venv"
[ -x "$venv/bin/python" ] || .venv/bin/python -m venv "$venv"
if ! grep -q '^nvidia-cublas==' "$lock"; then
  # CUDA's packages are not locked: torch comes through pip, with those that its wheel names.
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$(grep '^torch==' "$lock")"
fi
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --requirements "$lock"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable .
touch "$stamp"
