"""Models and vocabularies by name: one that comes with the package, or one that lies in a folder.

Flow: "small", a run folder or a model's folder -> a model in evaluation mode. Only the code of the model that lies
there is imported. Nothing is ever looked up on the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vqdna.weights import DEFAULT, part_folder

if TYPE_CHECKING:
    from vqdna.encoder.causal_model import GenomeEncoderForCausalModeling
    from vqdna.encoder.genome_encoder import GenomeEncoder
    from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
    from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
    from vqdna.vocabulary.autoencoder import VQVAE

    AnyModel = (
        GenomeEncoder
        | GenomeEncoderForMaskedModeling
        | GenomeEncoderForCausalModeling
        | GenomeEncoderForSequenceClassification
    )

FINE_TUNED = "vqdna_sequence_classifier"


def load(name_or_dir: str | Path = DEFAULT) -> GenomeEncoder:
    """Genome encoder of a built-in model, of a pre-training's folder, or of a fine-tuned model's.

    Args:
        name_or_dir: the name of a built-in model, such as "small"; or a run folder, or the `model/` in one.

    Returns:
        The encoder in evaluation mode, on the processor.

    Raises:
        InputError: neither a built-in name nor a folder (gives the nearest name), no model in the folder, or a damaged
            one.

    Example:
        >>> import vqdna
        >>> vqdna.load("small").config.hidden_size
        128
    """
    from vqdna.encoder.saved_models import load_encoder, saved_model_type

    folder = part_folder(name_or_dir, "encoder")
    if saved_model_type(folder) == FINE_TUNED:
        from vqdna.finetune.heads import load_classifier

        encoder: GenomeEncoder = load_classifier(folder).encoder
        return encoder
    return load_encoder(folder)


def load_model(name_or_dir: str | Path = DEFAULT) -> AnyModel:
    """The same with its head: that of a fine-tuned model, or of a pre-training where its folder has one.

    Args:
        name_or_dir: see `load`.

    Returns:
        The model in evaluation mode, on the processor; the encoder alone where no head lies beside it.

    Raises:
        InputError: see `load`.

    Example:
        >>> import vqdna
        >>> type(vqdna.load_model("small")).__name__
        'GenomeEncoder'
    """
    from vqdna.encoder.saved_models import CAUSAL_MODEL_FOLDER, MASKED_MODEL_FOLDER, load_encoder, saved_model_type

    folder = part_folder(name_or_dir, "encoder")
    if saved_model_type(folder) == FINE_TUNED:
        from vqdna.finetune.heads import load_classifier

        return load_classifier(folder)
    if (folder / CAUSAL_MODEL_FOLDER).is_dir():
        from vqdna.encoder.causal_model import load_causal_model

        return load_causal_model(folder)
    if (folder / MASKED_MODEL_FOLDER).is_dir():
        from vqdna.pretrain.objective import load_masked_model

        return load_masked_model(folder)
    return load_encoder(folder)


def load_vocabulary(name_or_dir: str | Path = DEFAULT) -> VQVAE:
    """Trained vocabulary with its base decoder: a built-in one, or that of a folder `vqdna vocabulary` wrote.

    Args:
        name_or_dir: the name of a built-in vocabulary, such as "small"; or a run folder, or the `model/` in one.

    Returns:
        The vocabulary in evaluation mode, on the processor.

    Raises:
        InputError: neither a built-in name nor a folder (gives the nearest name), or no trained vocabulary in it.

    Example:
        >>> import vqdna
        >>> vqdna.load_vocabulary("small").quantizer.level_sizes
        (512, 136, 136, 136, 64, 4096)
    """
    from vqdna.tokenizers.vq import load_trained_vocabulary

    return load_trained_vocabulary(part_folder(name_or_dir, "vocabulary"))
