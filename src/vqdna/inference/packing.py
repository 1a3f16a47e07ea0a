"""A trained model made small enough to share: vocabulary, encoder in half precision, and a card with its whole story.

Flow: run folders of stages 1 and 2 (and of a pre-training study) -> OUT/vocabulary, OUT/encoder, OUT/README.md. The
tokenizer keeps full precision, for a rounded code vector could change a code; the other weights are stored in half
precision and come back in float32. It must not know how to train.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vqdna.encoder.genome_encoder import GenomeEncoder, load_encoder
from vqdna.encoder.model_card import model_card
from vqdna.errors import InputError
from vqdna.results import RESULTS_FILE, put_in_place, read_json, write_json
from vqdna.tokenizers.vq import model_directory

MAX_BYTES = 25_000_000
"""Largest model, all its files together."""

WEIGHTS = ("config.json", "model.safetensors")
PACKED_RECORD = ("command", "seed", "seconds", "steps", "bases_seen")
"""What a packed vocabulary keeps of its run's results, so that another encoder over it can be packed later."""


def pack(
    vocabulary: Path, encoder: Path, out: Path, *, study: Path | None = None, limits: Sequence[str] = ()
) -> dict[str, int]:
    """Bytes of each part of the model written to `out`, which appears whole or not at all.

    Args:
        vocabulary: run folder of stage 1, or a packed vocabulary; the very one inside the encoder.
        encoder: finished run folder of stage 2.
        out: folder to write; its name is the model's.
        study: folder of a pre-training study whose summary goes on the card.
        limits: sentences about what the model is not good for.

    Raises:
        InputError: a folder without a model or without results, or a model that is too large.
    """
    results = read_json(encoder / RESULTS_FILE)
    model = load_encoder(encoder)
    staging = out.with_name(f".{out.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "vocabulary").mkdir(parents=True)
    for name in WEIGHTS:
        shutil.copyfile(model_directory(vocabulary) / name, staging / "vocabulary" / name)
    learned = read_json(vocabulary / RESULTS_FILE)
    write_json(
        staging / "vocabulary" / RESULTS_FILE, {name: learned[name] for name in PACKED_RECORD if name in learned}
    )
    model.save_pretrained(staging / "encoder", state_dict=halved(model.state_dict()))
    use = (
        f'Where the folder lies inside the package, `vqdna.load("{out.name}")` opens the encoder, and commands take it'
        f" as `--encoder {out.name}` and `--vocabulary {out.name}`."
    )
    notes = [_results_of_study(read_json(study / "summary.json"))] if study is not None else []
    notes += ["## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits)] if limits else []
    trained = _training(model, results, learned)
    card = model_card(model, f"{out.name}/encoder", notes=[use, trained, *notes], title=out.name)
    (staging / "README.md").write_text(card)
    for path in staging.rglob("*.*"):
        path.chmod(0o644)
    sizes = {part: _size(staging / part) for part in ("vocabulary", "encoder")}
    if sum(sizes.values()) > MAX_BYTES:
        shutil.rmtree(staging)
        raise InputError(f"{encoder}: weighs {sum(sizes.values()):,} bytes packed, expected at most {MAX_BYTES:,}")
    put_in_place(staging, out)
    return sizes


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in half precision, but for the tokenizer's."""
    # A code is the nearest code vector: a rounded vector could change codes, so the tokenizer keeps its weights.
    return {
        name: value if name.startswith("tokenizer.") or not value.is_floating_point() else value.to(torch.float16)
        for name, value in weights.items()
    }


def _training(model: GenomeEncoder, encoder: Mapping[str, Any], vocabulary: Mapping[str, Any]) -> str:
    """What both stages saw, how long they took, and what came of it."""
    genomes, masking, evaluation = encoder["genomes"], encoder["masking"], encoder["evaluation"]
    found = evaluation.get("contrast_accuracy")
    lines = [
        f"genomes: {genomes['num_bases']:,} bases of {len(genomes['species'])} files, species weighted as the"
        " configuration says, whole contigs held out",
        f"vocabulary: {vocabulary['bases_seen']:,} bases seen in {vocabulary['steps']:,} steps,"
        f" {vocabulary['seconds'] / 60:.0f} minutes; `{_anywhere(vocabulary['command'])}`",
        f"encoder: {encoder['bases_seen']:,} bases seen in {encoder['steps']:,} steps,"
        f" {encoder['seconds'] / 60:.0f} minutes; `{_anywhere(encoder['command'])}`",
        f"masked: {100 * masking['fraction']:.0f} % of the bases in stretches of {masking['span']}, unit"
        f" `{masking['unit']}`; predicted: {encoder['target']}",
        f"held-out contigs: {evaluation['base_nats']:.4f} nats per masked base (guessing: 1.3863),"
        f" {100 * evaluation['masked_accuracy'][0]:.1f} % guessed right",
        *(
            [f"crops: {100 * found:.0f} % of them found the other crop of their stretch, on the same contigs"]
            if found
            else []
        ),
        f"one position stands for {model.bases_per_position:.0f} bases; stored in half precision",
    ]
    return "## Training\n\n" + "\n".join(f"- {line}" for line in lines)


def _anywhere(command: str) -> str:
    """The command with the names of files and folders, without where they lay."""
    return shlex.join(Path(word).name if word.startswith("/") else word for word in shlex.split(command))


def _results_of_study(summary: Mapping[str, Any]) -> str:
    """Mean dev MCC by the bases seen in pre-training."""
    lines = ["| bases seen in pre-training | seeds | mean dev MCC x 100 |", "|---|---|---|"]
    for row in summary["rows"]:
        if row["mean"] is not None:
            spread = "" if row["sd"] is None else f" ± {100 * row['sd']:.1f}"
            seen = f"no encoder, {_tokenizer_of(row)}" if row["bases_seen"] is None else f"{row['bases_seen']:,}"
            lines.append(f"| {seen} | {len(row['seeds'])} | {100 * row['mean']:.1f}{spread} |")
    sets = len(summary["rows"][0]["datasets"])
    most = max(summary["rows"][0]["sequences"].values())
    return (
        f"## Scores\n\nFine-tuned alike on {sets} GUE datasets (at most {most:,} training sequences each), dev splits;"
        " 0 bases is the same architecture with random initialization; no encoder is logistic regression on code"
        " counts.\n\n" + "\n".join(lines)
    )


def _tokenizer_of(row: Mapping[str, Any]) -> str:
    """What a control without an encoder counts."""
    spec = str(row["encoder"]).removeprefix("probe:")
    return "this vocabulary's codes" if spec.startswith("vq:") or "/" in spec else spec


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
