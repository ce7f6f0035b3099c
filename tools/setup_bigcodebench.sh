#!/usr/bin/env bash
# Make .venv-bigcodebench: the libraries that BigCodeBench's tasks use, at upstream's versions, and
# NLTK's data. They need Python 3.10. codewatt is not installed there: only judged programs run in it.
# Usage: tools/setup_bigcodebench.sh, after tools/setup.sh (uv comes from .venv).
#   PYTHON310=PATH          a Python 3.10, if it is neither python3.10 on PATH nor known to uv
#   NLTK_DATA_ARCHIVE=FILE  a local copy of NLTK's data, instead of a download
set -euo pipefail
cd "$(dirname "$0")/.."

uv=${UV:-$PWD/.venv/bin/uv}
venv=.venv-bigcodebench
lock=requirements/bigcodebench.lock.txt
stamp=$venv/.$(cat "$lock" tools/setup_bigcodebench.sh tools/install_nltk_data.py | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0

is_310() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; }
python=${PYTHON310:-python3.10}
is_310 "$python" || {
  [ -z "${PYTHON310:-}" ] && python=$("$uv" python find --no-python-downloads 3.10 2>/dev/null) && is_310 "$python"
} || {
  echo "setup: ${PYTHON310:-python3.10} is missing or not Python 3.10, for which BigCodeBench's libraries" \
    "are pinned; install it, or name it: make bigcodebench PYTHON310=/path/to/python3.10" >&2
  exit 1
}

echo "setup: installing $lock into $venv (2.4 GB, some minutes)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --requirements "$lock"
# Without byte code a task takes 5 to 8 s to import its libraries, with it less than 1 s. Some
# packages contain files for Python 2, which have none.
"$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null || true
echo "setup: installing NLTK's data into $venv/nltk_data"
"$venv/bin/python" tools/install_nltk_data.py "$venv/nltk_data" ${NLTK_DATA_ARCHIVE:+"$NLTK_DATA_ARCHIVE"}
touch "$stamp"
