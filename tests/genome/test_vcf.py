from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from vqdna.errors import InputError
from vqdna.genome.vcf import Variant, read_variants

HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNA1\n"


def vcf(path: Path, *lines: str) -> Path:
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return path


def test_each_alternate_is_a_variant_with_a_position_from_zero(tmp_path: Path) -> None:
    path = vcf(tmp_path / "a.vcf", "chr1\t10\trs1\tA\tC,TT\t50\tPASS\tDP=3\tGT\t0/1", "chr2\t1\t.\tacg\ta\t.\t.\t.")
    assert read_variants(path) == [
        Variant(3, "chr1", 9, "rs1", "A", "C"),
        Variant(3, "chr1", 9, "rs1", "A", "TT"),
        Variant(4, "chr2", 0, ".", "acg", "a"),
    ]
    assert [variant.end for variant in read_variants(path)] == [10, 10, 3]


@pytest.mark.parametrize(
    ("alt", "is_spelled_out"),
    [("G", True), ("acgtn", True), ("<DEL>", False), ("*", False), (".", False), ("G]17:198982]", False), ("", False)],
)
def test_symbolic_alternates_are_kept_and_told_apart(alt: str, is_spelled_out: bool, tmp_path: Path) -> None:
    [variant] = read_variants(vcf(tmp_path / "a.vcf", f"1\t1\t.\tA\t{alt}\t.\t.\t."))
    assert (variant.alt, variant.is_spelled_out) == (alt, is_spelled_out)


def test_compressed_files_standard_input_and_windows_line_ends_are_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vcf(tmp_path / "a.vcf", *(f"1\t{n}\t.\tA\tC\t.\t.\t." for n in range(1, 200)))
    wanted = read_variants(path)
    packed = tmp_path / "a.vcf.gz"
    packed.write_bytes(gzip.compress(path.read_bytes().replace(b"\n", b"\r\n")))
    assert read_variants(packed) == wanted
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(path.read_bytes()))))
    assert read_variants("-") == wanted


def test_lines_that_two_blocks_share_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = vcf(tmp_path / "a.vcf", *(f"chr{n}\t{n}\trs{n}\tACGT\tA\t.\t.\t." for n in range(1, 50)))
    wanted = read_variants(path)
    text = path.read_bytes()
    monkeypatch.setattr(
        "vqdna.genome.streams.text_blocks", lambda _: (text[at : at + 7] for at in range(0, len(text), 7))
    )
    assert read_variants(path) == wanted


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t0\t.\tA\tC", ":3: expected CHROM POS ID REF ALT with tabs between, POS from 1, got 'chr1 0 . A C'"),
        ("chr1\tten\t.\tA\tC", ":3: expected CHROM POS ID REF ALT"),
        ("chr1 10 . A C", ":3: expected CHROM POS ID REF ALT with tabs between"),
        ("chr1\t10\t.\tA", ":3: expected CHROM POS ID REF ALT"),
        ("chr1\t10\t.\tA?\tC", ":3: expected REF of the letters A C G T N, got 'A?'"),
        ("", ": holds no variants, expected lines of CHROM POS ID REF ALT behind tabs"),
    ],
)
def test_lines_that_are_no_variants_are_refused_with_their_place(line: str, message: str, tmp_path: Path) -> None:
    path = vcf(tmp_path / "a.vcf", line)
    with pytest.raises(InputError) as refused:
        read_variants(path)
    assert str(refused.value).startswith(f"{path}{message}")


def test_an_absent_file_is_named_with_its_neighbor(tmp_path: Path) -> None:
    vcf(tmp_path / "calls.vcf", "1\t1\t.\tA\tC")
    with pytest.raises(InputError, match=r"did you mean 'calls\.vcf'"):
        read_variants(tmp_path / "call.vcf")
