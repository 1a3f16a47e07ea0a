#!/usr/bin/env bash
# The model that ships: its encoder over the shipped vocabulary, the study of what its pre-training is worth, and the packed folder.
# Resumable; about two hours on two CPU cores: the study may be started twice, to use both. Usage: runs/small.sh DATA_ROOT FOLDER
# A vocabulary of one's own: vqdna vocabulary --config small --genomes "$data/genomes" --out "$out/views", and its folder below.
set -euo pipefail
data="$1" out="$2" vocabulary="${3:-small}"
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
vqdna pretrain --config shipped --vocabulary "$vocabulary" --genomes "$data/genomes" --out "$out/small"
study=(--max-train 500 --max-dev 1000 --config small --set training.epochs=3 training.batch_size=16 reverse_complement.average=false)
fresh="random:$out/small/snapshot-1250" # the same architecture; any snapshot tells it
controls=(probe:kmer:4 probe:kmer:5 probe:kmer:6 probe:vq:src/vqdna/weights/small/vocabulary)
vqdna study pretraining --encoders "${controls[@]}" "$fresh" "$out/small" --seeds 3 --out "$out/worth" "${study[@]}"
vqdna study pretraining --encoders "$out"/small/snapshot-{1250,2500,3750} --seeds 1 --out "$out/worth" "${study[@]}"
limits=(
  --limit "It has the shape of the preset tiny, the largest that two hours of two processor cores train; the preset small, seven times as large, waits for a GPU."
  --limit "It has seen 41 million bases, a six-thousandth of what the paper's encoder saw: a starting point for tasks with few examples, no state of the art."
  --limit "Two thirds of what it read were vertebrates; plants, insects and worms are hardly there."
  --limit "Its layers see 1,024 bases to either side; what is farther apart meets only in the pooling of a head."
  --limit "Its coarse codes are alike on both strands but for the 3-base level; a base inside a position is told apart by that level and the convolution."
  --limit "Masked bases are guessed hardly better than by composition; do not use it to score variants without measuring first."
)
vqdna pack --vocabulary "$vocabulary" --encoder "$out/small" --study "$out/worth" --out "$out/packed/small" "${limits[@]}"
vqdna report "$out/small" "$out/worth" -o "$out/report.html" --title "The model that ships"
python runs/collect_studies.py pretraining "$out" "$out/pretraining.json"
