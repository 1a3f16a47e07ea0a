#!/usr/bin/env bash
# All three stages at small size, each with the rivals it is to be compared with, then one page about it.
# Usage: runs/demo.sh [FOLDER]. Real small genomes and GUE mouse/3 where there is a data root, else simulated ones.
set -euo pipefail
out="${1:-demo}"
started=$SECONDS
mkdir -p "$out"
data="${VQDNA_DATA:-}"
[ -z "$data" ] && [ -d ../shared/data ] && data=../shared/data

if [ -n "$data" ] && [ -d "$data/small" ] && [ -f "$data/gue/mouse/3/train.csv.gz" ]; then
  source="real small genomes and GUE mouse/3 from the data root"
  genomes="$data/small"
  task="$data/gue/mouse/3" ending=csv.gz
else
  source="simulated genomes and their promoter task (no data root)"
  vqdna simulate --out "$out/simulated"
  genomes="$out/simulated/genomes"
  task="$out/simulated/promoter" ending=csv
fi
echo "demo on $source"
splits=(--train "$task/train.$ending" --dev "$task/dev.$ending" --test "$task/test.$ending")

echo "== stage 1: two vocabularies, VQ and HRQ"
vqdna vocabulary --config demo_vq --genomes "$genomes" --out "$out/runs/vocabulary-vq"
vqdna vocabulary --config demo --genomes "$genomes" --out "$out/runs/vocabulary-hrq"
echo "== stage 2: a genome encoder over the HRQ vocabulary"
vqdna pretrain --config demo --vocabulary "$out/runs/vocabulary-hrq" --genomes "$genomes" --out "$out/runs/encoder"
echo "== stage 3: LoRA fine-tuning on a labelled task"
vqdna finetune --config demo --encoder "$out/runs/encoder" "${splits[@]}" --out "$out/runs/finetune"
echo "== beside it: logistic regression on k-mer counts and on the codes alone"
vqdna probe --tokenizer kmer:4 "${splits[@]}" --out "$out/runs/probe-kmer4"
vqdna probe --tokenizer kmer:6 "${splits[@]}" --out "$out/runs/probe-kmer6"
vqdna probe --vocabulary "$out/runs/vocabulary-vq" "${splits[@]}" --out "$out/runs/probe-vq"
vqdna probe --vocabulary "$out/runs/vocabulary-hrq" "${splits[@]}" --out "$out/runs/probe-hrq"
echo "== report"
vqdna report "$out/runs" -o "$out/report.html" --summary "$out/results.json" --title "VQDNA demo: $source"
echo "done in $((SECONDS - started)) s; open $out/report.html"
