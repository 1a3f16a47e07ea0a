from __future__ import annotations

from vqdna.tokenizers.contract import Tokenizer, Tokens
from vqdna.tokenizers.loading import load_tokenizer, tokenizer_from_settings, tokenizer_name

__all__ = ["Tokenizer", "Tokens", "load_tokenizer", "tokenizer_from_settings", "tokenizer_name"]
