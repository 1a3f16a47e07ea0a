"""Tokenizers by name: a spec from the command line, or the settings saved inside a model, to the tokenizer itself.

Specs are the name of a built-in vocabulary (`small`), `nucleotide`, `kmer:K` (stride 1), `kmer:K:STRIDE`, `bpe:DIR`,
`vq:DIR`, and a plain directory that holds either a trained vocabulary or a trained BPE. The module of a kind is
imported only when one is asked for.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from vqdna.errors import InputError, nearest_name_hint
from vqdna.results import read_json
from vqdna.tokenizers.contract import Tokenizer, TokenizerSettings
from vqdna.weights import built_in_folder, built_in_names

CLASSES = {
    "nucleotide": ("vqdna.tokenizers.nucleotide", "NucleotideTokenizer"),
    "kmer": ("vqdna.tokenizers.kmer", "KmerTokenizer"),
    "bpe": ("vqdna.tokenizers.bpe", "BpeTokenizer"),
    "published_words": ("vqdna.tokenizers.published_words", "PublishedWordTokenizer"),
    "base_words": ("vqdna.tokenizers.base_words", "BaseWordTokenizer"),
    "vq": ("vqdna.tokenizers.vq", "VqTokenizer"),
}
"""Module and class of each kind; that of "vq" brings the vocabulary with it."""

GRAMMAR = "nucleotide, kmer:K, kmer:K:STRIDE, bpe:DIR, vq:DIR, a directory or a built-in vocabulary"


def load_tokenizer(spec: str | Path) -> Tokenizer:
    """Tokenizer that the spec names; a name means a built-in vocabulary first, so `./small` is always a directory.

    Args:
        spec: what `--tokenizer` of the commands takes: the name of a built-in vocabulary, such as "small",
            "nucleotide", "kmer:K", "kmer:K:STRIDE", "bpe:DIR", "vq:DIR", or a directory with a vocabulary or a BPE.

    Raises:
        InputError: unknown kind (gives the nearest), numbers that make no k-mer, or a directory without a tokenizer.

    Example:
        >>> import vqdna
        >>> vqdna.load_tokenizer("kmer:6").level_sizes
        (4101,)
    """
    text = str(spec)
    kind, separator, rest = text.partition(":")
    built_in = built_in_names("vocabulary")
    if text == "nucleotide":
        return _made(_class("nucleotide")())
    if kind == "kmer":
        numbers = rest.split(":")
        if len(numbers) > 2 or not all(number.isascii() and number.isdigit() for number in numbers):
            raise InputError(f"tokenizer '{spec}': expected kmer:K or kmer:K:STRIDE with whole numbers, such as kmer:6")
        return _made(_class("kmer")(*map(int, numbers)))
    if text in built_in or (kind == "vq" and rest in built_in):
        return _made(_class("vq").from_directory(built_in_folder(rest or text, "vocabulary")))
    if kind in ("bpe", "vq") and separator:
        if not rest or not Path(rest).is_dir():
            raise InputError(f"tokenizer '{spec}': '{rest}' is no directory, expected {GRAMMAR}")
        return _made(_class(kind).from_directory(Path(rest)))
    if text and Path(text).is_dir():
        settings = Path(text) / "settings.json"  # which a BPE writes; a vocabulary's loader says what it misses
        is_bpe = settings.is_file() and read_json(settings).get("kind") == "bpe"
        return _made(_class("bpe" if is_bpe else "vq").from_directory(Path(text)))
    hint = nearest_name_hint(kind, (*CLASSES, *built_in))
    raise InputError(f"tokenizer '{spec}': no such kind or directory, expected {GRAMMAR}{hint}")


def tokenizer_from_settings(settings: TokenizerSettings) -> Tokenizer:
    """Tokenizer built from what `Tokenizer.settings` gave; a learned one's weights follow by `load_state_dict`.

    Raises:
        InputError: the kind is unknown, or a setting of that kind is missing.
    """
    kind = str(settings.get("kind"))
    if kind not in CLASSES:
        hint = nearest_name_hint(kind, CLASSES)
        raise InputError(f"tokenizer settings: got the kind '{kind}', expected one of {', '.join(CLASSES)}{hint}")
    if "words" in settings:  # a tokenizer around another one takes it built, so it need not know all kinds
        settings = {**settings, "words": tokenizer_from_settings(settings["words"])}
    try:
        return _made(_class(kind).from_settings(settings))
    except KeyError as missing:
        raise InputError(f"tokenizer settings of kind '{kind}' lack {missing}") from missing


def tokenizer_name(tokenizer: Tokenizer) -> str:
    """Name under which results list the tokenizer: its spec without directory, a learned one by its quantizer."""
    held: Any = tokenizer
    if held.kind == "kmer":
        return f"kmer:{held.k}" + (f":{held.stride}" if held.stride > 1 else "")
    if held.kind == "published_words":
        return f"{held.model}:{held.k}" if held.k > 1 else str(held.model)
    if held.kind == "base_words":
        return f"nucleotide+{tokenizer_name(held.words)}"
    if held.kind == "vq":  # whose quantizer is left out of a file where it is the default
        return str(held.settings()["vocabulary"].get("quantizer", "hrq"))
    return tokenizer.kind


def _class(kind: str) -> Any:
    module, name = CLASSES[kind]
    return getattr(import_module(module), name)


def _made(tokenizer: Tokenizer) -> Tokenizer:
    return tokenizer
