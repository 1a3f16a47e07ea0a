"""The command line: one function per command, each importing its stage only when called.

`vqdna vocabulary -> pretrain -> finetune -> predict` is the pipeline; the commands of `benchmarking`, `preparing` and
`study` stand beside it. Results go to standard output (`--json` for machines), progress and errors to standard error.
"""

from vqdna.cli import (
    application,
    audit,
    checkpoints,
    datasets,
    preparing,
    stages,
    study,
    study_sars_cov_2,
    study_species,
)
from vqdna.cli.application import app, main, spread_options
from vqdna.cli.benchmarking import benchmark
from vqdna.cli.checkpoints import import_checkpoint
from vqdna.cli.preparing import bpe, doctor, pack, probe, report, simulate
from vqdna.cli.stages import embed, encode, finetune, predict, pretrain, variants, vocabulary

__all__ = [
    "app",
    "application",
    "audit",
    "benchmark",
    "bpe",
    "checkpoints",
    "datasets",
    "doctor",
    "embed",
    "encode",
    "finetune",
    "import_checkpoint",
    "main",
    "pack",
    "predict",
    "preparing",
    "pretrain",
    "probe",
    "report",
    "simulate",
    "spread_options",
    "stages",
    "study",
    "study_sars_cov_2",
    "study_species",
    "variants",
    "vocabulary",
]
