"""AUDIT: what the codes of any tokenizer hold, keep and lose, measured on genomes, two tokenizers side by side."""
