#!/usr/bin/env bash
# Generate the completions of a study on a machine with a GPU, and pack what the other stages need.
#
# Usage: [TARGETS="generate_aa fidelity_all"] benchmarks/gpu_study.sh STUDY ARCHIVE.tar.gz [BENCHMARK]
# generate_aa also generates the second runs of the A/A test; fidelity_all needs the GPU as well.
# Elsewhere, in a checkout of the same commit: tar xzf ARCHIVE.tar.gz && snakemake --config study=STUDY
# judges the completions and makes tables and figures; nothing is generated again.
set -euo pipefail
cd "$(dirname "$0")/.."
study=$1 archive=$2
config=(study="$study")
[ -n "${3:-}" ] && config+=("benchmark_files={humaneval_plus: $3}")
nvidia-smi --query-gpu=name,driver_version,power.limit,clocks.sm,temperature.gpu --format=csv
read -ra targets <<<"${TARGETS:-generate_all}"
python3 -m snakemake "${targets[@]}" --cores all --quiet rules --config "${config[@]}" || failed=$?
folder=results/$(sed -n 's/^study: *//p' "$study")
tar czf "$archive" --exclude='*/weights' "$folder" .snakemake/metadata
exit "${failed:-0}"
