"""A check of a self-contained page: by reading it, and in headless Chromium where that is installed.

The browser is driven through the two pipes of ``--remote-debugging-pipe``, which need no package.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

# Of a request's initiator, where it is no page.
_BROWSER = "not an origin"
_WIDTHS = (360, 800, 1600)
_TIMEOUT = 60
_LOADS = re.compile("src|srcset|href|xlink:href|action|formaction|poster|data|background|ping|manifest")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)
# The browser's end of the pipes has to be its descriptors 3 and 4.
_LAUNCHER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
_FACTS = """(async () => {
  const images = [...document.images];
  await Promise.all(images.map((image) => image.decode().catch(() => {})));
  return {
    title: document.title,
    images: images.length,
    broken: images.filter((image) => !image.naturalWidth).map((image) => image.alt || image.src.slice(0, 80)),
    nameless: images.filter((image) => !image.hasAttribute("alt")).length,
    headings: document.querySelectorAll("h1").length,
  };
})()"""


@dataclass(frozen=True)
class PageFacts:
    """What the browser found: the title, how many images it decoded, and bytes of the file."""

    title: str
    images: int
    size: int


class _References(HTMLParser):
    """Addresses that a document would load or send to, and its content security policy."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.policy = ""
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.found += [value for name, value in values.items() if _LOADS.fullmatch(name)]
        self._read_style(values.get("style", ""))
        if tag == "meta" and values.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = values["content"]

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._read_style(data)

    def _read_style(self, text: str) -> None:
        self.found += re.findall(r"""url\(\s*["']?([^"')]+)""", text) + re.findall(r"""@import\s+["']([^"']+)""", text)


class Tab:
    """One tab of a running browser.

    Attributes:
        requests: addresses asked for over the network since the start.
        complaints: errors of scripts, and what the policy or the network refused.
    """

    def __init__(self, read: int, write: int):
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._read, self._write = read, write
        self._buffer = b""
        self._session: str | None = None
        self._loaded = False
        self._last_id = 0
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol and return its result."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, path: Path) -> None:
        """Load a file and wait until all of it is there."""
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._receive()

    def evaluate(self, script: str) -> Any:
        """Value of an expression on the page, awaited where it is a promise."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width: int, height: int = 900) -> None:
        """Show the page in a window of this size, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, **features: str) -> None:
        """Set media features, such as ``prefers_color_scheme="dark"``."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=listed)

    def press(self, key: str) -> None:
        """Press and release a key that writes nothing, such as ``ArrowRight``."""
        for kind in ("rawKeyDown", "keyUp"):
            codes = {"ArrowLeft": 37, "ArrowRight": 39, "Escape": 27, "Tab": 9}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def screenshot(self, path: Path) -> None:
        """Save a PNG of the whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + _TIMEOUT
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            assert ready, f"the browser said nothing for {_TIMEOUT} s"
            data = os.read(self._read, 2**20)
            assert data, "the browser ended"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent" and not _is_local(params["request"]["url"]):
            self.requests.append(params["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"].get("text", "exception"))
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])


@contextmanager
def browser(*flags: str) -> Iterator[Tab]:
    """A tab of a new headless browser that finds no host, ended with the block."""
    assert CHROMIUM, "Chromium is not installed"
    to_browser, from_browser = (_pipe() for _ in range(2))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        ends = (to_browser[0], from_browser[1])
        command = [sys.executable, "-c", _LAUNCHER, *map(str, ends), CHROMIUM, *_FLAGS, *flags]
        process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"], pass_fds=ends, stderr=subprocess.DEVNULL
        )
        for end in ends:
            os.close(end)
        try:
            tab = Tab(from_browser[0], to_browser[1])
            yield tab
            tab._session = None
            tab.call("Browser.close")
            process.wait(_TIMEOUT)
        finally:
            process.kill()
            process.wait()
            os.close(from_browser[0])
            os.close(to_browser[1])


def check_markup(path: Path) -> None:
    """Check by reading that a page forbids itself the network and refers to nothing but itself.

    Raises:
        AssertionError: it does not; the message says where.
    """
    parser = _References()
    parser.feed(path.read_text(encoding="utf-8"))
    assert "default-src 'none'" in parser.policy, f"{path.name}: no content security policy that starts from nothing"
    sources = {source for rule in parser.policy.split(";") for source in rule.split()[1:]}
    loose = {source for source in sources if not re.fullmatch("data:|'none'|'unsafe-inline'|'sha256-.*'", source)}
    assert not loose, f"{path.name}: its policy allows {loose}"
    outside = [value for value in parser.found if not value.startswith(("data:", "#"))]
    assert not outside, f"{path.name} refers to {outside}"


def check_page(path: Path) -> PageFacts:
    """Check a page by reading it and in the browser.

    In the browser every image decodes and has an alternative text, no request leaves, no script or policy complains,
    there is one first heading, and at no width from a phone to a large screen does the page scroll sideways.

    Raises:
        AssertionError: something of this is not so; the message says what.
    """
    check_markup(path)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "net.json"
        with browser(f"--log-net-log={log}") as tab:
            tab.open(path)
            facts = tab.evaluate(_FACTS)
            for width in _WIDTHS:
                tab.resize(width)
                needed = tab.evaluate("document.documentElement.scrollWidth")
                assert needed <= width, f"{path.name} needs {needed} px in a window of {width} px"
            assert not tab.requests, f"{path.name} asks for {tab.requests}"
            assert not tab.complaints, f"{path.name}: {tab.complaints}"
        asked = logged_requests(log)
    assert not asked, f"the browser asked for {asked} while it showed {path.name}"
    assert not facts["broken"], f"{path.name}: broken images {facts['broken']}"
    assert not facts["nameless"], f"{path.name}: {facts['nameless']} images without an alternative text"
    assert facts["headings"] == 1, f"{path.name} has {facts['headings']} first headings"
    return PageFacts(facts["title"], facts["images"], path.stat().st_size)


def logged_requests(log: Path) -> list[str]:
    """Addresses and hosts that a page asked for, in a net log of the browser, which also sees what DevTools does not.

    Requests of the browser for itself, such as for the time, have no origin and do not count.
    """
    data = json.loads(log.read_text())
    kinds = {code: name for name, code in data["constants"]["logEventTypes"].items()}
    found = []
    for event in data["events"]:
        params = event.get("params", {})
        if kinds[event["type"]] == "URL_REQUEST_START_JOB" and params.get("initiator", _BROWSER) != _BROWSER:
            found.append(params["url"])
        # Connections made ahead are not requests yet.
        if kinds[event["type"]] == "HOST_RESOLVER_MANAGER_REQUEST" and "host" in params:
            found += [params["host"]] * params["network_anonymization_key"].startswith("file:")
    return [url for url in found if not _is_local(url)]


def _is_local(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:", "about:", "chrome:", "devtools:"))


def _pipe() -> tuple[int, int]:
    """A pipe whose descriptors are out of the way of 3 and 4."""
    import fcntl  # not on Windows, where this module still has to be read

    low = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return high[0], high[1]
