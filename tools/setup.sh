#!/usr/bin/env bash
# Make .venv from the pinned requirements, and see that the sandbox can run.
# Usage: tools/setup.sh [dev]
set -euo pipefail
cd "$(dirname "$0")/.."

# Snakemake starts jobs with its own Python, without quotes (snakemake#2645).
case $PWD in
  *[!A-Za-z0-9_@%+=:,./-]*)
    echo "setup: $PWD: jobs cannot be started from an environment under a path with spaces or other" >&2
    echo "       characters of the shell; move the checkout to a path without them" >&2
    exit 1
    ;;
esac

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  echo "setup: $python is missing or older than 3.11; name a newer one: make PYTHON=python3.11" >&2
  exit 1
}

if ! command -v bwrap >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing bubblewrap, the sandbox in which completions are judged"
    { apt-get install -y -qq bubblewrap || { apt-get update -qq && apt-get install -y -qq bubblewrap; }; } \
      >/dev/null 2>&1 || { echo "setup: apt-get could not install bubblewrap" >&2; exit 1; }
  else
    echo "setup: bubblewrap is missing, the sandbox in which completions are judged." >&2
    echo "       Install it and try again: sudo apt-get install bubblewrap" >&2
    exit 1
  fi
fi

# pypcre, which gptqmodel needs, comes as source.
command -v gcc >/dev/null || command -v cc >/dev/null || {
  echo "setup: a C compiler is missing, with which one of the requirements is built." >&2
  echo "       Install it and try again: sudo apt-get install gcc libc6-dev python3-dev" >&2
  exit 1
}

# The file that says that exactly these lock files are installed.
stamp_of() {
  echo ".venv/.installed-$(cat "$@" tools/setup.sh pyproject.toml | sha256sum | cut -c1-16)"
}
locks=(requirements/lock.txt)
with_dev=(requirements/lock.txt requirements/dev.lock.txt)
[ -e "$(stamp_of "${with_dev[@]}")" ] && exit 0 # it holds what `setup` needs too
[ "${1:-}" = dev ] && locks=("${with_dev[@]}")
stamp=$(stamp_of "${locks[@]}")
[ -e "$stamp" ] && exit 0

echo "setup: installing the pinned requirements into .venv"
[ -x .venv/bin/python ] || "$python" -m venv .venv || {
  echo "setup: $python cannot make a virtual environment; on Debian: sudo apt-get install python3-venv" >&2
  exit 1
}
rm -f .venv/.installed-* # from here on .venv is no longer what they say
pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" "uv==$(sed -n 's/^uv==//p' requirements/uv.txt)"
# torch comes through pip, which honours local files and extra indexes; its pin is in the lock.
"${pip[@]}" "$(grep '^torch==' requirements/lock.txt)"
# Everything else exactly as locked: evalplus names dependencies that it does not need here.
for lock in "${locks[@]}"; do
  grep -v '^torch==' "$lock" | .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps -r -
done
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
# Compiled at once: a study starts a process for each job, and where Python may not write beside its
# packages (a shared environment, PYTHONDONTWRITEBYTECODE) each would compile them again, for seconds.
.venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true # some are not for this Python
touch "$stamp"
echo "setup: done; activate the environment with: . .venv/bin/activate"
