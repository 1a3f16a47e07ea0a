"""A model by name: one that comes with the package, or one that lies in a folder.

Flow: "small", a run folder or a model's folder -> `GenomeEncoder`, or a fine-tuned model, in evaluation mode, ready for
DNA. Nothing is ever looked up on the network.
"""

from __future__ import annotations

from pathlib import Path

from vqdna.encoder.causal_model import CAUSAL_MODEL_FOLDER, GenomeEncoderForCausalModeling
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.saved_models import load_causal_model, load_encoder, saved_model_type
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, SequenceClassifierConfig, load_classifier
from vqdna.pretrain.objective import MASKED_MODEL_FOLDER, GenomeEncoderForMaskedModeling, load_masked_model
from vqdna.weights import DEFAULT, part_folder


def load(name_or_path: str | Path = DEFAULT) -> GenomeEncoder:
    """Genome encoder of a shipped model, of a pre-training's folder, or of a fine-tuned model's.

    Args:
        name_or_path: a shipped name such as "small", a run folder, or the `model/` in one.

    Raises:
        InputError: neither a shipped name nor a folder, no model in the folder, or a damaged one.
    """
    folder = part_folder(name_or_path, "encoder")
    if _is_tuned(folder):
        encoder: GenomeEncoder = load_classifier(folder).encoder
        return encoder
    return load_encoder(folder)


def load_model(
    name_or_path: str | Path = DEFAULT,
) -> (
    GenomeEncoder
    | GenomeEncoderForMaskedModeling
    | GenomeEncoderForCausalModeling
    | GenomeEncoderForSequenceClassification
):
    """The same with its heads: those of a fine-tuned model, or of a pre-training where its folder has them.

    Raises:
        InputError: see `load`.
    """
    folder = part_folder(name_or_path, "encoder")
    if _is_tuned(folder):
        return load_classifier(folder)
    if (folder / CAUSAL_MODEL_FOLDER).is_dir():
        return load_causal_model(folder)
    return load_masked_model(folder) if (folder / MASKED_MODEL_FOLDER).is_dir() else load_encoder(folder)


def _is_tuned(folder: Path) -> bool:
    return saved_model_type(folder) == SequenceClassifierConfig.model_type
