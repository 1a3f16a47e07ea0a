"""Tokenizers by name: a spec from the command line, or the settings saved inside a model, to the tokenizer itself.

Specs are `nucleotide`, `kmer:K` (stride 1), `kmer:K:STRIDE`, `bpe:DIR`, `vq:DIR`, and a plain directory that holds
either a trained vocabulary or a trained BPE. The learned tokenizer's module is imported only when one is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqdna.errors import InputError, nearest_name_hint
from vqdna.results import read_json
from vqdna.tokenizers.base_words import BaseWordTokenizer
from vqdna.tokenizers.bpe import SETTINGS_FILE, BpeTokenizer
from vqdna.tokenizers.contract import Tokenizer
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer
from vqdna.tokenizers.published_words import PublishedWordTokenizer

KINDS = ("nucleotide", "kmer", "bpe", "vq", PublishedWordTokenizer.kind, BaseWordTokenizer.kind)
GRAMMAR = "nucleotide, kmer:K, kmer:K:STRIDE, bpe:DIR, vq:DIR or a directory"


def load_tokenizer(spec: str) -> Tokenizer:
    """Tokenizer that the spec names.

    Raises:
        InputError: unknown kind, numbers that make no k-mer, or a directory that holds no tokenizer.
    """
    kind, separator, rest = spec.partition(":")
    if spec == "nucleotide":
        return NucleotideTokenizer()
    if kind == "kmer":
        return _kmer_tokenizer(spec, rest)
    if kind in ("bpe", "vq") and separator:
        return _from_directory(kind, _existing_directory(spec, rest))
    if spec and Path(spec).is_dir():
        return _from_directory(_kind_of_directory(Path(spec)), Path(spec))
    raise InputError(
        f"tokenizer '{spec}': no such kind or directory, expected {GRAMMAR}{nearest_name_hint(kind, KINDS)}"
    )


def tokenizer_from_settings(settings: Mapping[str, Any]) -> Tokenizer:
    """Tokenizer built from what `Tokenizer.settings` gave; a learned one's weights follow by `load_state_dict`.

    Raises:
        InputError: the kind is unknown, or a setting of that kind is missing.
    """
    kind = str(settings.get("kind"))
    if kind not in KINDS:
        hint = nearest_name_hint(kind, KINDS)
        raise InputError(f"tokenizer settings: got the kind '{kind}', expected one of {', '.join(KINDS)}{hint}")
    try:
        return _tokenizer_class(kind).from_settings(settings)
    except KeyError as missing:
        raise InputError(f"tokenizer settings of kind '{kind}' lack {missing}") from missing


def tokenizer_name(tokenizer: Tokenizer) -> str:
    """Name under which results list the tokenizer: its spec without directory, a learned one by its quantizer."""
    if isinstance(tokenizer, KmerTokenizer):
        return f"kmer:{tokenizer.k}" + (f":{tokenizer.stride}" if tokenizer.stride > 1 else "")
    if isinstance(tokenizer, PublishedWordTokenizer):
        return f"{tokenizer.model}:{tokenizer.k}" if tokenizer.k > 1 else tokenizer.model
    if isinstance(tokenizer, BaseWordTokenizer):
        return f"nucleotide+{tokenizer_name(tokenizer.words)}"
    if tokenizer.kind == "vq":
        return str(
            tokenizer.settings()["vocabulary"].get("quantizer", "hrq")
        )  # left out of a file where it is the default
    return tokenizer.kind


def _kmer_tokenizer(spec: str, numbers: str) -> KmerTokenizer:
    parts = numbers.split(":")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"tokenizer '{spec}': expected kmer:K or kmer:K:STRIDE with whole numbers, such as kmer:6")
    return KmerTokenizer(*map(int, parts))


def _existing_directory(spec: str, path: str) -> Path:
    if not path or not Path(path).is_dir():
        raise InputError(f"tokenizer '{spec}': '{path}' is no directory, expected {GRAMMAR}")
    return Path(path)


def _kind_of_directory(directory: Path) -> str:
    """`bpe` for what `BpeTokenizer.save` wrote, otherwise `vq`, whose loader says what it misses."""
    settings = directory / SETTINGS_FILE
    return "bpe" if settings.is_file() and read_json(settings).get("kind") == "bpe" else "vq"


def _from_directory(kind: str, directory: Path) -> Tokenizer:
    if kind == "bpe":
        return BpeTokenizer.from_directory(directory)
    from vqdna.tokenizers.vq import VqTokenizer

    return VqTokenizer.from_directory(directory)


def _tokenizer_class(kind: str) -> type[Tokenizer]:
    if kind == "vq":
        from vqdna.tokenizers.vq import VqTokenizer

        return VqTokenizer
    others: tuple[type[Tokenizer], ...] = (
        NucleotideTokenizer, KmerTokenizer, BpeTokenizer, PublishedWordTokenizer, BaseWordTokenizer,
    )  # fmt: skip
    return {tokenizer.kind: tokenizer for tokenizer in others}[kind]
