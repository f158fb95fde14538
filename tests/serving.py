"""Servers and browsers of tests: what every one of them is found, started and ended by."""

import contextlib
import os
import shutil
import socket
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
AXE = ROOT / "course_utils/widgets/js/node_modules/axe-core/axe.min.js"
HOST = "127.0.0.1"


def absent(message):
    """Skip the test, with what is missing here; where CI is set that is an error."""
    if os.environ.get("CI"):
        raise RuntimeError(message)
    pytest.skip(message)


def needed(*names, remedy):
    """Return the path of the first of these programs that is there."""
    for name in names:
        if path := shutil.which(name):
            return path
    return absent(f"no {names[0]} found: {remedy}")


@contextlib.contextmanager
def chromium(width=1400, height=1000, **options):
    """Start Chromium with no way out to the network; what tried to leave fails the block."""
    from playwright.sync_api import sync_playwright

    names = [os.environ.get("CHROMIUM") or "chromium", "chromium", "chromium-browser"]
    remedy, strays = "install Chromium, or set CHROMIUM to its path", []
    path = needed(*names, "google-chrome", remedy=remedy)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        context = browser.new_context(viewport={"width": width, "height": height}, **options)

        def stay_home(route):
            address = route.request.url
            if address.startswith(("data:", "blob:", "file:", f"http://{HOST}:")):
                route.continue_()
            else:
                strays.append(address)
                route.abort()

        context.route("**/*", stay_home)
        try:
            yield context
        finally:
            browser.close()
    assert not strays, f"requests that would have left this machine: {strays}"


def errors_of(page):
    """Return a list that will hold whatever the page reports as an error from now on."""
    errors = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


def barriers(page, options=""):
    """Return what axe finds on a page: (rule, elements) of each barrier."""
    if not AXE.exists():
        absent("no axe-core: run `make widgets`")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(f"() => axe.run({options})")["violations"]
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]


def free_ports(count):
    """Return numbers of ports that are free now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def serving(command, answer, folder, environment, seconds=60):
    """Start a server in ``folder``; end it and its children.

    Yields its process and what ``answer(log)`` returned once that was neither None nor an OSError.
    """
    log = folder / "server.log"
    with open(log, "w") as out:
        server = psutil.Popen(
            command, env=os.environ | environment, cwd=folder, stdout=out, stderr=out
        )
    try:
        yield server, _first_answer(server, lambda: answer(log.read_text()), log, seconds)
    finally:
        family = server.children(recursive=True) if server.is_running() else []
        server.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            server.wait(30)
        for left in psutil.wait_procs([server, *family], timeout=10)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


def _first_answer(server, answer, log, seconds):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and server.poll() is None:
        with contextlib.suppress(OSError):
            if (found := answer()) is not None:
                return found
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-3000:]}")
