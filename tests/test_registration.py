"""`import vqdna` makes transformers know our models, whichever is imported first, and costs no import of torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vqdna.encoder.causal_model import GenomeEncoderForCausalModeling
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune import GenomeEncoderForSequenceClassification, GenomeEncoderForTokenClassification
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

BACKBONE = {"model_type": "modernbert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
BACKBONE |= {"intermediate_size": 8}
HYENA = {"model_type": "vqdna_hyena", "hidden_size": 8, "num_hidden_layers": 1, "max_position_embeddings": 16}

OURS, THEIRS = "import vqdna", "import transformers; from transformers import AutoConfig, AutoModel"

OPEN_ALL = """
import sys
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification
classes = {
    "vocabulary": (AutoModel,), "encoder": (AutoModel,),
    "masked": (AutoModelForMaskedLM, AutoModel), "causal": (AutoModelForCausalLM, AutoModel),
    "sequence": (AutoModelForSequenceClassification, AutoModel), "token": (AutoModelForTokenClassification, AutoModel),
}
for name, autos in classes.items():
    folder = Path(sys.argv[1]) / name
    models = [auto.from_pretrained(folder) for auto in autos]
    print(name, AutoConfig.from_pretrained(folder).model_type, *(type(model).__name__ for model in models))
"""

OPENED = """\
vocabulary vqdna_vqvae VQVAE
encoder vqdna_genome_encoder GenomeEncoder
masked vqdna_masked_modeling GenomeEncoderForMaskedModeling GenomeEncoder
causal vqdna_causal_modeling GenomeEncoderForCausalModeling GenomeEncoder
sequence vqdna_sequence_classifier GenomeEncoderForSequenceClassification GenomeEncoder
token vqdna_token_classifier GenomeEncoderForTokenClassification GenomeEncoder
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """One saved folder of every model we have."""
    path = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    encoder = GenomeEncoder.from_tokenizer(KmerTokenizer(2), BACKBONE)
    models = {
        "vocabulary": VQVAE(VQVAEConfig(width=8, stem_width=8, level_sizes=(4, 8), num_blocks=2)),
        "encoder": encoder,
        "masked": GenomeEncoderForMaskedModeling.from_encoder(encoder),
        "causal": GenomeEncoderForCausalModeling.from_encoder(
            GenomeEncoder.from_tokenizer(KmerTokenizer(2), HYENA, "table")
        ),
        "sequence": GenomeEncoderForSequenceClassification.from_encoder(encoder),
        "token": GenomeEncoderForTokenClassification.from_encoder(encoder),
    }
    for name, model in models.items():
        model.save_pretrained(path / name)
    return path


def run(code: str, *arguments: str) -> str:
    """What the code prints, run by an interpreter that has imported nothing yet."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("imports", [(OURS, THEIRS), (THEIRS, OURS)], ids=["vqdna first", "transformers first"])
def test_every_model_opens_whichever_import_comes_first(imports, folders):
    assert run("\n".join((*imports, OPEN_ALL)), str(folders)) == OPENED


@pytest.mark.parametrize("first", ["AutoTokenizer", "Trainer", "pipeline"])
@pytest.mark.slow
def test_the_first_thing_taken_from_transformers_may_be_anything(first, folders):
    """Their modules import each other in circles; ours must not come between."""
    code = f"import vqdna\nfrom transformers import {first}\n{THEIRS}\n{OPEN_ALL}"
    assert run(code, str(folders)) == OPENED


def test_importing_us_and_asking_for_help_import_nothing_heavy():
    code = """
import sys
import vqdna
from vqdna.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print("heavy:", {"torch", "transformers", "peft"} & set(sys.modules))
"""
    assert run(code).splitlines()[-1] == "heavy: set()"


def test_importing_us_after_transformers_imports_no_model():
    code = "import sys, transformers, vqdna\nprint([name for name in sys.modules if name.startswith('vqdna.pretrain')])"
    assert run(code) == "[]\n"


def test_what_the_package_does_not_have_is_told():
    import vqdna

    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = vqdna.laod
