"""The built web page, served from this machine, and a browser that cannot leave it."""

import fcntl
import functools
import json
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from serving import HOST, ROOT, chromium, needed

KERNEL = "@jupyterlite/pyodide-kernel-extension:kernel"


@pytest.fixture(scope="session")
def site(testrun_uid):
    """The folder of the web page, built once a run; a warning of Sphinx's is a failure."""
    needed("npm", remedy="install Node, which brings MathJax for the web page")
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build/site.run", "a+") as built_by:
        fcntl.flock(built_by, fcntl.LOCK_EX)  # another worker may be building it
        built_by.seek(0)
        if built_by.read() != testrun_uid:
            done = subprocess.run(["make", "site"], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            built_by.truncate(0)
            built_by.write(testrun_uid)
    return ROOT / "build/site"


class Server(SimpleHTTPRequestHandler):
    """Serves a folder as GitHub Pages would: files, and no header of its own.

    Pyodide, which readers get from its own server, is served too, from the first of the folders
    ``pyodide`` that has the file; JupyterLite's settings are changed to match.
    """

    def __init__(self, *args, pyodide=(), **options):
        self.pyodide = pyodide
        super().__init__(*args, **options)

    def log_message(self, *args):
        pass

    def translate_path(self, path):
        name = path.split("?")[0].rsplit("/", 1)[1]
        places = [folder / name for folder in self.pyodide] if "/static/pyodide/" in path else []
        there = [str(place) for place in places if place.exists()]
        return there[0] if there else super().translate_path(path)

    def do_GET(self):
        if not self.pyodide or self.path.split("?")[0] != "/lite/jupyter-lite.json":
            return super().do_GET()
        settings = json.loads(Path(super().translate_path(self.path)).read_text(encoding="utf-8"))
        data = settings["jupyter-config-data"]
        data["exposeAppInBrowser"] = True
        data["litePluginSettings"][KERNEL].setdefault("pyodideUrl", "./static/pyodide/pyodide.mjs")
        body = json.dumps(settings).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="session")
def serve():
    """A function that serves a folder and returns its address."""
    servers = []

    def start(folder, pyodide=()):
        handler = functools.partial(Server, directory=str(folder), pyodide=pyodide)
        servers.append(ThreadingHTTPServer((HOST, 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://{HOST}:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def page():
    """A page of a browser for which a request that leaves this machine is a failure."""
    with chromium() as context:
        yield context.new_page()
