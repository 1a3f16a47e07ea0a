"""Published checkpoints as genome encoders of ours, in memory or in a folder.

Flow: Hub id or folder -> description -> encoder of its shape -> published tensors under our names, none left over or
missing -> `GenomeEncoder`, which takes DNA, is saved, fine-tuned and embedded with like any other. It must not know
families.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel
from torch import Tensor

from vqdna.checkpoints.description import UNUSED, Description, Reading, renamed
from vqdna.checkpoints.dnabert import read_dnabert, read_dnabert_2
from vqdna.checkpoints.hyenadna import read_hyenadna
from vqdna.checkpoints.nucleotide_transformer import (
    GATED_KEY,
    read_nucleotide_transformer,
    read_nucleotide_transformer_v2,
)
from vqdna.checkpoints.published import PUBLISHED, named, published_folder, read_weights
from vqdna.encoder.causal_model import GenomeEncoderForCausalModeling
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.saved_models import CAUSAL_MODEL_FOLDER, MASKED_MODEL_FOLDER, DnaModel
from vqdna.errors import InputError
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.results import folder_in_place, write_json

BACKBONE, TABLE, MASK = "backbone.", "embedding.tables.0.weight", "embedding.mask_vector"
DECODERS = {"hidden": "levels.0.weight", "next": "weight"}  # what a head compares states with, by what it predicts

NORM_EPS = 1e-12  # BERT's and ESM's, where a description has none

RECORD_FILE = "import.json"

Headed = TypeVar("Headed", GenomeEncoderForMaskedModeling, GenomeEncoderForCausalModeling)


class ImportRecord(BaseModel):
    """What was imported, as the file beside an imported encoder says it; no `max_positions` are any number."""

    imported_from: str
    revision: str | None
    layout: str
    parameters: int
    hidden_size: int
    max_positions: int | None


def load_published(name_or_folder: str | Path, revision: str | None = None) -> GenomeEncoder:
    """Genome encoder, in evaluation mode, whose hidden states are those of the published model.

    Special tokens stand around each row as the published tokenizer puts them; states of the row's own tokens are given.

    Args:
        name_or_folder: a Hub id, see `published_names`, or a folder in one of the published layouts.
        revision: commit, branch or tag of a Hub id; None for the newest.

    Raises:
        InputError: an unknown name, files that cannot be fetched or read, or tensors that are missing, too many or of
            another shape than the configuration says.
    """
    return _Opened(name_or_folder, revision).encoder()


def load_published_masked_model(
    name_or_folder: str | Path, revision: str | None = None
) -> GenomeEncoderForMaskedModeling:
    """The same with the published head, in evaluation mode: logits of hidden words are those of the published model."""
    opened = _Opened(name_or_folder, revision)
    return opened.masked_model(opened.encoder())


def load_published_causal_model(
    name_or_folder: str | Path, revision: str | None = None
) -> GenomeEncoderForCausalModeling:
    """The same of a model that was trained to predict what follows: logits of each next word are the published ones."""
    opened = _Opened(name_or_folder, revision)
    return opened.causal_model(opened.encoder())


def import_published(
    name_or_folder: str | Path,
    out: Path,
    revision: str | None = None,
    *,
    masked_model: bool = False,
    causal_model: bool = False,
) -> ImportRecord:
    """Saves the encoder of `load_published` to the folder `out`, and returns the record that is left beside it.

    The folder is to be empty or not there yet; every command takes it as an encoder afterwards. The model with its head
    is saved too where that is wanted, as a pre-training leaves it beside its encoder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: there is something already, expected a new or empty folder")
    opened = _Opened(name_or_folder, revision)
    encoder = opened.encoder()
    headed: dict[str, DnaModel] = {}
    if masked_model:
        headed[MASKED_MODEL_FOLDER] = opened.masked_model(encoder)
    if causal_model:
        headed[CAUSAL_MODEL_FOLDER] = opened.causal_model(encoder)
    name = str(name_or_folder)
    is_known = name in PUBLISHED and not Path(name).is_dir()
    record = ImportRecord(
        imported_from=name,
        revision=opened.folder.name if is_known else None,  # the Hub's cache names a folder after its commit
        layout=opened.layout,
        parameters=sum(parameter.numel() for parameter in encoder.parameters()),
        hidden_size=encoder.config.hidden_size,
        max_positions=encoder.max_positions,
    )
    where = f"[{name}](https://huggingface.co/{name})" if is_known else "a published checkpoint"
    licence = "their publisher's licence holds for them and for what is trained on them."
    with folder_in_place(out) as staging:
        encoder.save_pretrained(staging)
        for folder, model in headed.items():
            model.save_pretrained(staging / folder)
        encoder.write_card(staging, license="other", notes=[f"The weights are those of {where}; {licence}"])
        write_json(staging / RECORD_FILE, record.model_dump(mode="json"))
    return record


