#!/usr/bin/env bash
# Species classification at 1k to 450k bases on the genomes of the data root: the tokenizers and a Hyena encoder are trained
# without labels on genomes of which none is in a species set, then the study, resumable; start it twice to use two cores.
# Usage: runs/species.sh DATA_ROOT FOLDER [OPTION...], options as `vqdna study species` takes them
set -euo pipefail
data="$1" out="$2"
shift 2
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
apart=("$data/genomes/"vertebrates/{canis_familiaris,equus_caballus,oryctolagus_cuniculus,gallus_gallus,macaca_mulatta}.fa.gz \
  "$data/genomes/"invertebrates_plants/{Drosophila_melanogaster,Caenorhabditis_elegans,Arabidopsis_thaliana}_1pct.fa.gz \
  "$data/genomes/"prokaryotes/{Caulobacter_crescentus_NA1000,Clostridium_perfringens_ATCC_13124}.fa.gz \
  "$data/genomes/"prokaryotes/{Corynebacterium_glutamicum_MB001,Methanobacterium_sp_MB1_archaeon}.fa.gz \
  "$data/genomes/"prokaryotes/{Salmonella_sp_SSDFZ54,Yersinia_kristensenii_IP6945}.fa.gz)
vqdna vocabulary --config species --genomes "${apart[@]}" --set data.repeated_names=number --out "$out/trained/hrq"
vqdna vocabulary --config species_vq --genomes "${apart[@]}" --set data.repeated_names=number --out "$out/trained/vq"
[ -d "$out/trained/bpe" ] || vqdna bpe --genomes "${apart[@]}" --out "$out/trained/bpe" --vocabulary-size 1024 --max-bases 2000000
vqdna pretrain --config rival_hyena --tokenizer nucleotide --genomes "${apart[@]}" --out "$out/trained/hyena"
vqdna study species --out "$out/study" --tokenizer "vqdna-hrq=vq:$out/trained/hrq" --tokenizer "vqdna-vq=vq:$out/trained/vq" \
  --tokenizer "bpe=bpe:$out/trained/bpe" --encoder "hyena=$out/trained/hyena" --encoder small=small "$@"
