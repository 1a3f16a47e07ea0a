from __future__ import annotations

import csv
import functools
import io
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from vqdna.errors import InputError
from vqdna.genome.bases import to_base_ids
from vqdna.inference import encode
from vqdna.inference.encode import encode_file
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.encoding import TILE_BASES, encode_sequence
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

TEXTS = {"long": "ACGTTGCA" * 20, "short": "ACG", "one": "A", "unknown": "ACGTNNNNNNACGT"}


@functools.cache
def tiny_tokenizer(stride: int = 1, **options: object) -> VqTokenizer:
    torch.manual_seed(0)
    shape = {"width": 16, "stem_width": 16, "num_blocks": 2, "level_sizes": (8, 16), "bases_per_position": stride}
    vocabulary = VQVAE(VQVAEConfig(**{**shape, **options})).train()
    vocabulary(torch.randint(0, 5, (8, 96), dtype=torch.uint8))
    vocabulary.quantizer.update_codebooks()
    return VqTokenizer(vocabulary)


def random_bases(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, length).astype(np.uint8)


def untiled(tokenizer: VqTokenizer, base_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tokens = tokenizer.encode(torch.from_numpy(base_ids)[None])
    return tokens.codes[0].numpy(), tokens.spans[0].numpy()


@pytest.fixture(scope="module")
def tokenizer() -> VqTokenizer:
    return tiny_tokenizer()


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name} comment\n{text}\n" for name, text in TEXTS.items()))
    return path


def expected_rows(tokenizer: VqTokenizer) -> list[list[str]]:
    rows = []
    for name, text in TEXTS.items():
        codes, spans = untiled(tokenizer, to_base_ids(text).base_ids)
        rows += [[name, *map(str, [*span, *levels])] for span, levels in zip(spans, codes, strict=True)]
    return rows


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("tile_bases", [1, 7, 48])
def test_tiled_codes_and_spans_are_those_of_the_untiled_pass(stride, tile_bases):
    tokenizer = tiny_tokenizer(stride)
    for length in (1, 2, 3, 47, 48, 49, 95, 96, 97, 144, 200):
        base_ids = random_bases(length)
        codes, spans = encode_sequence(tokenizer, base_ids, tile_bases=tile_bases)
        expected_codes, expected_spans = untiled(tokenizer, base_ids)
        assert np.array_equal(codes, expected_codes), (stride, tile_bases, length)
        assert np.array_equal(spans, expected_spans)


def test_the_paper_s_depth_needs_more_context_and_gets_it():
    tokenizer = tiny_tokenizer(num_blocks=6)
    base_ids = random_bases(300)
    assert np.array_equal(encode_sequence(tokenizer, base_ids, tile_bases=16)[0], untiled(tokenizer, base_ids)[0])


def test_a_sequence_longer_than_the_default_tile(tokenizer):
    base_ids = random_bases(2 * TILE_BASES + 5)
    assert np.array_equal(encode_sequence(tokenizer, base_ids)[0], untiled(tokenizer, base_ids)[0])


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("length", [0, 1, 4, 60, 61])
def test_spans_tile_the_sequence(stride, length):
    codes, spans = encode_sequence(tiny_tokenizer(stride), random_bases(length), tile_bases=9)
    assert len(codes) == len(spans) == -(-length // stride)
    assert [base for start, end in spans for base in range(start, end)] == list(range(length))


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t"), (".bed", "\t")])
def test_text_tables_read_back(tokenizer, fasta, tmp_path, suffix, delimiter):
    output = tmp_path / f"codes{suffix}"
    encode_file(tokenizer, str(fasta), str(output))
    rows = list(csv.reader(io.StringIO(output.read_text()), delimiter=delimiter))
    if suffix != ".bed":  # a BED file has no header
        assert rows.pop(0) == ["name", "start", "end", "level_0", "level_1"]
    assert rows == expected_rows(tokenizer)


def test_parquet_reads_back(tokenizer, fasta, tmp_path):
    output = tmp_path / "codes.parquet"
    totals = encode_file(tokenizer, str(fasta), str(output))
    columns = pyarrow.parquet.read_table(output).to_pydict()
    assert list(columns) == ["name", "start", "end", "level_0", "level_1"]
    assert [list(map(str, row)) for row in zip(*columns.values(), strict=True)] == expected_rows(tokenizer)
    num_bases = sum(map(len, TEXTS.values()))
    assert totals == {"sequences": len(TEXTS), "bases": num_bases, "ambiguous": 0, "codes": 2 * num_bases}


@pytest.mark.parametrize("spec", ["small", "nucleotide", "kmer:5", "kmer:4:3", "tiny"])
def test_a_long_sequence_is_written_piece_by_piece(spec, tmp_path, monkeypatch):
    own = tiny_tokenizer() if spec == "tiny" else load_tokenizer(spec)
    source, letters = tmp_path / "genome.fa", "".join("ACGTN"[base] for base in random_bases(1003))
    source.write_text(f">one\n{letters}\n>two\n{letters[:37]}\n")
    encode_file(own, str(source), str(tmp_path / "whole.tsv"))
    monkeypatch.setattr(encode, "BASES_AT_A_TIME", 60)
    totals = encode_file(own, str(source), str(tmp_path / "pieces.tsv"))
    assert (tmp_path / "pieces.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()
    assert (totals["sequences"], totals["bases"]) == (2, 1040)


def test_a_dash_writes_rows_to_standard_output_and_reads_standard_input(tokenizer, fasta, tmp_path, monkeypatch):
    with (tmp_path / "written").open("w") as stdout, fasta.open() as stdin:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stdin", stdin)
        encode_file(tokenizer, "-", "-")
        assert not stdout.buffer.closed  # others may still want to print
    lines = (tmp_path / "written").read_text().splitlines()
    assert lines[0].split("\t") == ["name", "start", "end", "level_0", "level_1"]
    assert [line.split("\t") for line in lines[1:]] == expected_rows(tokenizer)


def test_gaps_are_dropped_on_request(tokenizer, tmp_path):
    source = tmp_path / "aligned.fa"
    source.write_text(">a\nAC--GT\n")
    with pytest.raises(InputError, match=r"aligned.fa:2"):
        encode_file(tokenizer, str(source), str(tmp_path / "codes.csv"))
    assert encode_file(tokenizer, str(source), str(tmp_path / "codes.csv"), gaps="drop")["bases"] == 4


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".bed", ".parquet"])
def test_a_fault_in_the_second_record_leaves_no_file_and_keeps_an_older_one(tokenizer, tmp_path, suffix):
    source, output = tmp_path / "bad.fa", tmp_path / f"codes{suffix}"
    source.write_text(">a\nACGT\n>b\nACGT!\n")
    with pytest.raises(InputError, match=r"bad.fa:4"):
        encode_file(tokenizer, str(source), str(output))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.fa"]
    output.write_bytes(b"older")
    with pytest.raises(InputError):
        encode_file(tokenizer, str(source), str(output))
    assert output.read_bytes() == b"older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.fa", output.name]


def test_an_unknown_format_gets_the_nearest_one_before_any_work(tokenizer, tmp_path):
    with pytest.raises(InputError, match=r"'\.parqet'.*did you mean '\.parquet'"):
        encode_file(tokenizer, str(tmp_path / "absent.fa"), str(tmp_path / "codes.parqet"))
    assert list(tmp_path.iterdir()) == []