class _Opened:
    """A folder in one of the published layouts: what its description says, and its weights."""

    def __init__(self, name: str | Path, revision: str | None) -> None:
        self.folder = published_folder(name, revision)
        self.layout, self.reading = read_layout(self.folder)
        wanted = PUBLISHED.get(str(name), self.layout)
        if self.layout != wanted:
            raise InputError(f"{self.folder}: has the layout {self.layout}, expected {wanted} of {name}")
        self.weights = read_weights(self.folder)
        # One name, where the weights are whole; a model with a head has a prefix before it.
        table = self.reading.table
        self.table_names = [name for name in self.weights if name.removeprefix(self.reading.prefix) == table]

    def encoder(self) -> GenomeEncoder:
        reading = self.reading
        encoder = GenomeEncoder.from_tokenizer(
            reading.tokenizer, reading.backbone, "table", special_tokens=reading.special_tokens
        )
        encoder.load_state_dict(self._encoder_weights(encoder), strict=False)
        encoder.train(False)
        return encoder

    def masked_model(self, encoder: GenomeEncoder) -> GenomeEncoderForMaskedModeling:
        reading = self.reading
        if reading.predicts != "hidden" or not reading.head:
            why = "was trained with word dropout" if reading.predicts == "hidden" else "predicts what follows"
            raise InputError(
                f"{self.folder}: expected a model with a head for hidden words, got {self.layout}, which {why}"
            )
        eps = reading.backbone.get("layer_norm_eps", NORM_EPS)  # one for all norms of a model
        return self._with_head(GenomeEncoderForMaskedModeling.from_encoder(encoder, head_norm_eps=eps))

    def causal_model(self, encoder: GenomeEncoder) -> GenomeEncoderForCausalModeling:
        if self.reading.predicts != "next":
            wanted, why = "a model that predicts what follows", "predicts hidden words"
            raise InputError(f"{self.folder}: expected {wanted}, got {self.layout}, which {why}")
        return self._with_head(GenomeEncoderForCausalModeling.from_encoder(encoder))

    def _with_head(self, model: Headed) -> Headed:
        reading, wanted = self.reading, model.prediction.state_dict()
        names = {name: renamed(name, reading.head) for name in self.weights}
        head = {ours: self.weights[name].float() for name, ours in names.items() if ours is not None}
        num_words, decoder = reading.tokenizer.level_sizes[0], DECODERS[reading.predicts]
        if head or reading.predicts == "next":  # which has nothing besides
            # A head without vectors of its own compares states with the table of word embeddings.
            head.setdefault(decoder, self.weights[self.table_names[0]].float())
        for name in (decoder, decoder.replace("weight", "bias")):
            if name in head:
                head[name] = head[name][:num_words]  # published tables may be filled up to a round number of rows
        missing = sorted(wanted.keys() - head.keys())
        if missing:
            raise InputError(f"{self.folder}: the weights hold no whole head; they lack what becomes {named(missing)}")
        for name, tensor in head.items():
            self._check_shape(name, tensor, tuple(wanted[name].shape))
        model.prediction.load_state_dict(head)
        model.train(False)
        return model

    def _encoder_weights(self, encoder: GenomeEncoder) -> dict[str, Tensor]:
        """Every weight of the encoder, under our names; none may be missing, unknown or misshapen."""
        reading, folder = self.reading, self.folder
        if not self.table_names:
            raise InputError(f"{folder}: the weights lack '{reading.prefix}{reading.table}'")
        words = self.weights[self.table_names[0]]
        self._check_shape(self.table_names[0], words, (reading.table_rows, reading.backbone["hidden_size"]))
        ours = self._backbone_weights()
        wanted = encoder.backbone.state_dict()
        wanted = {name: tensor for name, tensor in wanted.items() if not name.endswith("word_embeddings.weight")}
        computed = {name for name, _ in encoder.backbone.named_buffers()}  # the constructor has made them already
        missing = sorted(wanted.keys() - ours.keys() - computed)
        if missing:
            raise InputError(f"{folder}: the weights lack what becomes {named(missing)}")
        extra = sorted(ours.keys() - wanted.keys())
        if extra:
            raise InputError(f"{folder}: the weights hold {named(extra)}, for which config.json has no place")
        for name, tensor in ours.items():
            self._check_shape(name, tensor, tuple(wanted[name].shape))
        table = words.float()[: reading.tokenizer.level_sizes[0]] * reading.table_scale
        masked = torch.zeros_like(table[0]) if reading.masked is None else table[reading.masked]
        return {TABLE: table, MASK: masked, **{BACKBONE + name: tensor for name, tensor in ours.items()}}

    def _backbone_weights(self) -> dict[str, Tensor]:
        """Tensors of the backbone by our names; those published under several names have to be the same."""
        reading, ours = self.reading, dict[str, Tensor]()
        published = {name: tensor for name, tensor in self.weights.items() if name not in self.table_names}
        unknown = sorted(name for name in published if reading.our_name(name) is None)
        if unknown:
            raise InputError(f"{self.folder}: the weights hold {named(unknown)}, which no model of this layout has")
        for name, tensor in published.items():
            our_name = reading.our_name(name)
            if our_name is None or our_name == UNUSED:
                continue
            changed = reading.changes[our_name](tensor) if our_name in reading.changes else tensor
            if our_name in ours and not torch.equal(ours[our_name], changed):
                raise InputError(f"{self.folder}: '{name}' differs from a tensor that has to be the same")
            ours[our_name] = changed
        return ours

    def _check_shape(self, name: str, tensor: Tensor, wanted: tuple[int, ...]) -> None:
        if tuple(tensor.shape) != wanted:
            got = tuple(tensor.shape)
            raise InputError(f"{self.folder}: '{name}' has the shape {got}, and config.json says {wanted}")


LAYOUTS: dict[str, Callable[[Description], Reading]] = {
    "dnabert": read_dnabert,
    "dnabert_2": read_dnabert_2,
    "nucleotide_transformer": read_nucleotide_transformer,
    "nucleotide_transformer_v2": read_nucleotide_transformer_v2,
    "hyenadna": read_hyenadna,
}

FAMILIES = {
    "bert": ("alibi_starting_size", "dnabert_2", "dnabert"),
    "esm": (GATED_KEY, "nucleotide_transformer_v2", "nucleotide_transformer"),
    "hyenadna": ("d_model", "hyenadna", "hyenadna"),
}
"""For each published model_type: a key of its configuration, the layout if it stands there, and the layout if not."""


def read_layout(folder: Path) -> tuple[str, Reading]:
    description = Description(folder)
    kind = description.values.get("model_type", "bert" if "type_vocab_size" in description.values else None)
    if kind not in FAMILIES:
        wanted = ", ".join(FAMILIES)
        raise InputError(f"{description.path}: expected one of {wanted} as 'model_type', got {json.dumps(kind)}")
    key, with_key, without = FAMILIES[kind]
    layout = with_key if key in description.values else without
    return layout, LAYOUTS[layout](description)
