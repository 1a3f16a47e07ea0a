"""Stage 3: a pre-trained genome encoder learns a labelled task, by LoRA, in full, or with a head alone."""

from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, SequenceClassifierConfig

__all__ = ["GenomeEncoderForSequenceClassification", "SequenceClassifierConfig"]
