"""Speed of text to base ids, of sequence files and of random windows; `extra_info` holds Mb/s of the best round.

Run: pytest speed/bench_genome.py --benchmark-enable -s -o python_files='bench_*.py' -o python_functions='bench_*'
"""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from vqdna.genome import read_sequences, reverse_complement, to_base_ids
from vqdna.genome.corpus import Corpus, WindowSampler

NUM_BASES = 50_000_000
WINDOW = 1_000
NUM_WINDOWS = 5_000


@pytest.fixture(scope="module")
def letters():
    return np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, NUM_BASES)].tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench_genome")


@pytest.fixture(scope="module")
def fasta(letters, folder):
    path = folder / "genome.fa"
    path.write_bytes(fasta_text(letters, 80, 5))
    return path


@pytest.fixture(scope="module")
def corpus(fasta, folder):
    return Corpus.build([fasta], folder / "cache")


def fasta_text(letters, width, num_records):
    size, records = len(letters) // num_records, []
    for number in range(num_records):
        part = letters[number * size : (number + 1) * size]
        lines = (part[start : start + width] for start in range(0, size, width))
        records.append(b">record%d\n" % number + b"\n".join(lines) + b"\n")
    return b"".join(records)


def measure(benchmark, num_bases, function):
    function()
    benchmark.pedantic(function, rounds=5)
    if benchmark.stats:
        rate = num_bases / 1e6 / benchmark.stats.stats.min
        benchmark.extra_info["Mb/s"] = round(rate)
        print(f"  {rate:.0f} Mb/s")


def count(path):
    return sum(record.base_ids.size for record in read_sequences(path))


def bench_text_to_base_ids(benchmark, letters):
    measure(benchmark, NUM_BASES, lambda: to_base_ids(letters))


def bench_text_to_base_ids_lower_case_with_ambiguity_codes(benchmark, letters):
    text = letters.lower()[:-1] + b"r"
    measure(benchmark, NUM_BASES, lambda: to_base_ids(text))


def bench_reverse_complement(benchmark, letters):
    base_ids = to_base_ids(letters).base_ids
    measure(benchmark, NUM_BASES, lambda: reverse_complement(base_ids))


@pytest.mark.parametrize("width", [60, 80, 100, 10**9])
def bench_fasta(benchmark, letters, folder, width):
    path = folder / f"lines_of_{width}.fa"
    path.write_bytes(fasta_text(letters, width, 5))
    measure(benchmark, NUM_BASES, lambda: count(path))


def bench_fasta_of_records_of_1_kb(benchmark, letters, folder):
    path = folder / "short.fa"
    path.write_bytes(fasta_text(letters[:10_000_000], 80, 10_000))
    measure(benchmark, 10_000_000, lambda: count(path))


def bench_fasta_gzip(benchmark, letters, folder):
    path = folder / "genome.fa.gz"
    path.write_bytes(gzip.compress(fasta_text(letters[:10_000_000], 80, 5), 6))
    measure(benchmark, 10_000_000, lambda: count(path))


def bench_fastq_of_reads_of_150(benchmark, letters, folder):
    reads = (letters[start : start + 150] for start in range(0, 15_000_000, 150))
    path = folder / "reads.fq"
    path.write_bytes(b"".join(b"@r%d\n%s\n+\n%s\n" % (i, read, b"I" * 150) for i, read in enumerate(reads)))
    measure(benchmark, 15_000_000, lambda: count(path))


@pytest.mark.parametrize("both_strands", [True, False])
@pytest.mark.parametrize("batch", [32, 256, NUM_WINDOWS])
def bench_windows(benchmark, corpus, both_strands, batch):
    sampler = WindowSampler(corpus, WINDOW, 0, reverse_complement=both_strands)
    numbers = np.random.default_rng(1).integers(0, 10**9, NUM_WINDOWS)
    starts = range(0, NUM_WINDOWS, batch)
    measure(benchmark, NUM_WINDOWS * WINDOW, lambda: [sampler.windows(numbers[i : i + batch]) for i in starts])


@pytest.mark.parametrize("both_strands", [True, False])
def bench_windows_one_by_one(benchmark, corpus, both_strands):
    sampler = WindowSampler(corpus, WINDOW, 0, reverse_complement=both_strands)
    numbers = np.random.default_rng(1).integers(0, 10**9, NUM_WINDOWS).tolist()
    measure(benchmark, NUM_WINDOWS * WINDOW, lambda: [sampler[i] for i in numbers])
