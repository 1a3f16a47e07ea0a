"""Stage 3: a pre-trained genome encoder learns a labelled task, by LoRA, in full, or with a head alone."""

from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, SequenceClassifierConfig
from vqdna.finetune.token_labels import GenomeEncoderForTokenClassification, TokenClassifierConfig

__all__ = [
    "GenomeEncoderForSequenceClassification",
    "GenomeEncoderForTokenClassification",
    "SequenceClassifierConfig",
    "TokenClassifierConfig",
]
