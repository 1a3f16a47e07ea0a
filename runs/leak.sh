#!/usr/bin/env bash
# How much of a masked code its neighbours give away: one short pre-training per way of masking (docs/decisions/0003).
# Usage: runs/leak.sh VOCABULARY GENOMES FOLDER
set -euo pipefail
vocabulary="$1" genomes="$2" out="$3"
common=(--config demo --vocabulary "$vocabulary" --genomes "$genomes")
vqdna pretrain "${common[@]}" --out "$out/codes" --set masking.unit=codes
vqdna pretrain "${common[@]}" --out "$out/spans" --set masking.unit=spans
vqdna pretrain "${common[@]}" --out "$out/bases" --set masking.unit=bases
vqdna report "$out" -o "$out/report.html" --summary "$out/results.json" --title "Leak through the vocabulary"
