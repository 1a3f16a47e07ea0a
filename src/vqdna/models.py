"""Models and vocabularies by name: one that comes with the package, or one that lies in a folder.

Flow: "small", a run folder or a model's folder -> a model in evaluation mode. Only the code of the model that lies
there is imported. Nothing is ever looked up on the network.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vqdna.errors import InputError
from vqdna.weights import DEFAULT, part_folder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from vqdna.encoder.causal_model import GenomeEncoderForCausalModeling
    from vqdna.encoder.genome_encoder import GenomeEncoder
    from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
    from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
    from vqdna.tokenizers import Tokenizer
    from vqdna.vocabulary.autoencoder import VQVAE

    AnyModel = (
        GenomeEncoder
        | GenomeEncoderForMaskedModeling
        | GenomeEncoderForCausalModeling
        | GenomeEncoderForSequenceClassification
    )
    Named = PreTrainedModel | str | Path
    Device = str | torch.device | None

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
    from vqdna.encoder.genome_encoder import load_encoder
    from vqdna.encoder.saved_models import saved_model_type

    folder = part_folder(name_or_dir, "encoder")
    if saved_model_type(folder) == FINE_TUNED:
        from vqdna.finetune.heads import load_classifier

        return load_classifier(folder).encoder
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
    from vqdna.encoder.genome_encoder import load_encoder
    from vqdna.encoder.saved_models import CAUSAL_MODEL_FOLDER, MASKED_MODEL_FOLDER, saved_model_type

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


def encoder_of(model: Named, device: Device = None) -> GenomeEncoder:
    """The encoder that a function was given: an encoder, a model with one, or what `load` takes.

    Args:
        model: see above.
        device: where to put it. None leaves a model where it is, and opens a named one on the GPU if there is one.
    """
    from vqdna.encoder.genome_encoder import GenomeEncoder

    opened = load(model) if isinstance(model, str | Path) else model
    encoder = opened if isinstance(opened, GenomeEncoder) else getattr(opened, "encoder", None)
    if not isinstance(encoder, GenomeEncoder):
        raise InputError(f"model: got {type(model).__name__}, expected a genome encoder, its name or its folder")
    return cast("GenomeEncoder", _placed(encoder, model, device))


def model_of(model: Named, device: Device = None) -> AnyModel:
    """The model that a function was given, with its head, or what `load_model` takes; `device` as in `encoder_of`."""
    if isinstance(model, str | Path):
        return cast("AnyModel", _placed(load_model(model), model, device))
    encoder_of(model)
    return cast("AnyModel", _placed(model, model, device))


def classifier_of(model: Named, device: Device = None) -> GenomeEncoderForSequenceClassification:
    """The fine-tuned model that a function was given, or whose run folder it was given; `device` as in `encoder_of`."""
    from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, load_classifier

    opened = load_classifier(part_folder(model, "encoder")) if isinstance(model, str | Path) else model
    if not isinstance(opened, GenomeEncoderForSequenceClassification):
        raise InputError(f"model: got {type(model).__name__}, expected a fine-tuned model or its run folder")
    return cast(GenomeEncoderForSequenceClassification, _placed(opened, model, device))


def tokenizer_of(tokenizer: Tokenizer | Named) -> Tokenizer:
    """The tokenizer that a function was given: one, a vocabulary, an encoder, or what `load_tokenizer` takes."""
    from vqdna.tokenizers import Tokenizer, load_tokenizer

    if isinstance(tokenizer, str | Path):
        return load_tokenizer(str(tokenizer))
    inside = getattr(tokenizer, "tokenizer", tokenizer)  # a genome encoder's
    if isinstance(inside, Tokenizer):
        return inside
    from vqdna.tokenizers.vq import VqTokenizer
    from vqdna.vocabulary.autoencoder import VQVAE

    if not isinstance(tokenizer, VQVAE):
        raise InputError(f"tokenizer: got {type(tokenizer).__name__}, expected a tokenizer, its name or its folder")
    return VqTokenizer(copy.deepcopy(tokenizer))  # it freezes the weights, and the caller's are not to be


def vocabulary_of(vocabulary: Named) -> VQVAE:
    """The vocabulary that a function was given, or what `load_vocabulary` takes."""
    from vqdna.vocabulary.autoencoder import VQVAE

    opened = load_vocabulary(vocabulary) if isinstance(vocabulary, str | Path) else vocabulary
    if not isinstance(opened, VQVAE):
        raise InputError(f"vocabulary: got {type(opened).__name__}, expected a vocabulary, its name or its folder")
    return opened


def _placed(model: Any, given: Named, device: Device) -> Any:
    """The model on the device; without one, what was given by name goes to the GPU if there is one."""
    from vqdna.devices import own_device

    if device is None and isinstance(given, str | Path):
        device = own_device()
    return model if device is None else model.to(device)


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Within, the model is in evaluation mode; afterwards as it was."""
    was_training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(was_training)
