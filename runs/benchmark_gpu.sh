#!/usr/bin/env bash
# The whole grid where a GPU is at hand: all of GUE's 28 sets that the data root holds, longer pre-training, whole training splits.
# Resumable; four processes share the GPU. Usage: runs/benchmark_gpu.sh DATA_ROOT FOLDER
set -euo pipefail
data="$1" out="$2"
export VQDNA_DATA="$data"
python -c 'import torch, sys; torch.cuda.is_available() or sys.exit("no GPU that torch can use: runs/benchmark.sh is for processors")'
tokenizers=vqdna-views,vqdna-hrq,vqdna-vq,nucleotide,kmer3,kmer6,bpe,hyena,random-init
controls=kmer-logreg,kmer-lightgbm,cnn
vqdna benchmark --suite gue --systems "$tokenizers,$controls" --seeds 3 --budget gpu --workers 4 --out "$out"
vqdna benchmark --suite covid-like --systems "$tokenizers,$controls" --seeds 3 --budget gpu --workers 4 --out "$out"
vqdna report "$out" -o "$out/report.html" --title "Tokenizers of DNA under one budget"
