#!/usr/bin/env bash
# Who reads whose checkpoints (checkpoint_readers.py), each step in the environment that it needs.
# Usage: benchmarks/checkpoint_readers.sh FOLDER, after: make dev autoawq autogptq
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "$1")
[ ! -e "$folder" ] || {
  echo "checkpoint_readers: $folder: it must not be there yet" >&2
  exit 1
}
mkdir -p "$folder"
in_environment() {
  PYTHONPATH=src:.${extra:+:$extra} "$1/bin/python" benchmarks/checkpoint_readers.py "${@:2}" "$folder"
}
logged() {
  in_environment "$@" >>"$folder/log" 2>&1 || {
    echo "checkpoint_readers: ${*:2} failed: $folder/log" >&2
    exit 1
  }
}

logged .venv models
logged .venv make gptqmodel
logged .venv-autoawq make autoawq
logged .venv-autogptq make auto_gptq
for reader in here gptqmodel; do logged .venv read "$reader"; done
# transformers asks for optimum where it reads GPTQ; the pipeline has no other use for it.
.venv/bin/python -m pip install --quiet --no-deps --target "$folder/optimum" optimum==2.3.0
extra=$folder/optimum logged .venv read transformers
logged .venv-autoawq read autoawq
logged .venv-autogptq read auto_gptq
in_environment .venv table
