#!/usr/bin/env bash
# Make .venv-vllm, in which the engine vllm runs, from requirements/vllm.lock.txt: Linux on x86-64,
# an NVIDIA driver for CUDA 13, many GB. With conda, envs/vllm.yaml has the same pins.
# Usage: tools/setup_vllm.sh, after tools/setup.sh (uv comes from .venv).
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$PWD/.venv/bin/uv
lock=requirements/vllm.lock.txt
stamp=.venv-vllm/.$(cat "$lock" tools/setup_vllm.sh pyproject.toml | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0

echo "setup: installing vLLM's pinned requirements into .venv-vllm"
[ -x .venv-vllm/bin/python ] || "$uv" venv --quiet --python .venv/bin/python .venv-vllm
"$uv" pip install --quiet --python .venv-vllm/bin/python --no-deps --requirements "$lock"
"$uv" pip install --quiet --python .venv-vllm/bin/python --no-deps --editable .
touch "$stamp"
