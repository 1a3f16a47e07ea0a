#!/usr/bin/env bash
# The benchmark where a GPU is at hand: the 13 GUE sets whose splits are complete, whole, three seeds; the variant windows; and by
# the controls the sets without a training split (protocol reduced). Resumable at any kill. Many small processes share the GPU, so
# start NVIDIA's MPS first where you may (`nvidia-cuda-mps-control -d`). Of it only vocabularies and encoders were made on a GPU so
# far, in two and a half minutes of an H200; 14 processes suit 16 cores. Usage: runs/benchmark_gpu.sh DATA_ROOT FOLDER
set -euo pipefail
data="$1" out="$2"
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1
python -c 'import torch, sys; torch.cuda.is_available() or sys.exit("no GPU that torch can use: runs/benchmark.sh is for processors")'
tokenizers=vqdna-views,vqdna-hrq,vqdna-vq,nucleotide,kmer3,kmer6,bpe,hyena,random-init
controls=cnn,kmer-logreg,kmer-lightgbm
genomes=(--genomes "$data/genomes/vertebrates" --genomes "$data/genomes/invertebrates_plants" --genomes "$data/genomes/fungi")
vqdna benchmark --suite gue-13 --systems "$tokenizers,$controls" --seeds 3 --budget whole --workers 14 "${genomes[@]}" --out "$out"
vqdna benchmark --suite covid-like --systems "$tokenizers,$controls" --seeds 3 --budget whole --workers 14 "${genomes[@]}" --out "$out"
vqdna benchmark --suite gue --systems "$controls" --seeds 3 --budget whole --workers 14 --out "$out"
vqdna report "$out" -o "$out/report.html" --title "Tokenizers of DNA under one budget"
