"""What a code stands for: the k-mers it is enriched in and the bases around it, for the codes that matter most.

Flow: Windows and CodedPositions -> the most used and the most telling codes of a level -> a motif of each: count, ten
strongest k-mers, position weight matrix [15, 4]. Bases are counted around the middle of a position's span.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vqdna.audit.reading import CodedPositions, places_in
from vqdna.audit.results import CodeMotif, EnrichedKmer, Partner
from vqdna.audit.sampled_windows import Windows
from vqdna.genome import BASES, N

LOGO_REACH = 7
NUM_KMERS = 10
SMALLEST_KMER_COUNT = 5
SMALLEST_CODE_COUNT = 20
MAX_CODES_SHOWN = 64


def code_motifs(
    windows: Windows, positions: CodedPositions, level: int, *, k: int, partners: Mapping[int, Partner]
) -> list[CodeMotif]:
    """Motifs of up to 64 codes of a level, most used first.

    Half of the places go to the codes used most, the others to those whose surroundings differ most from the input's.
    """
    codes, number, counts = np.unique(positions.codes[:, level], return_inverse=True, return_counts=True)
    number = number.reshape(-1)
    places = positions.center[:, None] + np.arange(-LOGO_REACH, LOGO_REACH + 1)
    around = windows.base_ids[positions.window[:, None], places]
    background = composition(windows)
    matrices = weight_matrices(around, number, len(codes), background)
    telling = (matrices * np.log2(matrices / background)).sum(axis=-1)
    # A code seen a few times looks sharp by chance alone: each place has three degrees of freedom, and the expected
    # bits of that many observations are taken off before codes are compared.
    by_chance = places.shape[1] * 3 / (2 * np.log(2) * np.maximum(counts, 1))
    shown = choose_codes(counts, telling.sum(axis=1) - by_chance)
    kmers = KmerCounts(windows.base_ids, positions, k)
    return [
        CodeMotif(
            code=int(codes[index]),
            count=int(counts[index]),
            share=float(counts[index] / len(positions)),
            information_bits=float(telling[index].sum()),
            kmers=kmers.strongest(number == index),
            matrix=matrices[index].round(4).tolist(),
            partner=partners.get(int(codes[index])),
        )
        for index in shown.tolist()
    ]


def composition(windows: Windows) -> Float[np.ndarray, "4"]:
    """Share of each base in the windows, none of them zero."""
    counts = np.bincount(windows.base_ids.ravel(), minlength=N + 1)[:N] + 1.0
    shares: Float[np.ndarray, "4"] = counts / counts.sum()
    return shares


def choose_codes(
    counts: Int[np.ndarray, "code"], telling: Float[np.ndarray, "code"], most: int = MAX_CODES_SHOWN
) -> Int[np.ndarray, "shown"]:
    """Indices of the most used codes and of the most telling ones that occur at least 20 times, most used first."""
    by_use = np.argsort(-counts, kind="stable").tolist()
    by_telling = [i for i in np.argsort(-telling, kind="stable").tolist() if counts[i] >= SMALLEST_CODE_COUNT]
    chosen = list(dict.fromkeys([*by_use[: most - most // 2], *by_telling, *by_use]))[:most]
    return np.array(sorted(chosen, key=lambda i: (-counts[i], i)), dtype=np.int64)


def weight_matrices(
    around: UInt8[np.ndarray, "position place"],
    number: Int[np.ndarray, "position"],
    num_codes: int,
    background: Float[np.ndarray, "4"],
) -> Float[np.ndarray, "code place 4"]:
    """Frequencies of the bases at each place around each code; one observation of the background is added to each."""
    counts = np.zeros((num_codes, around.shape[1], N))
    for place, bases in enumerate(around.T):
        known = bases < N
        numbered = number[known] * N + bases[known]
        counts[:, place] = np.bincount(numbered, minlength=num_codes * N).reshape(num_codes, N)
    counts += background
    matrices: Float[np.ndarray, "code place 4"] = counts / counts.sum(axis=-1, keepdims=True)
    return matrices


class KmerCounts:
    """k-mers at the middle of every position, and how often each occurs over all of them."""

    def __init__(self, base_ids: UInt8[np.ndarray, "window base"], positions: CodedPositions, k: int) -> None:
        self.k = k
        starts = positions.center - k // 2
        letters = base_ids[positions.window[:, None], starts[:, None] + np.arange(k)].astype(np.int64)
        self.known: Bool[np.ndarray, "position"] = (letters < N).all(axis=1)
        self.number = (letters * 4 ** np.arange(k - 1, -1, -1)).sum(axis=1)
        self.kinds, self.totals = np.unique(self.number[self.known], return_counts=True)

    def strongest(self, chosen: Bool[np.ndarray, "position"]) -> list[EnrichedKmer]:
        """Up to ten k-mers most enriched at the chosen positions, each seen there five times or more.

        Enrichment is the k-mer's share of the chosen positions over its share of all positions.
        """
        kinds, counts = np.unique(self.number[self.known & chosen], return_counts=True)
        overall = self.totals[places_in(kinds, self.kinds)] / max(int(self.known.sum()), 1)
        enrichment = counts / max(int(counts.sum()), 1) / overall
        enough = np.flatnonzero(counts >= SMALLEST_KMER_COUNT)
        # Rounded, so that equal enrichments stay equal on every machine and the count decides.
        best = enough[np.lexsort((kinds[enough], -counts[enough], -enrichment[enough].round(9)))][:NUM_KMERS]
        return [
            EnrichedKmer(kmer=kmer_text(int(kinds[i]), self.k), count=int(counts[i]), enrichment=float(enrichment[i]))
            for i in best.tolist()
        ]


def kmer_text(number: int, k: int) -> str:
    """Letters of a k-mer's number, A = 0, leftmost base most significant."""
    return "".join(BASES[number // 4**place % 4] for place in range(k - 1, -1, -1))
