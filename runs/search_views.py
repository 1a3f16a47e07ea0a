"""Which bases a level should read, judged on dev alone: words of chosen offsets, counted exactly, no training.

    python runs/search_views.py DATA_ROOT --out docs/results/views_search.json

Each word set is counted by table over 13 GUE training splits (at most --train records) and scored by the dev MCC of a
logistic regression, the best of a few C; test is never read. Fixed sets first (k-mers, their strand-shared forms, the
coarse views of configs/vocabulary/views.yaml, balls of similar windows), then a greedy search that adds one view at a
time while dimensions stay below those of 6-mers.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef
from sklearn.preprocessing import StandardScaler

from vqdna.genome import read_sequences
from vqdna.tasks.loading import limited, read_labelled
from vqdna.tasks.registry import GUE_13, find_dataset
from vqdna.vocabulary.codebook import kmeans, nearest_codes

DIMENSIONS = 4101
REACH = 8


class Words:
    """Exact words of the bases at some offsets; with `shared`, a word and its reverse complement are one."""

    def __init__(self, offsets, shared):
        self.offsets, self.shared = tuple(offsets), shared
        words = np.arange(4 ** len(offsets))
        names, self.code = np.unique(np.minimum(words, self._other(words)) if shared else words, return_inverse=True)
        self.size = len(names)

    def _other(self, words):
        other, rest = np.zeros_like(words), words.copy()
        for _ in self.offsets:
            other, rest = other * 4 + (3 - rest % 4), rest // 4
        return other

    def counts(self, base_ids):
        """Counts [row, word]; words over an edge or an N are left out."""
        padded = np.pad(base_ids, ((0, 0), (REACH, REACH)), constant_values=4).astype(np.int64)
        columns = [padded[:, REACH + o : REACH + o + base_ids.shape[1]] for o in self.offsets]
        known = np.all([column < 4 for column in columns], axis=0)
        words = sum(column * 4**place for place, column in enumerate(reversed(columns)))
        rows, codes = np.nonzero(known)[0], self.code[words[known]]
        return csr_matrix((np.ones(len(rows), np.float32), (rows, codes)), shape=(len(base_ids), self.size))


class Balls:
    """Clusters of similar windows: k-means on one-hot windows of a genome, the codes that rebuild them best."""

    def __init__(self, genome, width, size, seed=0):
        self.width, self.size = width, size
        windows = np.lib.stride_tricks.sliding_window_view(genome, width)
        rows = torch.from_numpy(windows[:: max(1, len(genome) // 60_000)].copy())
        self.centers, _ = kmeans(self._one_hot(rows), size, 10, torch.Generator().manual_seed(seed))

    @staticmethod
    def _one_hot(windows):
        return torch.eye(5, 4)[windows.long()].flatten(1)

    def counts(self, base_ids):
        """Counts [row, cluster]."""
        windows = np.lib.stride_tricks.sliding_window_view(base_ids, self.width, axis=1)
        codes = np.stack([nearest_codes(self._one_hot(torch.tensor(row)), self.centers).numpy() for row in windows])
        rows = np.repeat(np.arange(len(codes)), codes.shape[1])
        return csr_matrix((np.ones(len(rows), np.float32), (rows, codes.ravel())), shape=(len(codes), self.size))


def read(data_root, most):
    """By dataset: train and dev base ids and labels; records of the commonest length only."""
    splits = {}
    for name in GUE_13:
        files = find_dataset(name, data_root)
        train = limited(read_labelled(files.train), most, 0)
        parts = [train, read_labelled(files.dev, like=train)]
        length = statistics.mode(len(row) for row in train.base_ids)
        kept = [[i for i, row in enumerate(part.base_ids) if len(row) == length] for part in parts]
        splits[name] = [
            (np.stack([part.base_ids[i] for i in rows]), part.labels[rows])
            for part, rows in zip(parts, kept, strict=True)
        ]
    return splits


def dev_mcc(train, labels, dev, dev_labels, grid):
    """Best dev MCC over C."""
    scaler = StandardScaler(with_mean=False).fit(train)
    train, dev = (scaler.transform(part).tocsr().astype(np.float32) for part in (train, dev))
    model, best = LogisticRegression(max_iter=100, tol=1e-3, warm_start=True), -1.0
    for model.C in grid:
        best = max(best, matthews_corrcoef(dev_labels, model.fit(train, labels).predict(dev)))
    return best


def main(arguments):
    """Scores, written as JSON."""
    splits = read(arguments.data_root, arguments.train)
    contiguous = {k: tuple(range(-(k // 2), k - k // 2)) for k in (3, 4, 5, 6)}
    human = next(iter(read_sequences(arguments.data_root / "genomes/vertebrates/homo_sapiens.fa.gz"))).base_ids
    sources = {f"{k}-mers": Words(contiguous[k], False) for k in contiguous}
    sources |= {f"{k}-mers, strands shared": Words(contiguous[k], True) for k in (5, 6)}
    sources["1024 balls of 8 bases"] = Balls(human, 8, 1024)
    mirrored = [(a, b) for b in range(2, 7) for a in range(1, b)]
    pool = {f"{(-b, -a, a, b)}": Words((-b, -a, a, b), True) for a, b in mirrored if b - a <= 2}
    pool |= {str(view): Words(view, True) for view in [(-1, 0, 1), (-2, -1, 0, 1, 2), (-4, -3, -2, 2, 3, 4)]}
    pool |= {f"{view}, strands apart": Words(view, False) for view in [(-1, 0, 1), (-2, -1, 0, 1, 2)]}
    counted = {
        label: {name: [source.counts(part[0]) for part in parts] for name, parts in splits.items()}
        for label, source in {**sources, **pool}.items()
    }
    size = {label: source.size for label, source in {**sources, **pool}.items()}

    def score(labels, grid=(1e-4, 1e-3, 1e-2, 1e-1)):
        return {
            name: dev_mcc(
                hstack([counted[label][name][0] for label in labels]).tocsr(),
                train[1],
                hstack([counted[label][name][1] for label in labels]).tocsr(),
                dev[1],
                grid,
            )
            for name, (train, dev) in splits.items()
        }

    fixed = {label: score([label]) for label in sources}
    coarse = ["(-2, -1, 0, 1, 2)", "(-3, -2, 2, 3)", "(-4, -3, 3, 4)", "(-5, -3, 3, 5)", "(-1, 0, 1), strands apart"]
    fixed["coarse views"], size["coarse views"] = score(coarse), sum(size[label] for label in coarse)
    chosen, path = ["(-2, -1, 0, 1, 2)"], []
    for _ in range(arguments.steps):
        candidates = [label for label in pool if label not in chosen]
        candidates = [label for label in candidates if sum(size[other] for other in [*chosen, label]) <= DIMENSIONS]
        means = {label: statistics.fmean(score([*chosen, label], (3e-3,)).values()) for label in candidates}
        chosen.append(max(means, key=lambda label: means[label]))
        scores = score(chosen)
        path.append({"views": list(chosen), "dimensions": sum(size[label] for label in chosen), "dev_mcc": scores})
        print(f"{100 * statistics.fmean(scores.values()):.2f}  {path[-1]['dimensions']:5d}  {chosen}", flush=True)
    results = {
        "command": "python runs/search_views.py DATA_ROOT --out docs/results/views_search.json",
        "train_records": arguments.train,
        "fixed": {
            label: {"dimensions": size[label], "mean_dev_mcc": statistics.fmean(scores.values()), "dev_mcc": scores}
            for label, scores in fixed.items()
        },
        "greedy": [{**step, "mean_dev_mcc": statistics.fmean(step["dev_mcc"].values())} for step in path],
    }
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=2)
    main(parser.parse_args())
