#!/usr/bin/env bash
# Build llama.cpp from the source package of llama-cpp-python into .venv, for the CPU of this machine, and
# put llama.cpp's converter to GGUF beside it. All other packages that it needs are in .venv already.
# Usage: tools/setup_llama_cpp.sh, after tools/setup.sh.
#   VENV=DIR                another virtual environment that has the pipeline's packages
#   LLAMA_CPP_PACKAGE=FILE  a local copy of the source package, instead of a download
set -euo pipefail
cd "$(dirname "$0")/.."

# Of llama_cpp_python-0.3.36.tar.gz: what is built must be what was tested.
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
build_backend='scikit-build-core[pyproject]==1.1.2'
venv=${VENV:-.venv}
pins=requirements/llama-cpp.txt
version=$(sed -n 's/^llama-cpp-python==//p' "$pins")
stamp=$venv/.llama-cpp-$(cat "$pins" tools/setup_llama_cpp.sh | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0

for tool in cc c++ cmake; do
  command -v "$tool" >/dev/null || {
    echo "setup: $tool is missing, with which llama.cpp is built; on Debian:" \
      "sudo apt-get install gcc g++ cmake ninja-build" >&2
    exit 1
  }
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$venv/bin/python" -m venv "$scratch/venv"
build=("$scratch/venv/bin/python" -m pip --quiet --disable-pip-version-check)
"${build[@]}" install "$build_backend"
package=${LLAMA_CPP_PACKAGE:-$scratch/llama_cpp_python-$version.tar.gz}
[ -n "${LLAMA_CPP_PACKAGE:-}" ] || "${build[@]}" download --no-deps --no-build-isolation \
  --no-binary llama-cpp-python -d "$scratch" "llama-cpp-python==$version"
echo "$sha256  $package" | sha256sum --check --status || {
  echo "setup: $package: not the source package of llama-cpp-python $version that was tested" >&2
  exit 1
}

# Without Intel's AMX: on a virtual machine whose processor and kernel have AMX, llama.cpp's AMX kernels end the
# process with "Illegal instruction" as soon as they multiply quantised weights.
without_amx="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
# A compiler that does not know these options does not use AMX either.
cc $without_amx -x c -c -o "$scratch/empty.o" /dev/null 2>/dev/null || without_amx=""
export CFLAGS="${CFLAGS:-} $without_amx" CXXFLAGS="${CXXFLAGS:-} $without_amx"

echo "setup: building llama.cpp into $venv (ten minutes on two cores)"
tar xzf "$package" -C "$scratch"
source=$scratch/llama_cpp_python-$version
# Without the parts for images, and without llama.cpp's own programs.
PATH=$scratch/venv/bin:$PATH "${build[@]}" wheel "$source" --no-deps --no-build-isolation -w "$scratch" \
  -C cmake.define.LLAVA_BUILD=OFF -C 'build.targets=llama;ggml;llama-common'
install=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps)
"${install[@]}" $(grep -v '^llama-cpp-python==' "$pins")
"${install[@]}" --force-reinstall "$scratch"/llama_cpp_python-*.whl
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$site/llama_cpp_converter"
mkdir "$site/llama_cpp_converter"
cp -r "$source"/vendor/llama.cpp/{conversion,gguf-py,LICENSE} "$site/llama_cpp_converter"
rm -f "$venv"/.llama-cpp-*
touch "$stamp"
echo "setup: done"
