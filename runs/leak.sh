#!/usr/bin/env bash
# How much of a masked code its neighbours give away: one short pre-training per way of masking (docs/decisions/0003).
# Usage: runs/leak.sh VOCABULARY GENOMES FOLDER
set -euo pipefail
vocabulary="$1" genomes="$2" out="$3"
for unit in codes spans bases; do
  vqdna pretrain --config demo --vocabulary "$vocabulary" --genomes "$genomes" --out "$out/$unit" --set masking.unit=$unit
done
vqdna report "$out" -o "$out/report.html" --summary "$out/results.json" --title "Leak through the vocabulary"
