"""Tokenizers by name: a spec from the command line, or the settings saved inside a model, to the tokenizer itself.

Specs are the name of a built-in vocabulary (`small`), `nucleotide`, `kmer:K` (stride 1), `kmer:K:STRIDE`, `bpe:DIR`,
`vq:DIR`, and a plain directory that holds either a trained vocabulary or a trained BPE. The learned tokenizer's module
is imported only when one is asked for.
"""

from __future__ import annotations

from pathlib import Path

from vqdna.errors import InputError, nearest_name_hint
from vqdna.results import read_json
from vqdna.tokenizers.base_words import BaseWordTokenizer
from vqdna.tokenizers.bpe import SETTINGS_FILE, BpeTokenizer
from vqdna.tokenizers.contract import Tokenizer, TokenizerSettings
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer
from vqdna.tokenizers.published_words import PublishedWordTokenizer
from vqdna.weights import shipped, shipped_names

HAND_MADE: dict[str, type[Tokenizer]] = {
    kind.kind: kind
    for kind in (NucleotideTokenizer, KmerTokenizer, BpeTokenizer, PublishedWordTokenizer, BaseWordTokenizer)
}
KINDS = (*HAND_MADE, "vq")
GRAMMAR = "nucleotide, kmer:K, kmer:K:STRIDE, bpe:DIR, vq:DIR, a directory or a built-in vocabulary"


def load_tokenizer(spec: str | Path) -> Tokenizer:
    """Tokenizer that the spec names; a name means a built-in vocabulary first, so `./small` is always a directory.

    Raises:
        InputError: unknown kind, numbers that make no k-mer, or a directory that holds no tokenizer.
    """
    text = str(spec)
    kind, separator, rest = text.partition(":")
    built_in = shipped_names("vocabulary")
    if text == "nucleotide":
        return NucleotideTokenizer()
    if kind == "kmer":
        numbers = rest.split(":")
        if len(numbers) > 2 or not all(number.isascii() and number.isdigit() for number in numbers):
            raise InputError(f"tokenizer '{spec}': expected kmer:K or kmer:K:STRIDE with whole numbers, such as kmer:6")
        return KmerTokenizer(*map(int, numbers))
    if text in built_in or (kind == "vq" and rest in built_in):
        return _learned(shipped(rest or text, "vocabulary"))
    if kind in ("bpe", "vq") and separator:
        if not rest or not Path(rest).is_dir():
            raise InputError(f"tokenizer '{spec}': '{rest}' is no directory, expected {GRAMMAR}")
        return BpeTokenizer.from_directory(rest) if kind == "bpe" else _learned(Path(rest))
    if text and Path(text).is_dir():
        settings = Path(text) / SETTINGS_FILE
        is_bpe = settings.is_file() and read_json(settings).get("kind") == BpeTokenizer.kind
        return BpeTokenizer.from_directory(text) if is_bpe else _learned(Path(text))
    hint = nearest_name_hint(kind, (*KINDS, *built_in))
    raise InputError(f"tokenizer '{spec}': no such kind or directory, expected {GRAMMAR}{hint}")


def tokenizer_from_settings(settings: TokenizerSettings) -> Tokenizer:
    """Tokenizer built from what `Tokenizer.settings` gave; a learned one's weights follow by `load_state_dict`.

    Raises:
        InputError: the kind is unknown, or a setting of that kind is missing.
    """
    kind = str(settings.get("kind"))
    if kind not in KINDS:
        hint = nearest_name_hint(kind, KINDS)
        raise InputError(f"tokenizer settings: got the kind '{kind}', expected one of {', '.join(KINDS)}{hint}")
    if "words" in settings:  # a tokenizer around another one takes it built, so it need not know all kinds
        settings = {**settings, "words": tokenizer_from_settings(settings["words"])}
    try:
        if kind in HAND_MADE:
            return HAND_MADE[kind].from_settings(settings)
        from vqdna.tokenizers.vq import VqTokenizer

        return VqTokenizer.from_settings(settings)
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
    if tokenizer.kind == "vq":  # whose quantizer is left out of a file where it is the default
        return str(tokenizer.settings()["vocabulary"].get("quantizer", "hrq"))
    return tokenizer.kind


def _learned(directory: Path) -> Tokenizer:
    from vqdna.tokenizers.vq import VqTokenizer  # which brings the vocabulary and transformers with it

    return VqTokenizer.from_directory(directory)
