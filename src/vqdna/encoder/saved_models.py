"""Saved models by the folder a user names: a run folder, or the `model/` in it.

Flow: path -> folder with a config.json of the wanted model type -> model in evaluation mode. Never looks anywhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from transformers import PreTrainedModel

from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig
from vqdna.errors import InputError
from vqdna.results import read_json

Model = TypeVar("Model", bound=PreTrainedModel)

MASKED_MODEL_FOLDER, CAUSAL_MODEL_FOLDER = "masked_model", "causal_model"
"""Beside an encoder's files: the same encoder with the head that it was pre-trained with."""

WRITTEN_BY = {
    "vqdna_vqvae": "vqdna vocabulary",
    GenomeEncoderConfig.model_type: "vqdna pretrain",
    "vqdna_masked_modeling": "vqdna pretrain",
    "vqdna_causal_modeling": "vqdna import",
    "vqdna_sequence_classifier": "vqdna finetune",
}


def load_encoder(path: Path) -> GenomeEncoder:
    """Pre-trained encoder in the run folder `path` or in its `model/`.

    Raises:
        InputError: no encoder lies there, or its files are damaged.
    """
    return load_model(GenomeEncoder, path, GenomeEncoderConfig.model_type)


def saved_model_type(path: Path) -> str | None:
    """Model type that `path/model` or `path` says it holds; None where neither has a config.json."""
    configs = [folder / "config.json" for folder in (path / "model", path)]
    return next((read_json(config).get("model_type") for config in configs if config.is_file()), None)


def model_folder(path: Path, model_type: str) -> Path:
    """Folder with the config.json of a `model_type`: `path/model` or `path`.

    Raises:
        InputError: neither has one; says what lies there instead.
    """
    wanted = f"a model that `{WRITTEN_BY[model_type]}` wrote"
    if not path.is_dir():
        raise InputError(f"{path}: no such folder, expected {wanted}")
    found = []
    for folder in (path / "model", path):
        if (folder / "config.json").is_file():
            found.append(read_json(folder / "config.json").get("model_type"))
            if found[-1] == model_type:
                return folder
    if not found:
        raise InputError(f"{path}: no model here (no config.json in it or in model/), expected {wanted}")
    writer = WRITTEN_BY.get(str(found[0]))
    what = f"the model of `{writer}`" if writer not in (None, WRITTEN_BY[model_type]) else f"a '{found[0]}'"
    raise InputError(f"{path}: holds {what}, expected {wanted}")


def load_model(kind: type[Model], path: Path, model_type: str) -> Model:
    """Saved model of a kind, in evaluation mode.

    Raises:
        InputError: none of this type lies in the folder, or its files are damaged.
    """
    folder = model_folder(path, model_type)
    try:
        model: Model = kind.from_pretrained(folder, local_files_only=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(f"{folder}: the weights cannot be read ({str(error).splitlines()[0]})") from None
    model.train(False)
    return model
