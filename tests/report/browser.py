"""A headless Chromium, driven by chromedriver's W3C WebDriver protocol over HTTP. Holds no assertion."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

__all__ = ["Browser", "chromium", "missing_programs"]

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "End": "\ue010"}
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
)


def missing_programs() -> list[str]:
    """Which of the two programs aren't installed."""
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


class Browser:
    """One window.

    Args:
        session: the client of one WebDriver session's URL.
    """

    def __init__(self, session: httpx.Client) -> None:
        self._session = session

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file from disk anew, and wait until its script has drawn it."""
        self._post("url", url="about:blank")
        self._post("url", url=f"{path.as_uri()}{fragment}")
        self.wait("return document.documentElement.dataset.ready")

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function body returns in the page."""
        return self._post("execute/sync", script=script, args=list(arguments))

    def run_async(self, script: str) -> Any:
        """What a function body gives to the function that is its last argument."""
        return self._post("execute/async", script=script, args=[])

    def wait(self, script: str, timeout_s: float = 20) -> Any:
        """The first true thing that a function body returns, asked again on each frame."""
        waiting = (
            "const done = arguments[arguments.length - 1]; const ask = () => { const said = (() => {%s})(); "
            "if (said) done(said); else requestAnimationFrame(ask); }; ask();"
        )
        self._post("timeouts", script=int(timeout_s * 1000))
        return self.run_async(waiting % script)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, on whatever has the focus."""
        actions = [{"type": kind, "value": _KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("actions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def resize(self, width: int, height: int) -> None:
        """Set the size of the page, in CSS pixels."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def prefer(self, scheme: str) -> None:
        """Say that the system is `dark` or `light`."""
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of Chrome's own protocol."""
        return self._post("goog/cdp/execute", cmd=command, params=parameters)

    def complaints(self) -> list[str]:
        """What the console has been told since the last time: errors, and refusals by the page's policy."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the window."""
        path.write_bytes(base64.b64decode(self._session.get("screenshot").json()["value"]))

    def _post(self, command: str, **body: Any) -> Any:
        answer = self._session.post(command, json=body).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']}: {answer['message']}")
        return answer


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for the block, in processes of its own."""
    driver = subprocess.Popen(
        [str(shutil.which("chromedriver")), "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert driver.stdout is not None
        port = next(found[1] for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line)))
        options = {"binary": shutil.which("chromium"), "args": list(_ARGUMENTS)}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        base = f"http://127.0.0.1:{port}/session"
        made = httpx.post(base, json={"capabilities": wanted}, timeout=60, trust_env=False).json()["value"]
        if "sessionId" not in made:
            raise RuntimeError(f"chromedriver gave no session: {made}")
        with httpx.Client(base_url=f"{base}/{made['sessionId']}/", timeout=60, trust_env=False) as session:
            try:
                yield Browser(session)
            finally:
                session.request("DELETE", base + f"/{made['sessionId']}")
    finally:
        driver.terminate()
        driver.communicate(timeout=20)
