#!/usr/bin/env bash
# The README's table: HRQ vocabulary and encoder of the `cpu` configurations on vertebrate genomes, fine-tuned on four GUE
# datasets with three seeds, beside k-mer counts with logistic regression and a one-hot CNN. Resumable; some hours on two cores.
# Usage: runs/gue.sh DATA_ROOT FOLDER
set -euo pipefail
data="$1" out="$2"
export VQDNA_DATA="$data"
vqdna vocabulary --config cpu --genomes "$data/genomes/vertebrates" --out "$out/hrq"
vqdna pretrain --config cpu --vocabulary "$out/hrq" --genomes "$data/genomes/vertebrates" --out "$out/encoder"
vqdna benchmark --budget whole --systems kmer-logreg cnn "probe:$out/hrq" "encoder:$out/encoder@cpu" \
  --datasets mouse/3 prom_core_tata mouse/0 prom_300_tata --seeds 3 --out "$out/gue"
vqdna report "$out/hrq" "$out/encoder" "$out/gue" -o "$out/report.html" --summary "$out/results.json" --title "GUE on two cores"
