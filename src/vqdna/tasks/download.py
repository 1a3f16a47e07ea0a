"""Datasets from where they are published: fetched, checked, and only then put into the data root.

Flow: Dataset -> address of each split -> a part file, which a later call goes on from -> checked against what is known
-> FOLDER/split.csv. From an archive only the member asked for is read, under a name of ours, so nothing that its
members are called can lead out of the folder.

Reference: files come through huggingface_hub, which retries and resumes.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from huggingface_hub import hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get

from vqdna.errors import InputError
from vqdna.results import atomic_output
from vqdna.tasks.inventory import check_dataset
from vqdna.tasks.published import source_of
from vqdna.tasks.registry import SPLITS, Dataset, split_file
from vqdna.tasks.tables import TABLE_SUFFIXES


def addresses(row: Dataset) -> dict[str, str]:
    """Address of each split; an archive's member stands behind `#`."""
    if row.urls:
        return dict(row.urls)
    source = source_of(row)
    if source is None or source.repository is None or source.files is None:
        about = f" ({source.title}; {source.reference})" if source else ""
        raise InputError(
            f"{row.name} cannot be fetched{about}; put train, dev and test tables with the columns "
            f"sequence,label into '{row.folder}' of the data root"
        )
    names = {split: source.files.format(remote=row.remote, split=split) for split in SPLITS}
    return {
        split: hf_hub_url(source.repository, name, repo_type="dataset", revision=source.revision)
        for split, name in names.items()
    }


def get_dataset(row: Dataset, data_root: Path) -> Iterator[tuple[str, Path, bool]]:
    """Split, file, and whether it was fetched now, of each split as it is put in place; files that are there stay.

    Fetched records that are not the known ones are thrown away.
    """
    folder = data_root / row.folder
    for split, address in addresses(row).items():
        present = split_file(folder, split)
        if present is None:
            yield split, _fetch_split(row, split, address, folder), True
        else:
            yield split, present, False


def _fetch_split(row: Dataset, split: str, address: str, folder: Path) -> Path:
    url, _, member = address.partition("#")
    suffix = _table_suffix(member or urlsplit(url).path, address)
    staging = folder / ".fetched" / split
    staging.mkdir(parents=True, exist_ok=True)
    fetched = staging / ("archive.zip" if member else f"{split}{suffix}")
    fetch(url, fetched, f"{row.name} {split}")
    table = staging / f"{split}{suffix}"
    if member:
        _extract(fetched, member, table)
    try:
        faults = check_dataset(row, staging).faults
    except InputError:
        shutil.rmtree(staging)
        raise
    if faults:
        shutil.rmtree(staging)
        raise InputError(f"{faults[0]}; it was thrown away, and the split '{split}' of {row.name} is not in place")
    target = folder / table.name
    table.replace(target)
    shutil.rmtree(staging)
    if not any((folder / ".fetched").iterdir()):
        (folder / ".fetched").rmdir()
    return target


def fetch(url: str, target: Path, title: str) -> None:
    """File at `target`; what an interrupted call left in `target`.part is gone on from."""
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("ab") as stream:
            http_get(url, stream, resume_size=stream.tell(), displayed_filename=title)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.stat().st_size:
            # It was whole already when an earlier call ended, or is longer than the file is now.
            part.unlink()
            return fetch(url, target, title)
        advice = "the file is not there (any more)" if status == HTTPStatus.NOT_FOUND else "try again later"
        raise InputError(f"{url}: the server answered {status}; {advice}") from None
    except Exception as error:
        if not _is_connection_fault(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{url}: {reason}; the same command goes on from what has come") from None
    part.replace(target)


def _is_connection_fault(error: Exception) -> bool:
    """Whether the network failed rather than the program: the client's own errors and broken sockets."""
    own = type(error).__module__.split(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2", "huggingface_hub")
    return own or isinstance(error, OSError)


def _table_suffix(path: str, address: str) -> str:
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    kept = suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:]
    if not kept or kept[0] not in TABLE_SUFFIXES:
        raise InputError(f"{address}: expected a table ({', '.join(TABLE_SUFFIXES)}), or archive.zip#member")
    return "".join(kept)


def _extract(archive: Path, member: str, table: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as held:
            names = held.namelist()
            if member not in names:
                listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
                raise InputError(f"{archive}: the archive has no '{member}', it has {listed}")
            with held.open(member) as source, atomic_output(table) as temporary, temporary.open("wb") as stream:
                shutil.copyfileobj(source, stream)
    except zipfile.BadZipFile:
        archive.unlink()
        raise InputError(f"{archive}: no zip archive, or a damaged one; it was removed, try again") from None
