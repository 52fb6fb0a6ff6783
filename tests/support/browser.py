"""A headless Chromium, driven over its own protocol (Chrome DevTools), that can reach nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import aiohttp

from tests.support.missing import missing

if TYPE_CHECKING:
    from pathlib import Path

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-extensions",
    "--no-first-run",
    "--remote-debugging-port=0",
    # Every name resolves to nothing.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_PATIENCE_S = 30


class Tab:
    """One page of the browser, and what it asked the network for."""

    def __init__(self, socket):
        self._socket = socket
        self._last = 0
        self.requested = []

    async def call(self, method, **parameters):
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                answer = await self._socket.receive_json()
                if answer.get("method") == "Network.requestWillBeSent":
                    self.requested.append(answer["params"]["request"]["url"])
                if answer.get("id") == self._last:
                    assert "error" not in answer, answer
                    return answer["result"]

    async def open(self, url):
        await self.call("Network.enable")
        await self.call("Page.enable")
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def value(self, expression):
        """What a JavaScript expression (or the promise that it gives) comes to."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression):
        async with asyncio.timeout(_PATIENCE_S):
            while not await self.value(expression):
                await asyncio.sleep(0.02)

    async def choose(self, selector, *paths):
        """Choose files in an `input`, as a person does in its dialog."""
        document = await self.call("DOM.getDocument")
        found = await self.call(
            "DOM.querySelector", nodeId=document["root"]["nodeId"], selector=selector
        )
        files = [str(path) for path in paths]
        await self.call("DOM.setFileInputFiles", nodeId=found["nodeId"], files=files)


@contextlib.asynccontextmanager
async def browser(directory: Path):
    """A tab of a fresh browser, whose profile is below `directory`."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("chromium (apt: chromium)", so="not known whether the page works in a browser")
    profile = directory / "profile"
    process = subprocess.Popen(
        [program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = await _port(profile / "DevToolsActivePort", process)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                tabs = await response.json(content_type=None)
            url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        # It is the leader of a group of its own, its renderers included.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def _port(file, process):
    async with asyncio.timeout(_PATIENCE_S):
        while not (file.exists() and "\n" in file.read_text()):
            assert process.poll() is None, "the browser ended"
            await asyncio.sleep(0.05)
    return int(file.read_text().split()[0])
