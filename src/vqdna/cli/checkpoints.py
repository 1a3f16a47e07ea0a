"""`vqdna import`, a published checkpoint as a genome encoder, and `vqdna pack`, a trained model made small."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from vqdna.cli import options as opt
from vqdna.cli.application import app


@app.command("import", epilog="Example: `vqdna import zhihan1996/DNA_bert_6 --out models/dnabert`")
def import_checkpoint(
    source: Annotated[
        str, Argument(help="Name of a known model on the Hub, or a folder with its files.", metavar="NAME_OR_FOLDER")
    ],
    out: Annotated[Path, Option("--out", "-o", help="New folder, for --encoder of the other commands.")],
    revision: str | None = Option(None, help="Commit, branch or tag on the Hub; without it the newest."),
    masked_model: bool = Option(
        False, "--masked-model", help="Also keep the head that predicts masked tokens, for `vqdna variants`."
    ),
    causal_model: bool = Option(
        False, "--causal-model", help="Also keep the head that predicts the next token, for `vqdna variants`: HyenaDNA."
    ),
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """Turn a published model (DNABERT, DNABERT-2, Nucleotide Transformer, HyenaDNA) into a genome encoder."""
    from vqdna.checkpoints import import_published

    opt.prepare(quiet)
    record = import_published(source, out, revision, masked_model=masked_model, causal_model=causal_model)
    size, limit = f"{record.parameters:,} parameters", record.max_positions
    text = f"{record.layout}, {size}, rows of {f'at most {limit} tokens' if limit else 'any length'} -> {out}"
    opt.print_result(record.model_dump_json(indent=2) if as_json else text)


@app.command(epilog="Example: `vqdna pack --vocabulary runs/views --encoder runs/small --out models/mine`")
def pack(
    vocabulary: Annotated[
        Path, Option("--vocabulary", help="Run folder, or name, of the vocabulary inside the encoder.")
    ],
    encoder: Annotated[Path, Option("--encoder", help="Run folder of a finished pre-training.")],
    out: Annotated[Path, Option("--out", "-o", help="Folder to write; its name becomes the model's.")],
    study: Path | None = Option(None, help="Folder of a pre-training study, whose scores go on the model card."),
    limits: list[str] | None = Option(
        None, "--limit", help="A limit of the model, one sentence for its card. May be repeated."
    ),
) -> None:
    """Make a trained model small enough to share: vocabulary, encoder in half precision, and a model card."""
    from vqdna.inference.packing import pack as run_pack
    from vqdna.weights import part_folder

    opt.prepare()
    sizes = run_pack(part_folder(vocabulary, "vocabulary"), encoder, out, study=study, limits=limits or ())
    opt.print_result(", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in sizes.items()) + f" -> {out}")
