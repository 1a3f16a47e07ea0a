"""Each way a sequence file can be bad: one line that says the file, the line and what is wrong."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pytest

from vqdna.errors import InputError
from vqdna.genome.sequences import read_sequences

PROTEIN = b">spike\nMFVFLVLLPLVSSQCVNLTTRTQLPPAYTNSFTRGVYYPDKVFRSSVLHS\n"
BGZIP_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def fault(folder, data, name="x.fa", **options):
    path = folder / name
    path.write_bytes(data)
    with pytest.raises(InputError) as error:
        list(read_sequences(path, **options))
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}:")
    return message.removeprefix(f"{path}:")


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (b">a\nACGT\n\n>b\nAC\n>a x\nGG\n", 6, "duplicate name 'a', first used in line 1"),
        (b"@a\nAC\n+\nII\n@a\nAC\n+\nII\n", 5, "duplicate name 'a', first used in line 1"),
        (b">a\nACGT\n>b\n\n>c\nAC\n", 3, "record 'b' has no sequence"),
        (b">a\nACGT\n>b\n", 3, "record 'b' has no sequence"),
        (b">a\nACGT\n>b", 3, "record 'b' has no sequence"),
        (b">a", 1, "record 'a' has no sequence"),
        (b"@a\n\n+\n\n@b\nAC\n+\nII\n", 1, "record 'a' has no sequence"),
        (b"@a\nAC\n+\nII\n@b", 5, "record 'b' has no sequence"),
        (b">\nACGT\n", 1, "record without a name"),
        (b"> \nACGT\n", 1, "record without a name"),
        (b"@\nAC\n+\nII\n", 1, "record without a name"),
        (PROTEIN, 2, "looks like protein"),
        (b">d\nACGT\n" + PROTEIN.replace(b"F", b"*"), 4, "looks like protein"),
        (PROTEIN.lower(), 2, "looks like protein"),
        (b"", 1, "empty file"),
        (b"\n \n\r\n", 1, "empty file"),
        (b"@a\nACGT\n+\nIII\n", 4, "'a' has 4 bases but 3 quality letters"),
        (b"@a\nACGT\n+\nIIII\n@b\nAC\n+\nIIII\n", 8, "'b' has 2 bases but 4 quality letters"),
        (b"@a\nACGT\n+\n", 3, "truncated FASTQ: record 'a' has 3 of its 4 lines"),
        (b"@a\nACGT\nACGT\n+\nIIII\nIIII\n", 3, "expected the '+' line of 'a', got 'ACGT'"),
        (b"@a\nAC\n+\nII\n>b\nAC\n+\nII\n", 5, "expected a FASTQ header '@name', got '>b'"),
        (b"ACGTACGT\n", 1, "no sequence file: the text begins with 'ACGTACGT"),
        (b"\n\n{}\n", 3, "no sequence file"),
        (b"sequence,label\nACGT,0\n", 1, "no sequence file"),
        (b"\x89PNG\r\n\x1a\n", 1, "no sequence file"),
        (b"PK\x03\x04aa", 1, "a zip archive"),
        (b"BZh91AY", 1, "bzip2-compressed"),
        (b"##fileformat=VCFv4.2\n", 1, "a VCF file"),
        (b"@HD\tVN:1.6\n@SQ\tSN:chr1\n", 1, "a SAM file"),
        (b">a\nACGT\nAC!T\n", 3, "'!' at offset 6 of 'a' is no base"),
        (b">a\n\nACGT\r\n\r\nACXT\r\n", 5, "'X' at offset 6 of 'a' is no base"),
        (b">a\nAC GT\nAC GZ\n", 3, "'Z' at offset 7 of 'a' is no base"),
        (b">a\nAC\n>b\nAC-T\n", 4, "'-' at offset 2 of 'b' is no base; gaps are an error unless dropped"),
        (b"@a\nAC\n+\nII\n\n@b\nA.C\n+\nIII\n", 7, "'.' at offset 1 of 'b' is no base; gaps are an error"),
        (b"@a\nAC\n+\nII\n@b\nA5C\n+\nIII\n", 6, "'5' at offset 1 of 'b' is no base"),
    ],
)
def test_each_fault_says_its_line(tmp_path, data, line, said):
    message = fault(tmp_path, data)
    assert message.startswith(f"{line}: ")
    assert said in message


@pytest.mark.parametrize("data", [b">a\nAC\n>b\n--.*\n", b"@a\nAC\n+\nII\n@b\n--\n+\nII\n"])
def test_a_record_of_gaps_alone_has_no_sequence_once_they_are_dropped(tmp_path, data):
    assert "record 'b' has no sequence" in fault(tmp_path, data, gaps="drop")


def test_a_stray_letter_in_dna_is_not_called_protein(tmp_path):
    assert "protein" not in fault(tmp_path, b">a\n" + b"ACGTTGCA" * 10 + b"X\n")


def fasta_of(num_lines):
    letters = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(1).integers(0, 4, (num_lines, 60))]
    return b">a\n" + b"\n".join(row.tobytes() for row in letters) + b"\n"


@pytest.mark.parametrize("kept", [5, 0.3, 0.9, -1])
def test_a_truncated_gzip_says_how_far_it_could_be_read(tmp_path, kept):
    packed = gzip.compress(fasta_of(5000))
    kept = kept if isinstance(kept, int) else int(len(packed) * kept)
    message = fault(tmp_path, packed[:kept], "x.fa.gz")
    assert "truncated gzip file" in message
    assert 1 <= int(message.split(":")[0]) <= 5002


def test_a_bgzip_file_cut_between_blocks_is_known_by_its_missing_end_marker(tmp_path):
    member = gzip.compress(b">a\nACGT\n")
    with_field = member[:3] + b"\4" + member[4:10] + b"\6\0BC\2\0\0\0" + member[10:]
    (tmp_path / "whole.gz").write_bytes(with_field + BGZIP_BLOCK)
    assert [record.name for record in read_sequences(tmp_path / "whole.gz")] == ["a"]
    assert "end marker is missing" in fault(tmp_path, with_field)


def test_a_damaged_gzip(tmp_path):
    packed = bytearray(gzip.compress(fasta_of(500)))
    packed[-6] ^= 255
    assert "damaged gzip file" in fault(tmp_path, bytes(packed))
    assert "damaged gzip file" in fault(tmp_path, gzip.compress(b">a\nAC\n") + b"tail")


def test_a_missing_file_names_its_nearest_neighbor(tmp_path):
    (tmp_path / "genome.fa").write_bytes(b">a\nAC\n")
    with pytest.raises(InputError, match=r"genom\.fa: no such file; did you mean 'genome\.fa'\?"):
        list(read_sequences(tmp_path / "genom.fa"))
    with pytest.raises(InputError, match="no such file"):
        list(read_sequences(tmp_path / "nowhere" / "genome.fa"))


def test_a_folder_is_no_sequence_file(tmp_path):
    with pytest.raises(InputError, match="a folder"):
        list(read_sequences(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path):
    path = tmp_path / "x.fa"
    path.write_bytes(b">a\nAC\n")
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be read"):
        list(read_sequences(path))
