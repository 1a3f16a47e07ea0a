"""AUDIT: what the codes of any tokenizer hold, keep and lose, measured on genomes, two tokenizers side by side."""

from __future__ import annotations

from vqdna.audit.run import run_audit

__all__ = ["run_audit"]
