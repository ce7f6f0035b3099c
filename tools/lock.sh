#!/usr/bin/env bash
# Resolve requirements/*.in into the lock files and into envs/*.yaml, the same pins for conda.
# Usage: tools/lock.sh [NAME...], of codewatt (with dev), vllm, autoawq, autogptq, bigcodebench;
# without one, all.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
finder=()
[ -n "${PIP_FIND_LINKS:-}" ] && finder=(--find-links "$PIP_FIND_LINKS")
compile=(uv pip compile --quiet --no-header --no-annotate)

# lock IN NODEPS LOCK: IN's needs without CUDA packages, and NODEPS, which is installed without its
# needs. A local build's suffix (+cpu) is this machine's matter.
lock() {
  grep '^torch==' "$1" >"$scratch/torch.txt"
  "${compile[@]}" "${finder[@]}" --python-version 3.11 --constraint "$scratch/torch.txt" "$1" \
    -o "$scratch/lock.txt"
  {
    sed 's/^\(torch==[0-9.]*\)+.*/\1/' "$scratch/lock.txt"
    cat "$2"
  } | sort -f >"$3"
}

# conda NAME LOCK NODEPS PACKAGE...: envs/NAME.yaml with conda's PACKAGEs and the lock's pins, for Python
# $conda_python (3.11). Snakemake copies the file elsewhere, so it names no other file; NODEPS comes
# after (NAME.post-deploy.sh).
conda() {
  {
    echo "# Made by make lock from $2."
    printf 'channels:\n  - conda-forge\n  - nodefaults\ndependencies:\n'
    printf '  - %s\n' "python=${conda_python:-3.11}" pip "${@:4}" 'pip:'
    grep -vxFf "$3" "$2" | sed 's/^/      - /'
  } >"envs/$1.yaml"
  [ -s "$3" ] || return 0
  {
    echo "# Made by make lock from $3."
    sed 's/^/python -m pip install --no-deps /' "$3"
  } >"envs/$1.post-deploy.sh"
}

[ $# -gt 0 ] || set -- codewatt vllm autoawq autogptq bigcodebench
for name in "$@"; do
  case $name in
    codewatt)
      lock requirements/base.in requirements/nodeps.txt requirements/lock.txt
      "${compile[@]}" "${finder[@]}" --constraint requirements/lock.txt requirements/dev.in \
        -o requirements/dev.lock.txt
      conda codewatt requirements/lock.txt requirements/nodeps.txt bubblewrap
      ;;
    vllm)
      # With the CUDA packages that its wheels name, so without local files.
      "${compile[@]}" --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
        requirements/vllm.in -o requirements/vllm.lock.txt
      conda vllm requirements/vllm.lock.txt /dev/null
      ;;
    autoawq | autogptq)
      lock "requirements/$name.in" "requirements/$name.nodeps.txt" "requirements/$name.lock.txt"
      conda "$name" "requirements/$name.lock.txt" "requirements/$name.nodeps.txt"
      ;;
    bigcodebench)
      # With the releases of December 2024: what upstream does not pin has moved on since.
      "${compile[@]}" --python-version 3.10 --exclude-newer 2024-12-06 requirements/bigcodebench.in \
        -o "$scratch/lock.txt"
      printf '%s\n' pip==23.0.1 setuptools==75.6.0 wheel==0.45.1 >>"$scratch/lock.txt"
      sort -fu "$scratch/lock.txt" >requirements/bigcodebench.lock.txt
      conda_python=3.10 conda bigcodebench requirements/bigcodebench.lock.txt /dev/null
      ;;
    *)
      echo "lock: $name is none of codewatt, vllm, autoawq, autogptq, bigcodebench" >&2
      exit 1
      ;;
  esac
done
