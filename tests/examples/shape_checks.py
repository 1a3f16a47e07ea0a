"""The check of annotations while tests run: beartype's, where a whole number is a float too, as in PEP 484."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
