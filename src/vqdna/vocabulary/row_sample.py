"""A random sample of the rows of a joint batch, drawn the same however the batch is cut into passes and ranks.

Flow: rows [row, width] of one pass after the other, on every rank -> at most `size` rows, the same on every rank.
Rows count in the order pass, rank, place in the pass: the order in which the trainer deals a batch out. A row's rank
in the draw is a pure function of (key, number of the row). It must not know what the rows are. Paper: not stated.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor


class RowSample:
    """Rows drawn without replacement from all ranks' passes; every rank must make the same number of passes.

    It holds the latest pass as it came and at most `size` rows of earlier ones, so memory does not grow with the number
    of passes. A pass may have no rows.

    Args:
        size: most rows that will be drawn.
        key: of the draw; the same on every rank.
    """

    def __init__(self, size: int, key: int) -> None:
        self.size, self.key = size, key
        self._num_seen = 0
        self._winners = np.zeros(0, np.int64)
        self._held = np.zeros(0, np.int64)
        self._rows: Tensor | None = None
        self._latest: Tensor | None = None

    def add(self, rows: Float[Tensor, "row dim"]) -> None:
        """Takes note of one more pass; talks to the other ranks only where it is not the first."""
        self._take_latest()
        self._latest = rows

    def draw(self, num_rows: int) -> Float[Tensor, "drawn dim"]:
        """At most `num_rows` distinct rows, in the order drawn; every rank must ask, for the same number."""
        self._take_latest()
        if self._rows is None:
            raise ValueError("no pass was added to draw rows from")
        chosen = self._winners[: min(num_rows, self.size)]
        # Each rank fills in the rows it holds and leaves zeros elsewhere, so the sum over ranks is the sample itself:
        # one call, whoever holds what.
        drawn = self._rows.new_zeros(len(chosen), self._rows.shape[1])
        mine = np.isin(chosen, self._held)
        places = np.searchsorted(self._held, chosen[mine])
        drawn[_on(drawn, np.flatnonzero(mine))] = self._rows[_on(drawn, places)]
        if is_distributed():
            dist.all_reduce(drawn)
        return drawn

    def _take_latest(self) -> None:
        """Keeps of the latest pass what is drawn so far, and of earlier ones what still is.

        Put off until the next pass or the draw, so that a batch of one pass costs no talk between ranks until it draws.
        """
        if self._latest is None:
            return
        latest, self._latest = self._latest, None
        counts = rows_per_rank(len(latest), latest.device)
        # Numbers run through the joint batch as it was dealt out, pass by pass and rank by rank: so a row has the same
        # number, and the same chance, however many ranks and passes there are.
        first = self._num_seen + sum(counts[: rank()])
        total = self._num_seen + sum(counts)
        from vqdna.genome.sampling import draw_bits  # for training alone; a frozen vocabulary draws no rows

        # The rows of smallest random bits are a sample without replacement, and one that grows: a row that is out after
        # some passes is out for good, so it need not be kept.
        numbers = np.append(self._winners, np.arange(self._num_seen, total))
        bits = draw_bits(self.key, numbers)
        if len(numbers) > self.size:
            among = np.argpartition(bits, self.size - 1)[: self.size]
            numbers, bits = numbers[among], bits[among]
        self._winners, self._num_seen = numbers[np.argsort(bits)], total
        # Every rank knows all winners by number, and holds the rows of its own, in ascending order of their numbers.
        new = np.sort(self._winners[(self._winners >= first) & (self._winners < first + len(latest))])
        rows = latest[_on(latest, new - first)]
        if self._rows is not None:
            still = np.isin(self._held, self._winners)
            rows = torch.cat([self._rows[_on(rows, np.flatnonzero(still))], rows])
            new = np.append(self._held[still], new)
        self._held, self._rows = new, rows


def is_distributed() -> bool:
    """Whether there are other ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Number of this rank."""
    return dist.get_rank() if is_distributed() else 0


def rows_per_rank(num_rows: int, device: torch.device) -> list[int]:
    """Number of rows that each rank holds, in rank order."""
    if not is_distributed():
        return [num_rows]
    counts = torch.zeros(dist.get_world_size(), dtype=torch.long, device=device)
    counts[rank()] = num_rows
    dist.all_reduce(counts)
    return [int(count) for count in counts]


def _on(like: Tensor, places: Int[np.ndarray, "row"]) -> Tensor:
    return torch.from_numpy(places).to(like.device)
