"""Which variant is it? A logistic regression on code counts, and a fine-tuned encoder, of windows and of whole genomes.

Flow: counts of train, dev and test -> the probe, regularized on dev -> macro-F1 of test with an interval over
genomes. Windows -> tables -> LoRA -> classes of windows, and of genomes by the mean over their windows. Paper:
sections 5.2 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from sklearn.metrics import f1_score

from vqdna.baselines.logistic_regression import fit_probe
from vqdna.config import load_config
from vqdna.finetune.evaluation import predict_sequences
from vqdna.finetune.heads import load_classifier
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.train import run_finetune
from vqdna.studies.sars_cov_2.genome_codes import encode_genomes
from vqdna.studies.sars_cov_2.genome_windows import GenomeWindows, tiled_windows
from vqdna.studies.sars_cov_2.genomes import VariantGenome
from vqdna.studies.sars_cov_2.representations import Representation, code_counts
from vqdna.studies.sars_cov_2.results import FineTuned, ScoreInterval
from vqdna.studies.sars_cov_2.separation import bootstrap
from vqdna.studies.sars_cov_2.splits import PARTS
from vqdna.tasks.loading import Splits, labelled_from_text
from vqdna.tokenizers import Tokenizer

METRIC = "f1_macro"
Parts = dict[str, Int[np.ndarray, "_"]]


def linear_scores(
    found: Sequence[Representation],
    rows: Parts,
    labels: Int[np.ndarray, "row"],
    groups: Int[np.ndarray, "row"],
    seed: int,
) -> dict[str, ScoreInterval]:
    """Macro-F1 on test of the probe on each representation, with its interval.

    Args:
        found: representations of all rows.
        rows: numbers of the rows of train, dev and test.
        labels: class of each row.
        groups: genome of each row.
        seed: of the bootstrap.
    """
    scores = {}
    for representation in found:
        parts = [representation.matrix[rows[part]] for part in PARTS]
        probe = fit_probe(parts[0], labels[rows["train"]], parts[1], labels[rows["dev"]], int(labels.max()) + 1, METRIC)
        scores[representation.name] = macro_f1(
            labels[rows["test"]], probe.predict(parts[2]), groups[rows["test"]], seed
        )
    return scores


def counts_score(
    tokenizer: Tokenizer, windows: Mapping[str, GenomeWindows], labels: Int[np.ndarray, "row"], seed: int
) -> ScoreInterval:
    """Macro-F1 on test windows of the probe on code counts of train windows.

    Args:
        tokenizer: gives the codes.
        windows: of train, dev and test.
        labels: class of each genome.
        seed: of the bootstrap.
    """
    genome = np.concatenate([windows[part].genome for part in PARTS])
    ends = np.cumsum([0, *(len(windows[part]) for part in PARTS)])
    rows = {part: np.arange(ends[i], ends[i + 1]) for i, part in enumerate(PARTS)}
    codes = encode_genomes(tokenizer, [bases for part in PARTS for bases in windows[part].base_ids])
    counts = code_counts(codes)
    return linear_scores([counts], rows, labels[genome], genome, seed)[counts.name]


def macro_f1(
    labels: Int[np.ndarray, "row"], predicted: Int[np.ndarray, "row"], groups: Int[np.ndarray, "row"], seed: int
) -> ScoreInterval:
    """Macro-F1 over the classes, with the interval of resampled groups, as far as it lies between 0 and 1."""

    def score(rows: Int[np.ndarray, "_"]) -> float:
        return float(f1_score(labels[rows], predicted[rows], average="macro", zero_division=0))

    found = bootstrap(score, groups, seed)
    return ScoreInterval(value=found.value, low=max(0.0, found.low), high=min(1.0, found.high))


def fine_tuned_scores(
    windows: dict[str, GenomeWindows],
    genomes: Sequence[VariantGenome],
    whole: Sequence[int],
    *,
    encoder: Path,
    config: str,
    overrides: Sequence[str],
    out: Path,
    seed: int,
) -> FineTuned:
    """Macro-F1 of a LoRA fine-tuned encoder on test windows, and on whole genomes by the mean over their windows.

    Args:
        windows: of train, dev and test.
        genomes: that they come from.
        whole: numbers of the test genomes scored whole.
        encoder: pre-trained run folder.
        config: fine-tuning configuration.
        overrides: changes to it.
        out: folder of the run.
        seed: of the fine-tuning.
    """
    variants = sorted({genome.variant for genome in genomes})
    labels = {part: np.array([variants.index(genomes[i].variant) for i in w.genome]) for part, w in windows.items()}
    train = labelled_from_text(list(windows["train"].base_ids), labels["train"].tolist())
    dev = labelled_from_text(list(windows["dev"].base_ids), labels["dev"].tolist(), like=train)
    run = run_finetune(
        load_config(FinetuneConfig, config, "finetune", overrides), Splits(train, dev, None), encoder=encoder,
        out=out / "run", seed=seed, announces=False,
    )  # fmt: skip
    model = load_classifier(out / "run")
    classes = np.array([int(name) for name in model.config.class_names])

    def probabilities(rows: Sequence[UInt8[np.ndarray, "_"]]) -> Float[np.ndarray, "row class"]:
        return predict_sequences(model, list(rows), lambda row: f"window {row}")

    predicted = classes[probabilities(windows["test"].base_ids).argmax(axis=1)]
    of_genomes = classes[_genome_classes([genomes[i] for i in whole], len(windows["test"].base_ids[0]), probabilities)]
    wanted = np.array([variants.index(genomes[i].variant) for i in whole])
    return FineTuned(
        windows=macro_f1(labels["test"], predicted, windows["test"].genome, seed),
        genomes=macro_f1(wanted, of_genomes, np.arange(len(whole)), seed),
        num_windows={part: len(windows[part]) for part in PARTS},
        num_genomes=len(whole),
        dev=run.dev,
        parameters=run.parameters,
        seconds=run.seconds,
    )


def _genome_classes(genomes: Sequence[VariantGenome], size: int, probabilities: Any) -> Int[np.ndarray, "genome"]:
    """Most probable class of each genome: the mean log probability of its windows, equal windows computed once."""
    tiles = [tiled_windows(genome, size) for genome in genomes]
    distinct: dict[bytes, int] = {}
    places = [[distinct.setdefault(tile.tobytes(), len(distinct)) for tile in held] for held in tiles]
    rows = [np.frombuffer(bases, np.uint8).copy() for bases in distinct]
    log = np.log(np.maximum(probabilities(rows), 1e-9))
    return np.array([int(log[held].mean(axis=0).argmax()) for held in places])
