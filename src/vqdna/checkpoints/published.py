"""Published genome models by their Hub ids, and the folder that each is fetched into.

Flow: Hub id, or a folder in the published layout -> folder with config.json, vocabulary and weights. No code of a
repository is fetched, let alone run. It must not know what the files hold.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from vqdna.errors import InputError, nearest_name_hint

INSTADEEP = "InstaDeepAI/nucleotide-transformer"
HYENA = "LongSafari/hyenadna"

PUBLISHED: dict[str, str] = {
    **{f"zhihan1996/DNA_bert_{k}": "dnabert" for k in (3, 4, 5, 6)},
    **{
        f"{INSTADEEP}-{name}": "nucleotide_transformer"
        for name in ("500m-human-ref", "500m-1000g", "2.5b-1000g", "2.5b-multi-species")
    },
    **{f"{INSTADEEP}-v2-{size}-multi-species": "nucleotide_transformer_v2" for size in ("50m", "100m", "250m", "500m")},
    "zhihan1996/DNABERT-2-117M": "dnabert_2",
    "zhihan1996/DNABERT-S": "dnabert_2",
    **{
        f"{HYENA}-{name}-hf": "hyenadna"
        for name in (
            "tiny-1k-seqlen",
            "tiny-1k-seqlen-d256",
            "tiny-16k-seqlen-d128",
            "small-32k-seqlen",
            "medium-160k-seqlen",
            "medium-450k-seqlen",
            "large-1m-seqlen",
        )
    },
}
"""Layout of each known repository, a name of `vqdna.checkpoints.layouts.LAYOUTS`."""

DESCRIPTIONS = ("config.json", "vocab.txt", "tokenizer.json", "*.safetensors.index.json")
SAFE_WEIGHTS = "*.safetensors"
PICKLED_WEIGHTS = ("pytorch_model*.bin", "pytorch_model.bin.index.json")


def published_names() -> list[str]:
    """Hub ids that are known, in order."""
    return sorted(PUBLISHED)


def published_folder(name_or_folder: str | Path, revision: str | None = None) -> Path:
    """Folder with the files of a known repository, fetched if it is not in the Hub's cache; a folder is itself.

    Args:
        name_or_folder: a Hub id of `PUBLISHED`, or a folder.
        revision: commit, branch or tag of the repository; None for the newest.

    Raises:
        InputError: neither a known id nor a folder, a revision of a folder, or the repository cannot be fetched.
    """
    name = str(name_or_folder)
    if Path(name).is_dir():
        if revision is not None:
            raise InputError(f"{name}: a folder has no revision (got '{revision}')")
        return Path(name)
    if name not in PUBLISHED:
        known = ", ".join(published_names())
        hint = nearest_name_hint(name, PUBLISHED)
        raise InputError(f"'{name}': neither a folder nor a published model that is known ({known}){hint}")
    folder = _fetched(name, revision, (*DESCRIPTIONS, SAFE_WEIGHTS))
    if not any(folder.glob(SAFE_WEIGHTS)):
        folder = _fetched(name, revision, (*DESCRIPTIONS, *PICKLED_WEIGHTS))
    return folder


def _fetched(name: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except OSError as error:  # what huggingface_hub raises of the network, of the disk and of absent revisions
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: cannot be fetched from the Hub ({reason})") from None
