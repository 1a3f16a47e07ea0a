"""What a user calls by name in an option: `NAME=SOURCE`. It must not know what a source is."""

from __future__ import annotations

from collections.abc import Sequence

from vqdna.errors import InputError


def named_sources(given: Sequence[str], option: str, source: str = "SOURCE") -> dict[str, str]:
    """Sources by name from `NAME=SOURCE` texts.

    Args:
        given: the texts.
        option: that they were given to, for messages.
        source: what a source is, for messages.

    Raises:
        InputError: a text of another form, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, mark, value = text.partition("=")
        if not (name and mark and value):
            raise InputError(f"{option}: got '{text}', expected NAME={source}")
        if name in found:
            raise InputError(f"{option}: '{name}' is given twice")
        found[name] = value
    return found
