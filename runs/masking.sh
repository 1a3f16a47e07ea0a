#!/usr/bin/env bash
# What is masked, how much of it, what is predicted, and what the other questions add: one short pre-training of `tiny` for each
# choice, all else alike, judged by fine-tuning on seven GUE datasets (dev splits, one seed). Resumable; its study may be
# started twice. An hour and a quarter on one core. Usage: runs/masking.sh DATA_ROOT VOCABULARY FOLDER
set -euo pipefail
data="$1" vocabulary="$2" out="$3"
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

changes=(contrast.fraction=0.5)

run() {
  local name="$1"
  local changes=("${@:2}")
  vqdna pretrain --config tiny --vocabulary "$vocabulary" --genomes "$data/genomes" --out "$out/$name" -q \
    --set data.repeated_names=number training.steps=200 training.evaluate_every=0 training.save_every=0 "${changes[@]}"
}
run preset
for unit in codes spans bases; do run "unit_$unit" "masking.unit=$unit"; done
for percent in 20 25 30; do run "fraction_$percent" "masking.fraction=0.$percent"; done
for target in levels joint; do run "target_$target" "target=$target"; done
run learned_embedding fixed_embedding=false
run masked_alone contrast.fraction=0
run half_shuffled contrast.fraction=0 shuffling.fraction=0.5
run all_cropped contrast.fraction=1
for percent in 02 20; do run "substituted_$percent" "contrast.substituted=0.$percent"; done

rows=(preset unit_codes unit_spans unit_bases fraction_20 fraction_25 fraction_30 target_levels target_joint learned_embedding
  masked_alone half_shuffled all_cropped substituted_02 substituted_20)
vqdna study pretraining --encoders "random:$out/preset" "${rows[@]/#/$out/}" \
  --datasets tf/0 tf/2 tf/4 mouse/0 mouse/4 prom_core_all prom_core_notata \
  --seeds 1 --max-train 500 --max-dev 1000 --config small --out "$out/finetuned" \
  --set training.epochs=3 training.batch_size=16 reverse_complement.average=false
python runs/collect_studies.py masking "$out" "$out/masking.json"
