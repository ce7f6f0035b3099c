#!/usr/bin/env bash
# Resolve requirements/*.in into the lock files, without CUDA packages and without evalplus's needs.
set -euo pipefail
cd "$(dirname "$0")/.."
torch=$(grep '^torch==' requirements/base.in)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "$torch" >"$scratch/torch.txt"
finder=()
[ -n "${PIP_FIND_LINKS:-}" ] && finder=(--find-links "$PIP_FIND_LINKS")
compile=(uv pip compile --quiet --no-header --no-annotate "${finder[@]}")
"${compile[@]}" --constraint "$scratch/torch.txt" requirements/base.in -o "$scratch/base.txt"
# A local build's suffix (+cpu) is this machine's matter; evalplus is installed without its needs.
{ sed 's/^\(torch==[0-9.]*\)+.*/\1/' "$scratch/base.txt"; cat requirements/nodeps.txt; } | sort -f \
  >requirements/lock.txt
"${compile[@]}" --constraint requirements/lock.txt requirements/dev.in -o requirements/dev.lock.txt
# vLLM's environment, with the CUDA packages that its wheels name: no local files, no lock above.
uv pip compile --quiet --no-header --no-annotate --python-version 3.11 \
  --python-platform x86_64-unknown-linux-gnu requirements/vllm.in -o requirements/vllm.lock.txt
# The same pins for conda. Snakemake copies the file elsewhere, so it names no other file; what is
# installed without its needs comes after (codewatt.post-deploy.sh).
conda() { # conda LOCK PACKAGE...: an environment with these packages and the lock's, on stdin
  echo "# Made by make lock from $1."
  printf 'channels:\n  - conda-forge\n  - nodefaults\ndependencies:\n'
  printf '  - %s\n' python=3.11 pip "${@:2}" 'pip:'
  sed 's/^/      - /'
}
grep -vxFf requirements/nodeps.txt requirements/lock.txt |
  conda requirements/lock.txt bubblewrap >envs/codewatt.yaml
conda requirements/vllm.lock.txt <requirements/vllm.lock.txt >envs/vllm.yaml
{
  echo "# Made by make lock from requirements/nodeps.txt."
  sed 's/^/python -m pip install --no-deps /' requirements/nodeps.txt
} >envs/codewatt.post-deploy.sh
