from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vqdna.experiments.locks import locked

HOLD = """
import sys
from pathlib import Path
from vqdna.experiments.locks import locked
with locked(Path(sys.argv[1])) as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


def test_a_lock_keeps_others_out_until_its_block_ends(tmp_path):
    with locked(tmp_path / "cell") as ours:
        assert ours
        with locked(tmp_path / "cell") as second:
            assert not second
        with locked(tmp_path / "other") as other:
            assert other
    with locked(tmp_path / "cell") as again:
        assert again


def _wait_for(folder: Path) -> bool:
    with locked(folder, waits=True) as ours:
        return ours


def test_a_killed_process_holds_no_lock(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    with locked(tmp_path) as ours:
        assert not ours
    with ThreadPoolExecutor() as pool:
        waited = pool.submit(_wait_for, tmp_path)
        assert not waited.done()
        process.kill()
        assert waited.result(timeout=60)
    process.wait()
    with locked(tmp_path) as ours:
        assert ours
