"""The command line: one function per command, each importing its stage only when called.

`vqdna vocabulary -> pretrain -> finetune -> predict` is the pipeline. Results go to standard output (`--json` for
machines), progress and errors to standard error. Importing a module registers its commands.
"""

from vqdna.cli import (
    applying,
    audit,
    benchmarking,
    checkpoints,
    datasets,
    doctor,
    preparing,
    reporting,
    stages,
    study,
    study_sars_cov_2,
    study_species,
)
from vqdna.cli.application import app, main, spread_options

__all__ = [
    "app",
    "applying",
    "audit",
    "benchmarking",
    "checkpoints",
    "datasets",
    "doctor",
    "main",
    "preparing",
    "reporting",
    "spread_options",
    "stages",
    "study",
    "study_sars_cov_2",
    "study_species",
]
