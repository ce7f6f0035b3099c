#!/usr/bin/env bash
# Run a study to its figures and its report, and say where they are.
# Usage: tools/demo.sh STUDY CORES
set -euo pipefail
study=$1 cores=$2
started=$SECONDS
snakemake --cores "$cores" --quiet rules --config "study=$study"
folder=results/$(sed -n 's/^study: *//p' "$study")
snakemake --cores 1 --quiet all --config "study=$study" --report "$folder/report.html"
echo
echo "Done in $((SECONDS - started)) s."
echo "  at a glance: $folder/summary.html"
echo "  explorer:    $folder/explorer.html"
echo "  report:      $folder/report.html"
echo "  figures:     $folder/figures/"
echo "  tables:      $folder/tables/"
