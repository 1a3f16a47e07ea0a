"""Errors that a user can cause and mend; the command line prints them as one line and exits with code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from outside: says what was got, what was wanted and where, in one line."""


def nearest_name_hint(name: str, known: Iterable[str]) -> str:
    """Hint `; did you mean 'x'?` for the known name closest to `name`, or an empty string where none is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def check_name(key: str, name: str, known: Iterable[str]) -> None:
    """Refuses a setting's value that is not among the known names (InputError: it is not; gives the nearest)."""
    if name not in known:
        raise InputError(f"{key}: got '{name}', expected one of {', '.join(known)}{nearest_name_hint(name, known)}")
