"""Bases to codes: the built-in vocabulary beside k-mers, single bases and BPE, in Mb a second of one core.

    python speed/bench_tokenizers.py --genome GENOME.fa.gz --out speed/results/tokenizers.json

All are interleaved in one run, in the processor's own time; the fastest of the rounds counts. The vocabulary's tables
are made first, and their making is timed too where the cache folder (VQDNA_CACHE) has none.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from clock import hand_over, seconds

from vqdna.genome import read_sequences
from vqdna.tokenizers import load_tokenizer

SPECS = ("small", "nucleotide", "kmer:3", "kmer:6", "kmer:6:6")
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genome", required=True, help="FASTA of a genome.")
    parser.add_argument("--bpe", action="append", default=[], help="Folder of a trained BPE.")
    parser.add_argument("--vocabulary", action="append", default=[], help="Folder of another vocabulary.")
    parser.add_argument("--most-bases", type=int, default=12_000_000)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    rows, num_bases = [], 0
    for sequence in read_sequences(options.genome):
        rows.append(sequence.base_ids[: options.most_bases - num_bases])
        num_bases += len(rows[-1])
        if num_bases >= options.most_bases:
            break
    whole = load_tokenizer("small")
    started, started_here = time.perf_counter(), time.process_time()
    whole.make_tables()
    made = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - started_here}
    torch.set_num_threads(1)
    tokenizers = {spec: load_tokenizer(spec) for spec in SPECS}
    tokenizers["small, five coarse levels"] = whole.with_levels(5)
    tokenizers |= {f"bpe:{Path(folder).name}": load_tokenizer(f"bpe:{folder}") for folder in options.bpe}
    tokenizers |= {f"vq:{Path(folder).name}": load_tokenizer(f"vq:{folder}") for folder in options.vocabulary}
    rates: dict[str, list[float]] = {name: [] for name in tokenizers}
    for number in range(ROUNDS + 1):
        for name, tokenizer in tokenizers.items():
            took = seconds(lambda held=tokenizer: [encode(held, row) for row in rows])
            if number:  # the first round compiles loops and reads tables
                rates[name].append(num_bases / 1e6 / took)
    record = {
        "bases": num_bases,
        "genome": Path(options.genome).name,
        "rounds": ROUNDS,
        "processors": os.cpu_count(),
        "tables": made,
        "megabases_per_second": {
            name: {"best": max(own), "median": float(np.median(own))} for name, own in rates.items()
        },
    }
    hand_over(record, options.out)


def encode(tokenizer, row) -> None:
    """Codes of a row, as `encode_sequence` gets them."""
    if tokenizer.codes_of_rows([row]) is None:
        tokenizer.encode(torch.from_numpy(row)[None])


if __name__ == "__main__":
    main()
