from __future__ import annotations

import subprocess
import sys

from vqdna.experiments.locks import claimed

HOLD = """
import sys
from pathlib import Path
from vqdna.experiments.locks import claimed
with claimed(Path(sys.argv[1])) as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


def test_a_claim_keeps_others_out_until_its_block_ends(tmp_path):
    with claimed(tmp_path / "cell") as ours:
        assert ours
        with claimed(tmp_path / "cell") as second:
            assert not second
        with claimed(tmp_path / "other") as other:
            assert other
    with claimed(tmp_path / "cell") as again:
        assert again


def test_a_killed_process_holds_no_claim(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    with claimed(tmp_path) as ours:
        assert not ours
    process.kill()
    process.wait()
    with claimed(tmp_path) as ours:
        assert ours
