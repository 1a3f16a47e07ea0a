from __future__ import annotations

import numpy as np
import pytest
from known_tokenizers import MOTIF, MotifTokenizer, planted_contig, random_contig, windows_of

from vqdna.audit.motifs import choose_codes, code_motifs, kmer_text
from vqdna.audit.reading import read_codes
from vqdna.audit.results import Partner
from vqdna.tokenizers import load_tokenizer


def test_kmers_are_written_as_the_kmer_tokenizer_counts_them():
    assert kmer_text(6, 3) == "ACG"
    assert kmer_text(4**4 - 1, 4) == "TTTT"


def test_the_code_of_a_planted_motif_shows_the_motif():
    contig, _ = planted_contig()
    windows = windows_of(contig)
    positions = read_codes(MotifTokenizer(), windows.base_ids).between(24, 176)
    by_code = {
        record.code: record
        for record in code_motifs(windows, positions, 0, k=6, partners={4: Partner(code=2, share=0.5)})
    }
    motif = by_code[4]
    consensus = "".join("ACGT"[int(np.argmax(place))] for place in motif.matrix)
    assert consensus[2:-2] == MOTIF
    assert motif.kmers[0].kmer == MOTIF[2:8]  # the six bases around the middle one
    assert motif.kmers[0].count == motif.count
    assert motif.information_bits > 2 * 11 * 0.9
    assert motif.partner == Partner(code=2, share=0.5)
    assert by_code[0].information_bits < 6
    assert by_code[0].partner is None


def test_a_kmer_tokenizer_s_codes_are_their_own_strongest_kmers():
    tokenizer = load_tokenizer("kmer:4")
    windows = windows_of(random_contig(30_000))
    positions = read_codes(tokenizer, windows.base_ids).between(24, 176)
    records = code_motifs(windows, positions, 0, k=4, partners={})
    assert len(records) == 64
    for record in records:
        (only,) = record.kmers
        assert only.kmer == kmer_text(record.code, 4)
        assert only.enrichment == pytest.approx(len(positions) / record.count)


def test_rows_of_a_matrix_are_frequencies_and_codes_come_most_used_first():
    windows = windows_of(random_contig(10_000))
    positions = read_codes(load_tokenizer("kmer:2"), windows.base_ids).between(24, 176)
    records = code_motifs(windows, positions, 0, k=2, partners={})
    counts = [record.count for record in records]
    assert counts == sorted(counts, reverse=True)
    for record in records:
        assert np.array(record.matrix).shape == (15, 4)
        assert np.allclose(np.sum(record.matrix, axis=1), 1, atol=1e-3)


def test_half_of_the_places_go_to_telling_codes_that_occur_often_enough():
    counts = np.array([100, 90, 80, 70, 60, 5])
    telling = np.array([0.0, 0.0, 0.0, 1.0, 9.0, 20.0])
    assert choose_codes(counts, telling, most=4).tolist() == [0, 1, 3, 4]
    assert choose_codes(counts, telling, most=6).tolist() == [0, 1, 2, 3, 4, 5]
