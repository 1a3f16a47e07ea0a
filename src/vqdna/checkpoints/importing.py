"""Published checkpoints as genome encoders of ours, in memory or in a folder.

Flow: Hub id or folder -> description -> encoder of its shape -> published tensors under our names, none left over or
missing -> `GenomeEncoder`, which takes DNA, is saved, fine-tuned and embedded with like any other. It must not know
families.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from vqdna.checkpoints.description import UNUSED, Reading
from vqdna.checkpoints.layouts import read_layout
from vqdna.checkpoints.published import PUBLISHED, published_folder
from vqdna.checkpoints.weights import named, read_weights
from vqdna.encoder.causal_model import CAUSAL_MODEL_FOLDER, GenomeEncoderForCausalModeling
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.sharing import DnaModel
from vqdna.errors import InputError
from vqdna.pretrain.objective import MASKED_MODEL_FOLDER, GenomeEncoderForMaskedModeling
from vqdna.results import put_in_place, write_json

BACKBONE, TABLE, MASK = "backbone.", "embedding.tables.0.weight", "embedding.mask_vector"
DECODERS = {"hidden": "levels.0.weight", "next": "weight"}
"""What a head compares states with, by what it predicts."""

NORM_EPS = 1e-12
"""BERT's and ESM's, where a description has none."""

RECORD_FILE = "import.json"


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
    return _encoder(_Opened(name_or_folder, revision))


def load_published_masked_model(
    name_or_folder: str | Path, revision: str | None = None
) -> GenomeEncoderForMaskedModeling:
    """The same with the published head, in evaluation mode: logits of hidden words are those of the published model.

    Args:
        name_or_folder: see `load_published`.
        revision: see `load_published`.

    Raises:
        InputError: see `load_published`; or the model has no head that predicts hidden words.
    """
    opened = _Opened(name_or_folder, revision)
    return _masked_model(_encoder(opened), opened)


def load_published_causal_model(
    name_or_folder: str | Path, revision: str | None = None
) -> GenomeEncoderForCausalModeling:
    """The same of a model that was trained to predict what follows: logits of each next word are the published ones.

    Args:
        name_or_folder: see `load_published`.
        revision: see `load_published`.

    Raises:
        InputError: see `load_published`; or the model has no head that predicts the next word.
    """
    opened = _Opened(name_or_folder, revision)
    return _causal_model(_encoder(opened), opened)


def import_published(
    name_or_folder: str | Path,
    out: Path,
    revision: str | None = None,
    *,
    masked_model: bool = False,
    causal_model: bool = False,
) -> dict[str, Any]:
    """Saves the encoder of `load_published` to the folder `out`, and returns the record that is left beside it.

    Args:
        name_or_folder: see `load_published`.
        out: a folder that is empty or not there yet; every command takes it as an encoder afterwards.
        revision: see `load_published`.
        masked_model: the model with its head is saved too, as a pre-training leaves it beside its encoder.
        causal_model: the same for a model that predicts what follows.

    Raises:
        InputError: see `load_published`; `out` has something in it; or a head is wanted and there is none.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: there is something already, expected a new or empty folder")
    opened = _Opened(name_or_folder, revision)
    encoder = _encoder(opened)
    headed: dict[str, DnaModel] = {}
    if masked_model:
        headed[MASKED_MODEL_FOLDER] = _masked_model(encoder, opened)
    if causal_model:
        headed[CAUSAL_MODEL_FOLDER] = _causal_model(encoder, opened)
    record = _record(encoder, str(name_or_folder), opened)
    staging = out.with_name(f".{out.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    encoder.save_pretrained(staging)
    for name, model in headed.items():
        model.save_pretrained(staging / name)
    encoder.write_card(staging, license="other", notes=[_origin(str(name_or_folder))])
    write_json(staging / RECORD_FILE, record)
    put_in_place(staging, out)
    return record


Headed = TypeVar("Headed", GenomeEncoderForMaskedModeling, GenomeEncoderForCausalModeling)


class _Opened:
    """A folder in one of the published layouts: what its description says, and its weights."""

    def __init__(self, name: str | Path, revision: str | None) -> None:
        self.folder = published_folder(name, revision)
        self.layout, self.reading = read_layout(self.folder)
        wanted = PUBLISHED.get(str(name), self.layout)
        if self.layout != wanted:
            raise InputError(f"{self.folder}: has the layout {self.layout}, expected {wanted} of {name}")
        self.weights = read_weights(self.folder)


def _encoder(opened: _Opened) -> GenomeEncoder:
    """Encoder with the folder's weights."""
    reading = opened.reading
    encoder = GenomeEncoder.from_tokenizer(
        reading.tokenizer, reading.backbone, "table", special_tokens=reading.special_tokens
    )
    encoder.load_state_dict(_our_weights(opened.weights, reading, encoder, opened.folder), strict=False)
    encoder.train(False)
    return encoder


def _masked_model(encoder: GenomeEncoder, opened: _Opened) -> GenomeEncoderForMaskedModeling:
    """The encoder under the folder's head for hidden words."""
    reading, layout = opened.reading, opened.layout
    if reading.predicts != "hidden" or not reading.head:
        why = "was trained with word dropout" if reading.predicts == "hidden" else "predicts what follows"
        raise InputError(f"{opened.folder}: expected a model with a head for hidden words, got {layout}, which {why}")
    eps = reading.backbone.get("layer_norm_eps", NORM_EPS)  # one for all norms of a model
    model = GenomeEncoderForMaskedModeling.from_encoder(encoder, head_norm_eps=eps)
    return _with_head(model, opened)


def _causal_model(encoder: GenomeEncoder, opened: _Opened) -> GenomeEncoderForCausalModeling:
    """The encoder under the folder's head for the next word."""
    if opened.reading.predicts != "next":
        wanted, why = "a model that predicts what follows", "predicts hidden words"
        raise InputError(f"{opened.folder}: expected {wanted}, got {opened.layout}, which {why}")
    model = GenomeEncoderForCausalModeling.from_encoder(encoder)
    return _with_head(model, opened)


def _with_head(model: Headed, opened: _Opened) -> Headed:
    """The model with the folder's head in place of its fresh one, in evaluation mode.

    Raises:
        InputError: some are missing, or of another shape.
    """
    wanted, head = model.prediction.state_dict(), _head_weights(opened.weights, opened.reading)
    missing = sorted(wanted.keys() - head.keys())
    if missing:
        raise InputError(f"{opened.folder}: the weights hold no whole head; they lack what becomes {named(missing)}")
    for name, tensor in head.items():
        _check_shape(opened.folder, name, tensor, tuple(wanted[name].shape))
    model.prediction.load_state_dict(head)
    model.train(False)
    return model


def _head_weights(published: Mapping[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """Tensors of the head by our names; one without vectors of its own compares with the table of word embeddings."""
    names = {name: reading.head_name(name) for name in published}
    head = {ours: published[name].float() for name, ours in names.items() if ours is not None}
    num_words, decoder = reading.tokenizer.level_sizes[0], DECODERS[reading.predicts]
    if head or reading.predicts == "next":  # which has nothing besides
        head.setdefault(decoder, published[_table_names(published, reading)[0]].float())
    of_words = (decoder, decoder.replace("weight", "bias"))
    return {name: tensor[:num_words] if name in of_words else tensor for name, tensor in head.items()}


def _our_weights(
    published: Mapping[str, Tensor], reading: Reading, encoder: GenomeEncoder, folder: Path
) -> dict[str, Tensor]:
    """Every weight of the encoder, under our names.

    Raises:
        InputError: tensors that are missing, unknown or misshapen, by their published or our names.
    """
    words, rest = _split_table(published, reading, folder)
    ours = _renamed(rest, reading, folder)
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
        _check_shape(folder, name, tensor, tuple(wanted[name].shape))
    table = words[: reading.tokenizer.level_sizes[0]] * reading.table_scale
    masked = torch.zeros_like(table[0]) if reading.masked is None else table[reading.masked]
    return {TABLE: table, MASK: masked, **{BACKBONE + name: tensor for name, tensor in ours.items()}}


def _split_table(published: Mapping[str, Tensor], reading: Reading, folder: Path) -> tuple[Tensor, dict[str, Tensor]]:
    """The table of word embeddings, and all other tensors."""
    names = _table_names(published, reading)
    if not names:
        raise InputError(f"{folder}: the weights lack '{reading.prefix}{reading.table}'")
    table = published[names[0]]
    _check_shape(folder, names[0], table, (reading.table_rows, reading.backbone["hidden_size"]))
    return table.float(), {name: tensor for name, tensor in published.items() if name not in names}


def _table_names(published: Mapping[str, Tensor], reading: Reading) -> list[str]:
    """Names of the table of word embeddings: one, where the weights are whole."""
    return [name for name in published if name.removeprefix(reading.prefix) == reading.table]


def _renamed(published: Mapping[str, Tensor], reading: Reading, folder: Path) -> dict[str, Tensor]:
    """Tensors of the backbone by our names; those published under several names have to be the same."""
    ours: dict[str, Tensor] = {}
    unknown = [name for name in published if reading.our_name(name) is None]
    if unknown:
        raise InputError(f"{folder}: the weights hold {named(sorted(unknown))}, which no model of this layout has")
    for name, tensor in published.items():
        our_name = reading.our_name(name)
        if our_name is None or our_name == UNUSED:
            continue
        changed = reading.changes[our_name](tensor) if our_name in reading.changes else tensor
        if our_name in ours and not torch.equal(ours[our_name], changed):
            raise InputError(f"{folder}: '{name}' differs from a tensor that has to be the same")
        ours[our_name] = changed
    return ours


def _check_shape(folder: Path, name: str, tensor: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != wanted:
        raise InputError(f"{folder}: '{name}' has the shape {tuple(tensor.shape)}, and config.json says {wanted}")


def _record(encoder: GenomeEncoder, name: str, opened: _Opened) -> dict[str, Any]:
    """What was imported; the Hub's cache names a folder after the commit that it holds."""
    return {
        "imported_from": name,
        "revision": opened.folder.name if name in PUBLISHED and not Path(name).is_dir() else None,
        "layout": opened.layout,
        "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
        "hidden_size": encoder.config.hidden_size,
        "max_positions": encoder.max_positions,
    }


def _origin(name: str) -> str:
    """Sentence for the card."""
    known = name in PUBLISHED and not Path(name).is_dir()
    where = f"[{name}](https://huggingface.co/{name})" if known else "a published checkpoint"
    return (
        f"The weights are those of {where}; their publisher's licence holds for them and for what is trained on them."
    )
