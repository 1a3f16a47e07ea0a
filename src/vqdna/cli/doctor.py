"""`vqdna doctor`: what this installation can use."""

from __future__ import annotations

import json

from vqdna.cli.application import app
from vqdna.cli.options import (
    AsJson,
    print_result,
)


@app.command(epilog="Example: `vqdna doctor --json`")
def doctor(as_json: AsJson = False) -> None:
    """Show what this installation can use: versions, processor, data folder, optional packages."""
    from vqdna.cli.installation import inspect_installation, show_installation

    facts = inspect_installation()
    print_result(json.dumps(facts, indent=2) if as_json else show_installation(facts))
