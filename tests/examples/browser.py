"""Headless Chromium as a reader's browser, driven through its debugging pipe: pages at a width, scripts, pictures.

A window of Chromium is never narrower than 500 pixels, so a phone's width has to be set through the pipe.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 120


class Browser:
    """One page in a running browser; every call waits for its answer. `errors` are those of the page's scripts."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._buffer = b""
        self._count = 0
        self.errors: list[str] = []
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable")
        self._call("Runtime.enable")

    def open(self, page: Path, width: int, height: int = 900) -> None:
        """Shows the page at a width, scrolled through once so that everything that waits for the screen is drawn."""
        mobile = width < 600
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self._call("Page.navigate", url=page.resolve().as_uri())
        self._wait_for("Page.loadEventFired")
        self.run(
            """new Promise(async (done) => {
              const frame = () => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
              document.documentElement.style.scrollBehavior = "auto";
              document.querySelectorAll("details.block").forEach((block) => { block.open = true; });
              const height = document.documentElement.scrollHeight;
              for (let y = 0; y < height; y += innerHeight) { scrollTo(0, y); await frame(); }
              scrollTo(0, 0); await frame(); done(true);
            })"""
        )

    def run(self, script: str) -> Any:
        """Value of a script's last expression, awaited."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, out: Path, selector: str = "html") -> Path:
        """PNG of the part of the page that the selector finds, in full."""
        box = self.run(
            f"""(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();
            return {{x: box.x, y: box.y + scrollY, width: box.width, height: box.height}}; }})()"""
        )
        answer = self._call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={**box, "scale": 1}
        )
        out.write_bytes(base64.b64decode(answer["data"]))
        return out

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        while (answer := self._read()).get("id") != self._count:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _wait_for(self, event: str) -> None:
        while self._read().get("method") != event:
            pass

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            assert ready, f"the browser said nothing for {PATIENCE} s"
            data = os.read(self._answers, 1 << 16)
            assert data, "the browser ended"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(line)
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(message["params"]["exceptionDetails"]))
        return message


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Running browser that keeps nothing but what lies in `profile`."""
    assert CHROMIUM is not None
    (their_commands, commands), (answers, their_answers) = os.pipe(), os.pipe()
    # Chromium reads descriptor 3 and writes descriptor 4.
    shell = f'exec "$@" 3<&{their_commands} 4>&{their_answers}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "-", CHROMIUM, *OPTIONS, f"--user-data-dir={profile}"],
        pass_fds=(their_commands, their_answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_commands)
    os.close(their_answers)
    try:
        yield Browser(commands, answers)
    finally:
        os.close(commands)
        process.terminate()
        process.wait(timeout=20)
        os.close(answers)
