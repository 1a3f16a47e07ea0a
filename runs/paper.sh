#!/usr/bin/env bash
# The paper's three stages at its own size: HRQ vocabulary (17 M parameters), BERT-Base encoder (86 M), LoRA on the GUE
# datasets with three seeds, then one page about it. Resumable: the same command goes on where it was stopped.
#
# Usage: [NPROC=8] [PASS=32] [SEEDS=3] runs/paper.sh CORPUS DATA_ROOT FOLDER
#        SMOKE=1 runs/paper.sh simulated simulated FOLDER
#
# CORPUS     a FASTA file or a folder of them, one for each species; or train.txt of DNABERT-2's corpus, on which the paper
#            trained: the file linked from section "Pre-Training" of https://github.com/MAGICS-LAB/DNABERT_2. It has a
#            thousand bases a line and does not say of which species; it is cut into FASTA files below FOLDER.
# DATA_ROOT  folder that holds gue/, the contents of the file linked from section "GUE" there: gue/EMP/H3/train.csv and so
#            on. Datasets that are not there are left out, and named.
# NPROC      processes, one for each GPU (default: all GPUs, or 1 without any).
# PASS       sequences in one pass on one GPU; the paper's batches of 1024 and 2048 are made of as many passes as it
#            takes. `vqdna vocabulary --plan` and `vqdna pretrain --plan` say what fits.
# SMOKE=1    the same commands on two CPU processes, tiny, on simulated genomes: minutes, to see that everything runs.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,/^set /{/^#/!d;s/^# \{0,1\}//;p;}' "$0"; exit 2; }
corpus="$1" data="$2" out="$3"
seeds="${SEEDS:-3}" pass="${PASS:-32}"
stage1_batch=1024 stage2_batch=2048 stage3_batch=32
stage1=() stage2=() stage3=()
mkdir -p "$out"

if [ -n "${SMOKE:-}" ]; then
  seeds=1 pass=2 NPROC=2
  stage1_batch=8 stage2_batch=8
  small=(data.window=128 data.evaluation_windows=4 training.steps=4 training.evaluate_every=2 training.save_every=2
    training.precision=fp32)
  stage1=("${small[@]}" "training.batch_size=$stage1_batch" "model.level_sizes=[16, 32]" model.width=24 model.stem_width=16)
  stage2=("${small[@]}" "training.batch_size=$stage2_batch" backbone.hidden_size=32 backbone.num_hidden_layers=2
    backbone.num_attention_heads=2 backbone.intermediate_size=64)
  stage3=(training.precision=fp32)
  [ -d "$out/simulated" ] || vqdna simulate --out "$out/simulated" --species 2 --bases 20000 --sequences 120
  corpus="$out/simulated/genomes" data="$out/simulated/data"
  mkdir -p "$data/gue/mouse/1"
  cp "$out"/simulated/promoter/*.csv "$data/gue/mouse/1"
fi

[ -d "$data/gue" ] || { echo "runs/paper.sh: no folder $data/gue" >&2; exit 2; }
nproc="${NPROC:-$({ nvidia-smi --list-gpus 2>/dev/null || true; } | wc -l)}"
[ "$nproc" -gt 0 ] || nproc=1

vqdna_on_ranks() { torchrun --standalone --nproc-per-node "$nproc" -m vqdna "$@"; }

passes() { # batch -> passes on each process that make it
  local each=$((nproc * pass))
  if [ $(($1 % each)) -ne 0 ]; then
    echo "runs/paper.sh: batches of $1 cannot be made of NPROC x PASS = $nproc x $pass sequences; choose another PASS" >&2
    exit 2
  fi
  echo $(($1 / each))
}

stage1_passes=$(passes "$stage1_batch")
stage2_passes=$(passes "$stage2_batch")

if [ -f "$corpus" ] && [ "${corpus%.txt}" != "$corpus" ]; then
  if [ ! -d "$out/corpus" ]; then
    echo "== $corpus to FASTA"
    rm -rf "$out/corpus.part"
    mkdir "$out/corpus.part"
    awk -v folder="$out/corpus.part" 'NR % 1000000 == 1 { close(file); file = sprintf("%s/part-%02d.fa", folder, n++) }
      { print ">" NR "\n" $0 > file }' "$corpus"
    mv "$out/corpus.part" "$out/corpus"
  fi
  corpus="$out/corpus"
fi

echo "== stage 1: the HRQ vocabulary"
vqdna_on_ranks vocabulary --config paper_hrq --genomes "$corpus" --out "$out/vocabulary" \
  --set "training.gradient_accumulation=$stage1_passes" "${stage1[@]}"

echo "== stage 2: the encoder"
vqdna_on_ranks pretrain --config paper --vocabulary "$out/vocabulary" --genomes "$corpus" --out "$out/encoder" \
  --set "training.gradient_accumulation=$stage2_passes" "${stage2[@]}"

left_out=()
finetune() { # epochs, then folders below gue/
  local epochs="$1" name folder ending split seed splits
  shift
  for name in "$@"; do
    folder="$data/gue/$name"
    ending=csv
    [ -f "$folder/train.csv" ] || ending=csv.gz
    if [ ! -f "$folder/train.$ending" ] || [ ! -f "$folder/test.$ending" ]; then
      left_out+=("$name")
      continue
    fi
    splits=(--train "$folder/train.$ending" --test "$folder/test.$ending")
    [ -f "$folder/dev.$ending" ] && splits+=(--dev "$folder/dev.$ending")
    for ((seed = 0; seed < seeds; seed++)); do
      vqdna_on_ranks finetune --config paper --encoder "$out/encoder" "${splits[@]}" --seed "$seed" \
        --out "$out/gue/${name//\//-}-$seed" --set "training.epochs=$epochs" "${stage3[@]}"
    done
  done
}

# Epochs are those of DNABERT-2's scripts; the 1000 steps of its mouse datasets are counted in epochs.
echo "== stage 3: LoRA on GUE"
[ $((stage3_batch % nproc)) -eq 0 ] || nproc=1
finetune 3 EMP/H3 EMP/H3K14ac EMP/H3K36me3 EMP/H3K4me1 EMP/H3K4me2 EMP/H3K4me3 EMP/H3K79me3 EMP/H3K9ac EMP/H4 EMP/H4ac
finetune 3 tf/0 tf/1 tf/2 tf/3 tf/4
finetune 5 mouse/0
finetune 1 mouse/1
finetune 12 mouse/2
finetune 17 mouse/3
finetune 2 mouse/4
finetune 4 prom/prom_300_all prom/prom_300_notata prom/prom_core_all prom/prom_core_notata
finetune 10 prom/prom_300_tata prom/prom_core_tata
finetune 5 splice/reconstructed
finetune 8 virus/covid
[ ${#left_out[@]} -eq 0 ] || echo "left out, for they have no train and test in $data/gue: ${left_out[*]}"

echo "== report"
vqdna report "$out/vocabulary" "$out/encoder" "$out/gue" -o "$out/report.html" --summary "$out/results.json" \
  --title "The paper's recipe"
