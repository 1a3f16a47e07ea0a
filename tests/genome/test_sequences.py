from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqdna.errors import InputError
from vqdna.genome import streams
from vqdna.genome.bases import from_base_ids
from vqdna.genome.sequences import read_sequences

FASTA = b">chr1 first contig\nACGT\nAC\n>chr2\nGGNN\n"
FASTQ = b"@r1 lane 1\nACGT\n+\nIIII\n@r2\nGG\n+r2\n@>\n"


def read(path, **options):
    return [(record.name, from_base_ids(record.base_ids)) for record in read_sequences(path, **options)]


def written(folder, data, name="x.fa"):
    path = folder / name
    path.write_bytes(data)
    return path


def bgzipped(data, block_size=7):
    """Blocks as bgzip writes them: gzip members with their size in an extra field, then an empty one."""
    members = []
    for start in [*range(0, len(data), block_size), len(data)]:
        part = data[start : start + block_size]
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(part) + deflate.flush()
        head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
        members.append(head + body + struct.pack("<2I", zlib.crc32(part), len(part)))
    return b"".join(members)


def test_fasta_by_hand(tmp_path):
    assert read(written(tmp_path, FASTA)) == [("chr1", "ACGTAC"), ("chr2", "GGNN")]


def test_fastq_by_hand_with_qualities_that_look_like_headers(tmp_path):
    assert read(written(tmp_path, FASTQ)) == [("r1", "ACGT"), ("r2", "GG")]


@pytest.mark.parametrize("data", [FASTA, FASTQ])
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.rstrip(b"\n"),
        lambda data: b"\n\r\n" + data,
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\n\n"),
        lambda data: data.replace(b"\n", b"\r\n\r\n") + b"\r\n\r\n",
        gzip.compress,
        bgzipped,
        lambda data: gzip.compress(data[:9]) + gzip.compress(b"") + gzip.compress(data[9:]),
        lambda data: gzip.compress(data) + b"\0" * 512,
    ],
    ids=["crlf", "no last line end", "blank first", "bom", "blank", "blank crlf", "gzip", "bgzip", "members", "padded"],
)
def test_the_same_records_in_every_wrapping(tmp_path, data, change):
    assert read(written(tmp_path, change(data))) == read(written(tmp_path, data, "plain"))


