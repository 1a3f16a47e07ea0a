#!/usr/bin/env bash
# The vocabulary of configs/vocabulary/views.yaml learned from all genomes of the data root, and its probes beside k-mers on
# the variant windows and the 13 GUE sets with complete splits, at no more dimensions than 6-mers have.
# Resumable; about 40 minutes on one core. Usage: runs/vocabulary.sh DATA_ROOT FOLDER
set -euo pipefail
data="$1" out="$2"
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
vqdna vocabulary --config views --genomes "$data/genomes" --out "$out/views"
vqdna benchmark --budget whole --systems kmer-logreg kmer-logreg:6 "probe:$out/views@4101" \
  --datasets covid-windows tf/0 tf/1 tf/2 tf/3 tf/4 mouse/0 mouse/2 mouse/3 mouse/4 \
  prom_core_all prom_core_notata prom_core_tata prom_300_tata \
  --seeds 1 --out "$out/views_probes"
