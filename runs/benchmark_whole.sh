#!/usr/bin/env bash
# Whole training splits of the 13 GUE sets that are complete: what tokens alone are worth (logistic regression on each tokenizer's
# codes), k-mer counts, an encoder over the vocabulary that ships, the convolutional control with and without the vocabulary's words
# (85 and 28 core minutes a seed), and averages of these, three seeds. Some hours on two CPU cores, many of them for the two
# vocabularies, which a GPU learns in a minute. Resumable at any kill. Usage: runs/benchmark_whole.sh DATA_ROOT FOLDER
set -euo pipefail
data="$1" out="$2"
export VQDNA_DATA="$data" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
genomes=(--genomes "$data/genomes/vertebrates" --genomes "$data/genomes/invertebrates_plants" --genomes "$data/genomes/fungi")
for name in rival_hrq rival_vq; do
  vqdna vocabulary "${genomes[@]}" --config "$name" --set training.steps=2000 --out "$out/$name"
done
vqdna bpe "${genomes[@]}" --out "$out/bpe"
learned="probe:small,probe:vq:$out/rival_hrq,probe:vq:$out/rival_vq,probe:bpe:$out/bpe"
made=probe:kmer:3,probe:kmer:6:6,probe:nucleotide
vqdna benchmark --suite gue-13 --systems "$learned,$made,kmer-logreg,kmer-lightgbm" --seeds 3 --budget whole --workers 2 --out "$out"
vqdna benchmark --suite gue-13 --systems vqdna-views --seeds 3 --budget whole --workers 2 "${genomes[@]}" --out "$out"
vqdna benchmark --suite gue-13 --systems cnn,cnn-words:small --seeds 3 --budget whole --workers 2 --out "$out"
vqdna benchmark --suite gue-13 --systems cnn-words:kmer:6 --seeds 1 --budget whole --workers 2 --out "$out"
windows="probe:small,kmer-logreg,kmer-lightgbm,cnn,cnn-words:small,encoder:small@study"
vqdna benchmark --suite covid-like --systems "$windows" --seeds 1 --budget whole --workers 2 --out "$out"
averages=average:cnn-words:small+vqdna-views,average:cnn+vqdna-views,average:cnn-words:small+cnn+vqdna-views
averages+=,average:cnn-words:small+cnn+kmer-lightgbm+vqdna-views,average:cnn+kmer-lightgbm+kmer-logreg
vqdna benchmark --suite gue-13 --systems "$averages" --seeds 3 --budget whole --workers 2 "${genomes[@]}" --out "$out"
