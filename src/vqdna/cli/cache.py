"""`vqdna cache`: where cached files lie, how much there is of them, and removing them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

from typer import Argument, Option

from vqdna.cli.application import app
from vqdna.cli.options import AsJson, print_result
from vqdna.errors import InputError
from vqdna.quantities import bytes_of


@app.command(epilog="Example: `vqdna cache --clear codes`")
def cache(
    kind: Annotated[str | None, Argument(help="With --clear: remove this kind alone.", metavar="[KIND]")] = None,
    clear: Annotated[bool, Option("--clear", help="Remove all cached files, or those of KIND.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the folder of cached files, or clear it. VQDNA_CACHE chooses another folder."""
    from vqdna.genome.cache import cache_contents, cache_root, clear_cache

    if kind is not None and not clear:
        raise InputError(f"cache: '{kind}' needs --clear: `vqdna cache --clear {kind}`")
    if clear:
        clear_cache(kind)
    contents = cache_contents()
    if as_json:
        print_result(json.dumps({"folder": str(cache_root()), "kinds": [asdict(one) for one in contents]}, indent=2))
        return
    lines = [
        f"{one.kind:<14}{bytes_of(one.num_bytes):>10}  {one.num_entries:>6} entries  {one.holds}" for one in contents
    ]
    print_result("\n".join([str(cache_root()), *lines]))
