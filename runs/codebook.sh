#!/usr/bin/env bash
# The codebook study at the scaled preset: the rows of configs/vocabulary/ablations/, k-mers and BPE, three seeds, probed
# on covid-windows and 13 GUE sets. Resumable; start it twice to use two cores. Some hours in all.
# Usage: runs/codebook.sh DATA_ROOT FOLDER [CELL...]
set -euo pipefail
data="$1" out="$2"
shift 2
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
vqdna study codebook --genomes "$data/genomes/vertebrates" --out "$out" --seeds 3 \
  ${1:+--cells "$@"}
