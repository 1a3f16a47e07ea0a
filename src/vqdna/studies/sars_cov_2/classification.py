"""Which lineage is it? A logistic regression on code counts, and a fine-tuned encoder, of windows and of whole genomes.

Flow: counts of train, dev and test -> the probe, regularized on dev -> macro-F1 of test with an interval over
genomes. Windows -> tables -> LoRA -> classes of windows, and of genomes by the mean over their windows. Paper:
sections 5.2 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from sklearn.metrics import f1_score

from vqdna.baselines.logistic_regression import fit_probe
from vqdna.config import load_config
from vqdna.finetune.evaluation import predict_sequences
from vqdna.finetune.heads import load_classifier
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.train import run_finetune
from vqdna.studies.sars_cov_2.genome_codes import encode_genomes
from vqdna.studies.sars_cov_2.genomes import LineageGenome
from vqdna.studies.sars_cov_2.representations import Representation, representations
from vqdna.studies.sars_cov_2.results import FineTuned, ScoreInterval
from vqdna.studies.sars_cov_2.separation import bootstrap
from vqdna.studies.sars_cov_2.splits import PARTS, GenomeWindows
from vqdna.studies.sars_cov_2.summary import Sizes
from vqdna.tasks.loading import Splits, labelled_from_text
from vqdna.tokenizers import Tokenizer

METRIC = "f1_macro"
Parts = Mapping[str, Int[np.ndarray, "_"]]
"""Numbers of the rows of train, dev and test."""


def linear_score(
    representation: Representation,
    parts: Parts,
    labels: Int[np.ndarray, "row"],
    groups: Int[np.ndarray, "row"],
    seed: int,
) -> ScoreInterval:
    """Macro-F1 on test of the probe, with its interval; `groups` is the genome of each row."""
    train, dev, test = (parts[part] for part in PARTS)
    matrix, num_classes = representation.matrix, int(labels.max()) + 1
    probe = fit_probe(matrix[train], labels[train], matrix[dev], labels[dev], num_classes, METRIC)
    return macro_f1(labels[test], probe.predict(matrix[test]), groups[test], seed)


def counts_score(
    tokenizer: Tokenizer, windows: Mapping[str, GenomeWindows], labels: Int[np.ndarray, "genome"], seed: int
) -> ScoreInterval:
    """Macro-F1 on test windows of the probe on code counts of train windows; `labels` is the class of each genome."""
    genome = np.concatenate([windows[part].genome for part in PARTS])
    ends = np.cumsum([len(windows[part]) for part in PARTS])
    rows = dict(zip(PARTS, np.split(np.arange(len(genome)), ends[:-1])))
    codes = encode_genomes(tokenizer, [bases for part in PARTS for bases in windows[part].base_ids])
    return linear_score(representations(codes)[0], rows, labels[genome], genome, seed)


def macro_f1(
    labels: Int[np.ndarray, "row"], predicted: Int[np.ndarray, "row"], groups: Int[np.ndarray, "row"], seed: int
) -> ScoreInterval:
    """Macro-F1 over the classes, with the interval of resampled groups, as far as it lies between 0 and 1."""

    def score(rows: Int[np.ndarray, "_"]) -> float:
        return float(f1_score(labels[rows], predicted[rows], average="macro", zero_division=0))

    found = bootstrap(score, groups, seed)
    return ScoreInterval(value=found.value, low=max(0.0, found.low), high=min(1.0, found.high))


def fine_tuned_scores(
    windows: Mapping[str, GenomeWindows],
    genomes: Sequence[LineageGenome],
    labels: Int[np.ndarray, "genome"],
    whole: Sequence[int],
    *,
    encoder: Path,
    sizes: Sizes,
    out: Path,
    seed: int,
) -> FineTuned:
    """Macro-F1 of a LoRA fine-tuned encoder on test windows, and on whole genomes by the mean over their windows.

    The windows are those of train, dev and test; `labels` has the class of each of the genomes that they come from, and
    `whole` the numbers of the test genomes that are scored whole.
    """
    wanted = {part: labels[held.genome] for part, held in windows.items()}
    train = labelled_from_text(list(windows["train"].base_ids), wanted["train"].tolist())
    dev = labelled_from_text(list(windows["dev"].base_ids), wanted["dev"].tolist(), like=train)
    config = load_config(FinetuneConfig, sizes.config, "finetune", sizes.overrides)
    run = run_finetune(config, Splits(train, dev, None), encoder=encoder, out=out / "run", seed=seed, announces=False)
    model = load_classifier(out / "run")
    classes = np.array([int(name) for name in model.config.class_names])

    def name(row: int) -> str:
        return f"window {row}"

    predicted = predict_sequences(model, list(windows["test"].base_ids), name).argmax(axis=1)
    # A genome's class is the most probable one by the mean log probability of its windows; equal ones are read once.
    distinct: dict[bytes, int] = {}
    places: list[list[int]] = []
    for bases in (genomes[i].base_ids for i in whole):
        tiles = [bases[start : start + sizes.window] for start in range(0, len(bases) - sizes.window + 1, sizes.window)]
        places.append([distinct.setdefault(tile.tobytes(), len(distinct)) for tile in tiles])
    rows = [np.frombuffer(bases, np.uint8).copy() for bases in distinct]
    log = np.log(np.maximum(predict_sequences(model, rows, name), 1e-9))
    of_genomes = np.array([int(log[held].mean(axis=0).argmax()) for held in places])
    return FineTuned(
        windows=macro_f1(wanted["test"], classes[predicted], windows["test"].genome, seed),
        genomes=macro_f1(labels[list(whole)], classes[of_genomes], np.arange(len(whole)), seed),
        num_windows={part: len(windows[part]) for part in PARTS},
        num_genomes=len(whole),
        dev=run.dev,
        parameters=run.parameters,
        seconds=run.seconds,
    )
