#!/usr/bin/env bash
# What is masked, how much of it, what is predicted, and what shuffling adds: one short pre-training of `tiny` for each choice,
# all else alike, judged by fine-tuning on four GUE datasets (dev splits). Resumable; its study may be started twice.
# About half an hour on one core. Usage: runs/masking.sh DATA_ROOT VOCABULARY FOLDER
set -euo pipefail
data="$1" vocabulary="$2" out="$3"
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
mlm=shuffling.fraction=0
changes=(shuffling.fraction=0)

run() {
  vqdna pretrain --config tiny --vocabulary "$vocabulary" --genomes "$data/genomes" --out "$out/$1" \
    --set data.repeated_names=number training.steps=300 training.evaluate_every=0 training.save_every=0 "${changes[@]}"
}
run masked
for unit in codes spans bases; do changes=("$mlm" "masking.unit=$unit"); run "unit_$unit"; done
for target in levels joint; do changes=("$mlm" "target=$target"); run "target_$target"; done
for percent in 20 25 30; do changes=("$mlm" "masking.fraction=0.$percent"); run "fraction_$percent"; done
changes=("$mlm" fixed_embedding=false); run learned_embedding
changes=(shuffling.fraction=0.5); run half_shuffled
changes=(shuffling.fraction=0.99); run nearly_all_shuffled

rows=(masked unit_codes unit_spans unit_bases target_levels target_joint fraction_20 fraction_25 fraction_30
  learned_embedding half_shuffled nearly_all_shuffled)
vqdna study pretraining --encoders "random:$out/masked" "${rows[@]/#/$out/}" --datasets mouse/0 mouse/2 mouse/4 tf/4 \
  --seeds 1 --max-train 500 --config small --out "$out/finetuned" \
  --set training.epochs=3 training.batch_size=16 reverse_complement.average=false
