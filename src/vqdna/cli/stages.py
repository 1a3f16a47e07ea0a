"""The three stages: `vocabulary -> pretrain -> finetune`.

One function per command, its docstring the help text; each imports its stage only when called.
"""

from __future__ import annotations

from pathlib import Path

from typer import Option

from vqdna.cli import options as opt
from vqdna.cli.application import app


@app.command(
    epilog="Example: `vqdna vocabulary --config cpu --genomes genomes/ --out runs/hrq --set training.steps=2000`"
)
def vocabulary(
    genomes: opt.Genomes,
    out: opt.Out,
    config: opt.ConfigName = "cpu",
    overrides: opt.Overrides = None,
    gaps: opt.Gaps = "error",
    seed: opt.Seed = 0,
    plan: opt.PlanOnly = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """Stage 1: learn a vocabulary of codes (VQ or HRQ) from genomes."""
    from vqdna.config import load_config
    from vqdna.genome.streams import sequence_files
    from vqdna.vocabulary.train import VocabularyConfig, plan_vocabulary, run_vocabulary

    opt.prepare(quiet)
    resolved = load_config(VocabularyConfig, config, "vocabulary", [*(overrides or ()), *opt.gap_override(gaps)])
    files = sequence_files(genomes)
    if plan:
        return opt.show_plan(plan_vocabulary(resolved, genomes=files, seed=seed), as_json)
    results = run_vocabulary(resolved, genomes=files, out=out, seed=seed).model_dump(mode="json", exclude_unset=True)
    opt.show(results, as_json, out, ("evaluation.reconstruction_accuracy", "evaluation.bits_per_base", "seconds"))


@app.command(
    epilog="Example: `vqdna pretrain --config cpu --vocabulary runs/hrq --genomes genomes/ --out runs/encoder`"
)
def pretrain(
    genomes: opt.Genomes,
    out: opt.Out,
    vocabulary: opt.VocabularyFolder = None,
    tokenizer: opt.TokenizerName = None,
    config: opt.ConfigName = "cpu",
    overrides: opt.Overrides = None,
    gaps: opt.Gaps = "error",
    seed: opt.Seed = 0,
    plan: opt.PlanOnly = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """Stage 2: pre-train a genome encoder by masked modelling, on the codes of a frozen vocabulary or tokenizer."""
    from vqdna.config import load_config
    from vqdna.genome.streams import sequence_files
    from vqdna.pretrain.train import PretrainConfig, plan_pretrain, run_pretrain

    opt.prepare(quiet)
    resolved = load_config(PretrainConfig, config, "pretrain", [*(overrides or ()), *opt.gap_override(gaps)])
    spec = opt.one_tokenizer(vocabulary, tokenizer)
    files = sequence_files(genomes)
    if plan:
        return opt.show_plan(plan_pretrain(resolved, tokenizer=spec, genomes=files, seed=seed), as_json)
    results = run_pretrain(resolved, tokenizer=spec, genomes=files, out=out, seed=seed)
    shown = ("masked_accuracy", "base_nats", "nats_per_base")
    opt.show(results, as_json, out, (*(f"evaluation.{name}" for name in shown), "seconds"))


@app.command(
    epilog="Example: `vqdna finetune --encoder runs/encoder --train train.csv --test test.csv --out runs/task --json`"
)
def finetune(
    train: opt.TrainTable,
    out: opt.Out,
    encoder: opt.EncoderFolder = "small",
    dev: opt.DevTable = None,
    test: opt.TestTable = None,
    labels: Path | None = Option(None, help="Table with columns name,label, where --train is a FASTA file."),
    config: str | None = Option(
        None,
        "--config",
        "-c",
        help="A YAML file, or a name in configs/. Without it, that of the built-in encoder, else cpu.",
    ),
    overrides: opt.Overrides = None,
    task: str | None = Option(None, help="classification, multilabel or regression. Without it, told from the labels."),
    seed: opt.Seed = 0,
    plan: opt.PlanOnly = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """Stage 3: fine-tune a genome encoder on labelled sequences (LoRA, all weights, or a linear head).

    With `--config cnn-words` a small network is trained from scratch instead, on bases and learned codes.
    """
    from vqdna.config import load_config
    from vqdna.finetune.public import finetune_files, plan_files, suited_config
    from vqdna.finetune.settings import FinetuneConfig
    from vqdna.weights import part_folder

    opt.prepare(quiet)
    resolved = load_config(FinetuneConfig, config or suited_config(encoder), "finetune", overrides or ())
    source = part_folder(encoder, "encoder")
    files = {"train": train, "dev": dev, "seed": seed, "task": task, "labels": labels}
    if plan:
        return opt.show_plan(plan_files(resolved, encoder=source, **files), as_json)  # type: ignore[arg-type]
    results = finetune_files(resolved, encoder=source, test=test, out=out, **files)  # type: ignore[arg-type]
    opt.show(results.to_json(), as_json, out, ("dev", "test", "seconds"))
