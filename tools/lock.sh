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
# The same pins for conda. Snakemake copies the file elsewhere, so it names no other file; what is
# installed without its needs comes after (codewatt.post-deploy.sh).
{
  echo "# Made by make lock from requirements/lock.txt."
  printf 'channels:\n  - conda-forge\n  - nodefaults\ndependencies:\n  - python=3.11\n  - pip\n  - bubblewrap\n  - pip:\n'
  grep -vxFf requirements/nodeps.txt requirements/lock.txt | sed 's/^/      - /'
} >envs/codewatt.yaml
{
  echo "# Made by make lock from requirements/nodeps.txt."
  sed 's/^/python -m pip install --no-deps /' requirements/nodeps.txt
} >envs/codewatt.post-deploy.sh
