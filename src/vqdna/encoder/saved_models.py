"""Saved models: what the folder of a model that reads DNA holds, how it is opened, and how it goes to the Hub.

Flow: model -> folder of config, weights, the file that turns DNA text into base ids, and the model's card -> upload; so
a folder works with `AutoModel`, `AutoTokenizer` and `pipeline`. Back: the folder a user names, a run folder or the
`model/` in it -> folder with a config.json of the wanted model type -> model in evaluation mode. `DnaText` is no
tokenizer of the contract: it makes a base id of each letter, and codes are made of these inside the model. It must not
know what the models compute, and never looks anywhere else.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from huggingface_hub import HfApi
from safetensors import SafetensorError
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.normalizers import Replace
from tokenizers.normalizers import Sequence as InTurn
from tokenizers.pre_tokenizers import Split
from torch import nn
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import SAFE_WEIGHTS_NAME, logging

import tokenizers
from tokenizers import Regex
from vqdna.errors import InputError
from vqdna.genome.bases import BASES, IUPAC_CODES, UnknownBaseError, to_base_ids
from vqdna.quiet import no_bars_unwatched
from vqdna.results import RESULTS_FILE, read_json, write_atomically

UNKNOWN_BASE = "N"


class DnaText(PreTrainedTokenizerFast):
    """Letters to base ids, padded on the right with N; a letter that is no base is refused with its place."""

    def __call__(self, text: str | Sequence[str], *args: Any, **kwargs: Any) -> BatchEncoding:
        for number, letters in enumerate([text] if isinstance(text, str) else text):
            try:
                to_base_ids(letters)
            except UnknownBaseError as error:
                raise InputError(f"text {number} (from 0): {error}") from None
        encoding: BatchEncoding = super().__call__(text, *args, **kwargs)
        return encoding


def dna_text() -> DnaText:
    """The one there is: A C G T N = 0..4, no letters added at the ends."""
    letters = tokenizers.Tokenizer(WordLevel({base: number for number, base in enumerate(BASES + UNKNOWN_BASE)}))
    letters.normalizer = InTurn([Replace(Regex(f"[{written}]"), base) for base, written in _SPELLINGS.items()])
    letters.pre_tokenizer = Split(Regex("."), "isolated")
    letters.decoder = Fuse()
    return DnaText(
        tokenizer_object=letters,
        pad_token=UNKNOWN_BASE,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


_SPELLINGS = {
    **{base: base.lower() for base in "ACG"},
    "T": "tuU",
    UNKNOWN_BASE: f"n{IUPAC_CODES}{IUPAC_CODES.lower()}",
}
"""Other letters for each base."""


Model = TypeVar("Model", bound=PreTrainedModel)

MASKED_MODEL_FOLDER, CAUSAL_MODEL_FOLDER = "masked_model", "causal_model"
"""Beside an encoder's files: the same encoder with the head that it was pre-trained with."""

WRITTEN_BY = {
    "vqdna_vqvae": "vqdna vocabulary",
    "vqdna_genome_encoder": "vqdna pretrain",
    "vqdna_masked_modeling": "vqdna pretrain",
    "vqdna_causal_modeling": "vqdna import",
    "vqdna_sequence_classifier": "vqdna finetune",
}

LICENSE = "apache-2.0"
CARD_FILE = "README.md"
THIS_FOLDER = "."
HUB_OPTIONS = ("commit_message", "commit_description", "private", "token", "revision", "create_pr", "tags")


def add_weights(digest: Any, model: nn.Module) -> None:
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(dtype=torch.uint8).numpy().tobytes())


