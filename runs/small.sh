#!/usr/bin/env bash
# The model that ships: vocabulary, encoder, the study of what its pre-training is worth, and the packed folder.
# Resumable; two to three hours on two CPU cores, start it twice at the study to use both. Usage: runs/small.sh DATA_ROOT FOLDER
set -euo pipefail
data="$1" out="$2"
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
vqdna vocabulary --config small --genomes "$data/genomes" --out "$out/views"
vqdna pretrain --config shipped --vocabulary "$out/views" --genomes "$data/genomes" --out "$out/small"
vqdna study pretraining --encoders "random:$out/small/snapshot-600" "$out/small" --seeds 3 --max-train 500 --config small \
  --set training.epochs=3 training.batch_size=16 reverse_complement.average=false --out "$out/worth"
vqdna study pretraining --encoders "random:$out/small/snapshot-600" "$out"/small/snapshot-* "$out/small" --seeds 1 --max-train 500 \
  --datasets mouse/0 mouse/2 mouse/4 tf/4 --config small \
  --set training.epochs=3 training.batch_size=16 reverse_complement.average=false --out "$out/curve"
limits=(
  --limit "That it beats fresh weights after fine-tuning is not shown yet (docs/decisions/0009-pretraining.md)."
  --limit "It has seen 20 million bases on one processor core, a ten-thousandth of what the paper's encoder saw: a starting point and an example, no state of the art."
  --limit "Two thirds of what it read were vertebrates; plants, insects and worms are hardly there."
  --limit "Its layers see 2,048 bases to either side; what is farther apart meets only in the pooling of a head."
  --limit "Its coarse codes are alike on both strands but for the 3-base level; a base inside a position is told apart by that level and the convolution."
  --limit "Masked bases are guessed hardly better than by composition; do not use it to score variants without measuring first."
)
vqdna pack --vocabulary "$out/views" --encoder "$out/small" --study "$out/worth" --out "$out/packed/small" "${limits[@]}"
vqdna report "$out/small" "$out/worth" "$out/curve" -o "$out/report.html" --title "The model that ships"