@pytest.mark.parametrize(
    "data",
    [FASTA, FASTQ, gzip.compress(FASTA), bgzipped(FASTQ)],
    ids=["fasta", "fastq", "gzip", "bgzip"],  # a gzip header holds the time: as an id it would differ between workers
)
def test_standard_input(tmp_path, monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
    assert read("-") == read(written(tmp_path, data))


def test_standard_input_through_a_real_pipe():
    program = "from vqdna.genome import read_sequences as r; print([(s.name, s.base_ids.tolist()) for s in r('-')])"
    done = subprocess.run([sys.executable, "-c", program], input=gzip.compress(FASTA), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[('chr1', [0, 1, 2, 3, 0, 1]), ('chr2', [2, 2, 4, 4])]"


def test_compression_is_told_by_content_not_by_name(tmp_path):
    assert read(written(tmp_path, FASTA, "plain.fa.gz")) == read(written(tmp_path, gzip.compress(FASTA), "packed.fa"))


def test_soft_mask_only_on_request(tmp_path):
    path = written(tmp_path, b">a\nACgt\nnA\n")
    assert next(read_sequences(path)).soft_masked is None
    record = next(read_sequences(path, keep_soft_mask=True))
    assert record.soft_masked.tolist() == [False, False, True, True, True, False]
    assert from_base_ids(record.base_ids) == "ACGTNA"


@pytest.mark.parametrize("data", [b">a\nAc-g.\n*T\n", b"@a\nAc-g.*T\n+\nIIIIIII\n"])
def test_gaps_dropped_from_bases_and_soft_mask_alike(tmp_path, data):
    record = next(read_sequences(written(tmp_path, data), gaps="drop", keep_soft_mask=True))
    assert from_base_ids(record.base_ids) == "ACGT"
    assert record.soft_masked.tolist() == [False, True, True, False]


@pytest.mark.parametrize("data", [b">a\nACRY\nNk\n>b\nAC\n", b"@a\nACRYNk\n+\nIIIIII\n@b\nAC\n+\nII\n"])
def test_ambiguity_codes_are_counted_for_each_record(tmp_path, data):
    assert [record.num_ambiguous for record in read_sequences(written(tmp_path, data))] == [3, 0]


def test_blanks_within_fasta_lines_are_passed_over(tmp_path):
    assert read(written(tmp_path, b">a\nACGT ACGT\t\nAC \n")) == [("a", "ACGTACGTAC")]


def test_a_greater_sign_within_a_header_begins_no_record(tmp_path):
    assert read(written(tmp_path, b">a 5'->3' >x\nACGT\n")) == [("a", "ACGT")]


@pytest.mark.parametrize(
    "data", [b">a x\nAC\n>b\nG\n>a\nT\n>a y\nN\n", b"@a\nA\n+\nI\n@b\nG\n+\nI\n@a\nT\n+\nI\n@a\nN\n+\nI\n"]
)
def test_repeated_names_are_numbered_on_request_and_otherwise_refused(tmp_path, data):
    path = written(tmp_path, data)
    assert [name for name, _ in read(path, repeated_names="number")] == ["a", "b", "a#2", "a#3"]
    with pytest.raises(InputError, match=r"x\.fa:\d+: duplicate name 'a', first used in line 1"):
        read(path)


def test_a_number_that_a_record_already_has_is_passed_over(tmp_path):
    data = b">a\nA\n>a#2\nC\n>a\nG\n>a#2\nT\n>a\nN\n"
    assert [name for name, _ in read(written(tmp_path, data), repeated_names="number")] == [
        "a", "a#2", "a#3", "a#2#2", "a#4",
    ]  # fmt: skip


def test_thousands_of_records_of_one_name_are_all_told_apart(tmp_path):
    records = read(written(tmp_path, b">read\nACGT\n" * 4_000), repeated_names="number")
    assert [name for name, _ in records[:2]] == ["read", "read#2"]
    assert records[-1][0] == "read#4000"
    assert len({name for name, _ in records}) == 4_000


def test_records_come_one_by_one_before_a_later_fault(tmp_path):
    records = read_sequences(written(tmp_path, FASTA + b">bad\nAC!\n"))
    assert [next(records).name, next(records).name] == ["chr1", "chr2"]


def test_records_do_not_share_memory_that_a_writer_could_spoil(tmp_path):
    first, second = read_sequences(written(tmp_path, FASTQ))
    first.base_ids[:] = 4
    assert from_base_ids(second.base_ids) == "GG"


names = st.lists(st.text(alphabet="abc>@+", min_size=1, max_size=5), min_size=1, max_size=6, unique=True)
bases = st.text(alphabet="ACGTNacgtn", min_size=1, max_size=40)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(names, st.data())
def test_blocks_may_be_cut_anywhere(tmp_path_factory, names, data):
    records = [(name, data.draw(bases)) for name in names]
    width, block_size = data.draw(st.integers(1, 12)), data.draw(st.integers(2, 9))
    fasta = "".join(
        f">{name} x\n" + "".join(text[start : start + width] + "\n" for start in range(0, len(text), width))
        for name, text in records
    )
    fastq = "".join(f"@{name}\n{text}\n+\n{'@' * len(text)}\n" for name, text in records)
    folder = tmp_path_factory.mktemp("blocks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "_BLOCK_SIZE", block_size)
        for text in (fasta, fastq):
            found = list(read_sequences(written(folder, text.encode()), keep_soft_mask=True))
            assert [(record.name, from_base_ids(record.base_ids)) for record in found] == [
                (name, text.upper()) for name, text in records
            ]
            assert [record.soft_masked.tolist() for record in found] == [
                [letter.islower() for letter in text] for _, text in records
            ]


def test_large_records_in_many_blocks(tmp_path):
    letters = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, 1_500_000)].tobytes()
    lines = b"\n".join(letters[start : start + 60] for start in range(0, len(letters), 60))
    for data in (b">a\n" + lines + b"\n", b">a\n" + letters, gzip.compress(b">a\n" + lines, 1)):
        (record,) = read_sequences(written(tmp_path, data))
        assert from_base_ids(record.base_ids) == letters.decode()
