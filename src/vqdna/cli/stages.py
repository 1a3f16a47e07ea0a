"""The three stages: `vocabulary -> pretrain -> finetune`.

One function per command, its docstring the help text; each imports its stage only when called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from vqdna.cli.application import app
from vqdna.cli.options import (
    AsJson,
    ConfigName,
    DevTable,
    EncoderFolder,
    Gaps,
    Genomes,
    Out,
    Overrides,
    PlanOnly,
    Quiet,
    Seed,
    TestTable,
    TokenizerName,
    TrainTable,
    VocabularyFolder,
    gap_override,
    one_tokenizer,
    prepare,
    show,
    show_plan,
)


@app.command(
    epilog="Example: `vqdna vocabulary --config cpu --genomes genomes/ --out runs/hrq --set training.steps=2000`"
)
def vocabulary(
    genomes: Genomes,
    out: Out,
    config: ConfigName = "cpu",
    overrides: Overrides = None,
    gaps: Gaps = "error",
    seed: Seed = 0,
    plan: PlanOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Stage 1: learn a vocabulary of codes (VQ or HRQ) from genomes."""
    from vqdna.config import load_config
    from vqdna.genome.streams import sequence_files
    from vqdna.vocabulary.train import VocabularyConfig, plan_vocabulary, run_vocabulary

    prepare(quiet)
    resolved = load_config(VocabularyConfig, config, "vocabulary", [*(overrides or ()), *gap_override(gaps)])
    files = sequence_files(genomes)
    if plan:
        return show_plan(plan_vocabulary(resolved, genomes=files, seed=seed), as_json)
    results = run_vocabulary(resolved, genomes=files, out=out, seed=seed)
    show(
        results.model_dump(mode="json", exclude_unset=True),
        as_json,
        out,
        ("evaluation.reconstruction_accuracy", "evaluation.bits_per_base", "seconds"),
    )


@app.command(
    epilog="Example: `vqdna pretrain --config cpu --vocabulary runs/hrq --genomes genomes/ --out runs/encoder`"
)
def pretrain(
    genomes: Genomes,
    out: Out,
    vocabulary: VocabularyFolder = None,
    tokenizer: TokenizerName = None,
    config: ConfigName = "cpu",
    overrides: Overrides = None,
    gaps: Gaps = "error",
    seed: Seed = 0,
    plan: PlanOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Stage 2: pre-train a genome encoder by masked modelling, on the codes of a frozen vocabulary or tokenizer."""
    from vqdna.config import load_config
    from vqdna.genome.streams import sequence_files
    from vqdna.pretrain.train import PretrainConfig, plan_pretrain, run_pretrain

    prepare(quiet)
    resolved = load_config(PretrainConfig, config, "pretrain", [*(overrides or ()), *gap_override(gaps)])
    spec = one_tokenizer(vocabulary, tokenizer)
    files = sequence_files(genomes)
    if plan:
        return show_plan(plan_pretrain(resolved, tokenizer=spec, genomes=files, seed=seed), as_json)
    results = run_pretrain(resolved, tokenizer=spec, genomes=files, out=out, seed=seed)
    show(
        results,
        as_json,
        out,
        ("evaluation.masked_accuracy", "evaluation.base_nats", "evaluation.nats_per_base", "seconds"),
    )


@app.command(
    epilog="Example: `vqdna finetune --encoder runs/encoder --train train.csv --test test.csv --out runs/task --json`"
)
def finetune(
    train: TrainTable,
    out: Out,
    encoder: EncoderFolder = "small",
    dev: DevTable = None,
    test: TestTable = None,
    labels: Annotated[
        Path | None, Option("--labels", help="Table with columns name,label, where --train is a FASTA file.")
    ] = None,
    config: Annotated[
        str | None,
        Option(
            "--config",
            "-c",
            help="A YAML file, or a name in configs/. Without it, that of the built-in encoder, else cpu.",
        ),
    ] = None,
    overrides: Overrides = None,
    task: Annotated[
        str | None, Option("--task", help="classification, multilabel or regression. Without it, told from the labels.")
    ] = None,
    seed: Seed = 0,
    plan: PlanOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Stage 3: fine-tune a genome encoder on labelled sequences (LoRA, all weights, or a linear head).

    With `--config cnn-words` a small network is trained from scratch instead, on bases and learned codes.
    """
    from vqdna.config import load_config
    from vqdna.finetune.files import finetune_files, plan_files
    from vqdna.finetune.settings import FinetuneConfig
    from vqdna.weights import built_in_names, part_folder

    prepare(quiet)
    suited = encoder if encoder in built_in_names("encoder") else "cpu"
    resolved = load_config(FinetuneConfig, config or suited, "finetune", overrides or ())
    source = part_folder(encoder, "encoder")
    if plan:
        about = {"train": train, "dev": dev, "seed": seed, "task": task, "labels": labels}
        return show_plan(plan_files(resolved, encoder=source, **about), as_json)  # type: ignore[arg-type]
    results = finetune_files(
        resolved,
        encoder=source,
        train=train,
        dev=dev,
        test=test,
        out=out,
        seed=seed,
        task=task,
        labels=labels,
    )
    show(results.to_json(), as_json, out, ("dev", "test", "seconds"))
