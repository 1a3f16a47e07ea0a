"""Labelled data that lies in memory, whatever holds it, as the train, dev and test splits of stage 3.

Flow: (sequences, labels), columns, LabelledSequences or a path, for each split -> Splits -> what a run folder records
of them, by which the same data resumes a run and other data is refused. It must not know models.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.tasks.loading import LabelledSequences, Splits


def data_inputs(encoder: Path | GenomeEncoder, splits: Splits, dataset: str | None) -> dict[str, str]:
    """What run.yaml records of a run on data in memory: the encoder, the data's name, count and hash of each split."""
    given = {"train": splits.train, "dev": splits.dev, "test": splits.test}
    return {
        "encoder": _weights_hash(encoder) if isinstance(encoder, GenomeEncoder) else str(encoder),
        **({"dataset": dataset} if dataset else {}),
        **{
            name: f"{len(split)} sequences, sha256 {_hash(split)}" for name, split in given.items() if split is not None
        },
    }


def _hash(records: LabelledSequences) -> str:
    """Hash of everything about the records that a run depends on; their names are not among it."""
    digest = hashlib.sha256(json.dumps([records.task, *records.class_names]).encode())
    digest.update(records.lengths.tobytes())
    for bases in records.base_ids:
        digest.update(np.ascontiguousarray(bases, dtype=np.uint8).tobytes())
    digest.update(np.ascontiguousarray(records.labels, dtype=np.float64).tobytes())
    return digest.hexdigest()


def _weights_hash(encoder: GenomeEncoder) -> str:
    digest = hashlib.sha256(json.dumps(encoder.config.encoder_settings(), sort_keys=True, default=str).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(dtype=torch.uint8).numpy().tobytes())
    return f"sha256 {digest.hexdigest()}"
