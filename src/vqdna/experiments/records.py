"""Records that an earlier call left: read, known to be of this experiment, and made with the same settings.

Flow: results file + settings of now -> typed record, None, or one line that says what differs. It must not know what an
experiment is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from vqdna.config import first_difference
from vqdna.errors import InputError
from vqdna.results import read_json, validated, write_json


class StoredRecord(BaseModel):
    """Base of the typed records of experiments: keys that this version does not know are kept, and written again."""

    model_config = ConfigDict(extra="allow")

    def write(self, path: Path) -> None:
        """JSON file at `path` with the keys that were given, written atomically."""
        write_json(path, self.model_dump(mode="json", exclude_unset=True))


StoredT = TypeVar("StoredT", bound=BaseModel)


def known_record(
    path: Path,
    model: type[StoredT],
    settings: Mapping[str, Any] | None,
    experiment: str,
    completed: Callable[[Any], Any] = lambda settings: settings,
) -> StoredT | None:
    """Record that an earlier call wrote, or None where there is no file.

    Args:
        path: results file.
        model: what its records are.
        settings: everything that decides its numbers, compared with the record's `settings`; None compares nothing.
        experiment: what messages call it.
        completed: the settings of a record with defaults for the options that came later.

    Raises:
        InputError: the file is damaged, of something else, or was made with other settings.
    """
    if not path.is_file():
        return None
    try:
        found = read_json(path)
    except InputError as error:
        raise InputError(f"{error}; delete it to run this again") from None
    if settings is not None:
        if "settings" not in found:
            raise InputError(f"{path}: not a result of {experiment}; delete it to run this again")
        check_settings(path, completed(found["settings"]), settings)
    return validated(found, model, str(path), f"a result of {experiment}", "; delete it to run this again")


def check_settings(path: Path, held: Any, wanted: Any) -> None:
    """Refuses results of other settings.

    Raises:
        InputError: they differ; names the first key.
    """
    different = first_difference(held, wanted)
    if different:
        raise InputError(f"{path}: made with other settings ('{different}' differs); choose another --out")


def slug(name: str) -> str:
    """The name with `-` for what does not belong in a folder's name."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")
