#!/usr/bin/env bash
# The benchmark on two CPU cores: every tokenizer with an encoder pre-trained alike, and the controls, on the 13 GUE sets whose
# splits are complete, three seeds; then the sets without a training split (protocol reduced) and the variant windows.
# Resumable at any kill; some hours. Usage: runs/benchmark.sh DATA_ROOT FOLDER
set -euo pipefail
data="$1" out="$2"
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
tokenizers=vqdna-views,vqdna-hrq,vqdna-vq,nucleotide,kmer3,kmer6,bpe,hyena,random-init
controls=kmer-logreg,kmer-lightgbm,cnn
longer=vqdna-views:4,cnn:15 # beyond the budget of fine-tuning, seed 0 alone
vqdna benchmark --suite gue-13 --systems "$tokenizers,$controls" --seeds 3 --budget cpu --workers 2 --out "$out" > /dev/null
vqdna benchmark --suite gue-13 --systems "$longer" --seeds 1 --budget cpu --workers 2 --out "$out" > /dev/null
vqdna benchmark --suite covid-like --systems "$tokenizers,$controls,probe:small" --seeds 3 --budget cpu --workers 2 --out "$out" > /dev/null
vqdna benchmark --suite gue --systems "$tokenizers,$controls,probe:small" --seeds 3 --budget cpu --workers 2 --out "$out" > /dev/null
vqdna benchmark --suite gue --systems cnn:15 --seeds 1 --budget cpu --workers 2 --out "$out" > /dev/null
vqdna report "$out" -o "$out/report.html" --title "Tokenizers of DNA under one budget"