class DnaModel(PreTrainedModel):
    """A transformers model whose folder takes DNA as text and says what it is."""

    base_model_prefix = "encoder"
    main_input_name = "base_ids"
    _supports_sdpa = True
    # Loaded in half precision, a vocabulary would give other codes.
    _keep_in_fp32_modules_strict = {"tokenizer"}  # noqa: RUF012  # transformers reads a set

    def save_pretrained(  # type: ignore[override]  # further arguments by name alone
        self,
        save_directory: str | os.PathLike[str],
        is_main_process: bool = True,  # False on ranks other than the first, which write no text and no card
        state_dict: dict[str, Any] | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Folder with all that loads the model again; a card that is there already stays.

        Args:
            push_to_hub: also uploads, as `push_to_hub`; `repo_id` names the place, by default as the folder is named.
            kwargs: those of `PreTrainedModel.save_pretrained` and of `push_to_hub`.
        """
        folder = Path(save_directory)
        repo_id = kwargs.pop("repo_id", folder.absolute().name)
        hub = {option: kwargs.pop(option) for option in HUB_OPTIONS if option in kwargs}
        with no_bars_unwatched(logging):
            super().save_pretrained(save_directory, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
        if not is_main_process:
            return
        dna_text().save_pretrained(folder)
        if not (folder / CARD_FILE).exists():
            self.write_card(folder)
        if push_to_hub:
            self.push_to_hub(repo_id, **hub)

    def write_card(
        self,
        folder: Path,
        *,
        name: str = THIS_FOLDER,  # what the card's code loads the model by
        # of the run that trained the weights; None looks for them beside the folder the model came from, and takes them
        # if its weights are still the same
        results: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        notes: Sequence[str] = (),  # sentences beside those of `card_notes`
        license: str = LICENSE,  # of the weights, by the Hub's name for it
    ) -> None:
        """README.md in the folder that holds this model's weights, in place of one that is there."""
        from vqdna.encoder.model_card import model_card  # only a model that is saved has a card

        known = self._known_results(folder) if results is None else results
        card = model_card(self, name, results=known, tags=tags, notes=(*self.card_notes(), *notes), license=license)
        write_atomically(folder / CARD_FILE, card.encode())

    def card_notes(self) -> list[str]:
        return []

    def push_to_hub(  # type: ignore[override]
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: bool | str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        max_shard_size: int | str | None = "50GB",
        tags: Sequence[str] | None = None,
    ) -> str:
        """Address of the commit that uploads the whole folder; a card that the repository has already stays.

        The arguments are those of `PreTrainedModel.push_to_hub`, which would write an empty card over ours.
        """
        api = HfApi(token=token)
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None and not revision.startswith("refs/pr"):
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            self.save_pretrained(folder, max_shard_size=max_shard_size)
            # A card on the Hub may have been written by hand; ours, written with every save, must not replace it.
            if api.file_exists(repo_id, CARD_FILE, revision=revision):
                (folder / CARD_FILE).unlink()
            else:
                self.write_card(folder, name=repo_id, tags=tags or ())
            commit: str = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=commit_message or f"Upload {type(self).__name__}",
                commit_description=commit_description,
                revision=revision,
                create_pr=create_pr,
            )
        return commit

    def _known_results(self, folder: Path) -> dict[str, Any] | None:
        """Results beside the folder the model was loaded from, if what lies in `folder` are the same weights."""
        # A model may have been trained on since it was loaded: the card may claim a run's scores only for its weights.
        source = Path(self.name_or_path or folder)
        saved, loaded = folder / SAFE_WEIGHTS_NAME, source / SAFE_WEIGHTS_NAME
        if not (saved.is_file() and loaded.is_file() and filecmp.cmp(saved, loaded, shallow=False)):
            return None
        for place in (source, source.absolute().parent):
            if (place / RESULTS_FILE).is_file():
                return read_json(place / RESULTS_FILE)
        return None


def register_model(
    model_class: type[PreTrainedModel], auto_class: Any, encoder_class: type[PreTrainedModel] | None = None
) -> None:
    """Lets transformers open folders of the model: `auto_class` the model itself, `AutoTokenizer` the text beside it.

    `AutoModel` makes an `encoder_class` of the folder, as of any model with a head; None where that is the model.
    """
    config_class: Any = model_class.config_class
    AutoConfig.register(config_class.model_type, config_class)
    AutoTokenizer.register(config_class, fast_tokenizer_class=DnaText)
    auto_class.register(config_class, model_class)
    if encoder_class is not None:
        register_beside(config_class, MODEL_MAPPING, encoder_class)


def register_beside(config_class: type[PreTrainedConfig], models: Any, model_class: type[PreTrainedModel]) -> None:
    """Lists a model in one of transformers' mappings that is also made from a configuration not its own."""
    models.register(config_class, model_class)


def saved_model_type(path: Path) -> str | None:
    """Model type that `path/model` or `path` says it holds; None where neither has a config.json."""
    configs = [folder / "config.json" for folder in (path / "model", path)]
    return next((read_json(config).get("model_type") for config in configs if config.is_file()), None)


def model_folder(path: Path, model_type: str) -> Path:
    """Folder with the config.json of a `model_type`: `path/model` or `path` (an InputError says what lies there)."""
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
    """Saved model of a kind, in evaluation mode; InputError where none lies in the folder, or a damaged one."""
    folder = model_folder(path, model_type)
    try:
        with no_bars_unwatched(logging):
            model: Model = kind.from_pretrained(folder, local_files_only=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(f"{folder}: the weights cannot be read ({str(error).splitlines()[0]})") from None
    model.train(False)
    return model
