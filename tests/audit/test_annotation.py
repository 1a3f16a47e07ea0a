from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from known_tokenizers import random_contig

from vqdna.audit.annotation import read_annotation
from vqdna.errors import InputError

CONTIGS = (random_contig(100, "chr1"), random_contig(60, "chr2"))
GFF = """##gff-version 3
chr1\tsource\tgene\t11\t30\t.\t+\t.\tID=one
chr1\tsource\tCDS\t11\t20\t.\t+\t1\tParent=one
chr1\tsource\tCDS\t41\t46\t.\t-\t0\tParent=two
"""


def written(folder: Path, text: str, name: str = "notes") -> Path:
    (folder / name).write_text(text)
    return folder / name


def labels(path: Path, track: str, contig: int = 0) -> str:
    return "".join(map(str, read_annotation(path, CONTIGS).tracks[track].labels[contig].tolist()))


def test_coding_frame_by_hand_on_both_strands(tmp_path):
    path = written(tmp_path, GFF)
    frame = labels(path, "coding frame")  # 0 none, else 1 + frame
    assert frame[9:21] == "0" + "3123123123" + "0"  # phase 1: the first base is the last of a codon
    assert frame[39:47] == "0" + "321321" + "0"  # read from the right
    strand = labels(path, "frame and strand")
    assert strand[10:13] == "312"
    assert strand[40:46] == "654654"
    assert set(labels(path, "coding frame", contig=1)) == {"0"}


def test_features_of_gff_are_one_based_and_closed(tmp_path):
    assert labels(written(tmp_path, GFF), "in gene") == "0" * 10 + "1" * 20 + "0" * 70


def test_bed_is_zero_based_and_half_open_and_may_be_compressed(tmp_path):
    path = tmp_path / "notes.bed.gz"
    path.write_bytes(gzip.compress(b"track name=x\nchr2\t5\t10\tisland\t0\t+\r\nchr2\t20\t30"))
    annotation = read_annotation(path, CONTIGS)
    assert annotation.num_features == 2
    assert labels(path, "in island", contig=1) == "0" * 5 + "1" * 5 + "0" * 50
    assert labels(path, "in annotated", contig=1) == "0" * 20 + "1" * 10 + "0" * 30
    assert "coding frame" not in annotation.tracks


def test_a_kind_never_takes_the_name_of_a_measured_feature(tmp_path):
    """`repeat` and `GC` are measured too; their rows must stay apart."""
    tracks = read_annotation(written(tmp_path, "chr1\t0\t5\trepeat\nchr1\t0\t5\tGC\n"), CONTIGS).tracks
    assert sorted(tracks) == ["in GC", "in repeat"]


def test_blocks_of_bed12_are_its_exons(tmp_path):
    line = "chr1\t10\t40\tgene\t0\t+\t10\t40\t0\t2\t5,10,\t0,20,\n"
    assert labels(written(tmp_path, line), "in exon") == "0" * 10 + "1" * 5 + "0" * 15 + "1" * 10 + "0" * 60


def test_features_elsewhere_are_counted_and_passed_over(tmp_path):
    annotation = read_annotation(written(tmp_path, "chr9\t0\t5\tx\nchr1\t0\t5\tx\n"), CONTIGS)
    assert (annotation.num_features, annotation.num_elsewhere) == (1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chrom1\t0\t5\tx\n", "notes:1: no sequence 'chrom1' in the genomes; did you mean 'chr1'?"),
        ("NC_000913.3\t0\t5\tx\n", "the input has chr1, chr2"),
        ("just some text\n", "notes:1: neither GFF nor BED"),
        ("chr1\t0\t5\tx\nchr1\tzero\t5\tx\n", "notes:2: got the coordinate 'zero'"),
        ("chr1\t0\t5\tx\nchr1\t3\n", "notes:2: got 2 fields"),
        ("chr1\t9\t5\tx\n", "notes:1: start 9 and end 5"),
        ("chr1\t90\t101\tx\n", "notes:1: feature ends at base 101, but 'chr1' has 100 bases"),
        ("chr1\ts\tCDS\t1\t9\t.\t+\t.\tID=x\n", "notes:1: a CDS with the phase '.'"),
        ("# nothing\n", "holds no features"),
    ],
)
def test_faults_are_told_with_file_and_line(tmp_path, text: str, message: str):
    with pytest.raises(InputError) as error:
        read_annotation(written(tmp_path, text), CONTIGS)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_one_name_for_two_sequences_is_refused(tmp_path):
    with pytest.raises(InputError, match="'chr1' names two sequences"):
        read_annotation(written(tmp_path, GFF), (CONTIGS[0], CONTIGS[0]))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"notes\.gff: no such file"):
        read_annotation(tmp_path / "notes.gff", CONTIGS)
