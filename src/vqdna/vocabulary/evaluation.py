"""What a vocabulary's codes look like over many windows: usage, perplexity, k-mers per code, reconstruction, a map.

Flow: VQVAE + windows [batch, base] -> CodeStatistics per level, counted over all windows (never per batch) -> the
numbers of results.json. It must not know training runs.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vqdna.stage_results import CodeOnMap, LevelUsage, VocabularyEvaluation
from vqdna.vocabulary.autoencoder import VQVAE, reconstruction_loss
from vqdna.vocabulary.convolution import NUM_BASES

KMER = 5
"""Bases of the k-mer, centered on a position's span, by which a code is described."""

WINDOWS_AT_A_TIME = 32


class CodeStatistics:
    """Counts of each code of one level, and of the k-mers around it."""

    def __init__(self, size: int) -> None:
        self.counts = torch.zeros(size, dtype=torch.long)
        self.kmer_counts = torch.zeros(size, NUM_BASES**KMER, dtype=torch.int32)

    def add(self, codes: Int[Tensor, "batch position"], kmers: Int[Tensor, "batch position"]) -> None:
        """Counts a batch; a k-mer of -1 (over an edge or an N) is counted as a code but not as a k-mer."""
        self.counts += torch.bincount(codes.flatten(), minlength=len(self.counts))
        known = kmers >= 0
        joint = codes[known] * self.kmer_counts.shape[1] + kmers[known]
        self.kmer_counts += torch.bincount(joint, minlength=self.kmer_counts.numel()).view_as(self.kmer_counts)

    def summary(self) -> LevelUsage:
        """Numbers of one level for results.json."""
        frequencies = self.counts.double() / self.counts.sum().clamp_min(1)
        return LevelUsage(
            size=len(self.counts),
            usage=float((self.counts > 0).float().mean()),
            # The exponential of the frequencies' entropy.
            perplexity=math.exp(-float(torch.special.xlogy(frequencies, frequencies).sum())),
            dead_codes=int((self.counts == 0).sum()),
        )


def centered_kmers(
    base_ids: UInt8[Tensor, "batch base"], num_positions: int, bases_per_position: int
) -> Int[Tensor, "batch position"]:
    """Number of the k-mer around each position's middle base (A=0, leftmost most significant); -1 for none."""
    reach = KMER // 2
    padded = torch.nn.functional.pad(base_ids.long(), (reach, reach + bases_per_position), value=NUM_BASES)
    windows = padded.unfold(1, KMER, 1)[:, bases_per_position // 2 :: bases_per_position][:, :num_positions]
    powers = NUM_BASES ** torch.arange(KMER - 1, -1, -1)
    return torch.where((windows < NUM_BASES).all(dim=-1), (windows * powers).sum(dim=-1), -1)


@torch.no_grad()
def evaluate_vocabulary(
    model: VQVAE, windows: UInt8[Tensor, "batch base"]
) -> tuple[VocabularyEvaluation, list[CodeStatistics]]:
    """Reconstruction and codebook health over all windows, and the counts behind them."""
    was_training = model.training
    model.eval()
    statistics = [CodeStatistics(size) for size in model.quantizer.level_sizes]
    nats = correct = bases = 0.0
    for batch in torch.split(windows, WINDOWS_AT_A_TIME):
        output = model(batch.to(model.device))
        logits, known = output.logits.cpu(), batch < NUM_BASES
        # The loss is a mean over the batch's known bases; times their number it adds up over batches of any make-up.
        nats += float((reconstruction_loss(logits, batch, torch.ones_like(known)) * known.sum()).double())
        correct += int(((logits.argmax(dim=-1) == batch) & known).sum())
        bases += int(known.sum())
        kmers = centered_kmers(batch, output.codes.shape[1], model.config.bases_per_position)
        for level, level_statistics in enumerate(statistics):
            level_statistics.add(output.codes[..., level].cpu(), kmers)
    model.train(was_training)
    evaluation = VocabularyEvaluation(
        reconstruction_accuracy=correct / max(bases, 1),
        reconstruction=nats / max(bases, 1),
        bits_per_base=sum(map(math.log2, model.quantizer.level_sizes)) / model.config.bases_per_position,
        levels=[level_statistics.summary() for level_statistics in statistics],
        num_bases=int(bases),
    )
    return evaluation, statistics


def code_map(model: VQVAE, statistics: list[CodeStatistics]) -> list[CodeOnMap]:
    """Used codes of each level on two principal axes of their vectors, with count and most frequent k-mer."""
    mapped = []
    for level, level_statistics in enumerate(statistics):
        used = torch.nonzero(level_statistics.counts).flatten()
        places = _principal_plane(model.quantizer.code_table(level).detach().float().cpu()[used])
        for (x, y), code in zip(places.tolist(), used.tolist(), strict=True):
            kmer, count = int(level_statistics.kmer_counts[code].argmax()), int(level_statistics.counts[code])
            letters = ["ACGT"[kmer // NUM_BASES**place % NUM_BASES] for place in range(KMER - 1, -1, -1)]
            mapped.append(
                CodeOnMap(level=level, code=code, x=round(x, 4), y=round(y, 4), count=count, top_kmer="".join(letters))
            )
    return mapped


def _principal_plane(vectors: Float[Tensor, "code width"]) -> Float[Tensor, "code 2"]:
    """Coordinates on the first two principal axes, their signs fixed so that equal input gives an equal map."""
    centered = vectors - vectors.mean(dim=0)
    _, _, axes = torch.linalg.svd(centered, full_matrices=False)
    places = torch.zeros(len(vectors), 2)
    plane = centered @ axes[:2].T
    plane = plane * torch.sign(plane.gather(0, plane.abs().argmax(dim=0, keepdim=True)))
    places[:, : plane.shape[1]] = plane
    return places
