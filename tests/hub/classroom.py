"""A JupyterHub for tests, and students who do what a browser does: HTTP, cookies, websockets."""

import asyncio
import contextlib
import json
import shutil
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import httpx
from jupyter_server.services.kernels.connection.base import deserialize_binary_message
from serving import HOST, ROOT, absent, free_ports, needed, serving
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

HERE = Path(__file__).parent
HUB_PYTHON = ROOT / "build/hub-env/bin/python"
PROXY = HERE / "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
PATIENCE = 180  # seconds: a busy continuous-integration machine is slow


def needs_hub():
    """Skip unless `make hub-env` has been run."""
    needed("node", remedy="install Node, then run `make hub-env`")
    for path in (HUB_PYTHON, PROXY):
        if not path.exists():
            absent(f"{path} is missing: run `make hub-env`")


@contextlib.contextmanager
def hub(folder):
    """Start a hub whose students have their homes in ``folder``/homes; yields its address."""
    needs_hub()
    ports, share = free_ports(3), Path(sys.prefix) / "share/jupyter"
    given = {
        "config": str(ROOT / "docs/hub/jupyterhub_config.py"),
        "ports": ports,  # the public one, the proxy's, the hub's own
        "proxy": [shutil.which("node"), str(PROXY)],
        "homes": f"{folder}/homes/{{username}}",
        "environment": {  # of the students' servers: the hub's own environment is another one
            "JUPYTERLAB_DIR": str(share / "lab"),
            "JUPYTER_PATH": str(share),
            "JUPYTER_CONFIG_PATH": str(Path(sys.prefix) / "etc/jupyter"),
        },
    }
    command = [HUB_PYTHON, "-m", "jupyterhub", "-f", HERE / "jupyterhub_config.py"]
    address = f"http://{HOST}:{ports[0]}"

    def answer(log):
        return urllib.request.urlopen(f"{address}/hub/api", timeout=5).read()

    with serving(command, answer, folder, {"HUB": json.dumps(given)}, PATIENCE):
        yield address


class Student:
    """One browser: cookies, the pages it was led to, and the kernel's channels."""

    def __init__(self, address, name):
        self.address, self.name = address, name
        self.home = f"/user/{name}"
        self.http = httpx.AsyncClient(base_url=address, follow_redirects=True, timeout=PATIENCE)

    async def log_in(self):
        """Send the form of the login page, and wait until it has led to the student's server."""
        await self.http.get("/hub/login")
        form = {"username": self.name, "password": "", "_xsrf": self.xsrf("/hub/")}
        page = await self.http.post("/hub/login", data=form)
        limit = time.monotonic() + PATIENCE
        while not page.url.path.startswith(self.home):
            assert page.status_code == 200, (page.status_code, page.url, page.text[-2000:])
            assert time.monotonic() < limit, f"{self.name}'s server is not there"
            await asyncio.sleep(0.5)
            page = await self.http.get(f"/hub/spawn-pending/{self.name}")

    def xsrf(self, path):
        """The value that a page under ``path`` must send back with what it changes."""
        found = [k.value for k in self.http.cookies.jar if k.name == "_xsrf" and k.path == path]
        return found[0] if found else ""

    async def get(self, path, of=None):
        """Ask a server, one's own or that of somebody else, for ``path``; returns the response."""
        return await self.http.get(f"/user/{of or self.name}/{path}", headers=self._headers())

    async def follow(self, repository, path):
        """Click an nbgitpuller link: the course is copied home, and ``path`` in it opens."""
        query = {"repo": repository, "branch": "main", "urlpath": f"lab/tree/{path}"}
        page = await self.http.get("/hub/user-redirect/git-pull", params=query)
        assert page.url.path == f"{self.home}/git-pull" and page.status_code == 200, page.url
        stream = await self.http.get(  # what the page itself does
            f"{self.home}/git-pull/api", params=query, headers=self._headers()
        )
        assert '"phase": "finished"' in stream.text, stream.text

    async def start_kernel(self, path):
        """Open the notebook at ``path`` as JupyterLab does, and wait until its kernel answers."""
        order = {"path": path, "type": "notebook", "name": path, "kernel": {"name": "python3"}}
        answer = await self.http.post(
            f"{self.home}/api/sessions", json=order, headers=self._headers()
        )
        assert answer.status_code == 201, answer.text
        self.kernel_id = answer.json()["kernel"]["id"]
        self.socket = await self.channels(self.name, self.kernel_id)
        await self._ask("kernel_info_request", {})

    async def channels(self, of, kernel_id):
        """Open the websocket of a kernel; raises where the server refuses."""
        jar = [k for k in self.http.cookies.jar if f"/user/{of}/".startswith(k.path)]
        request = HTTPRequest(
            f"{self.address.replace('http', 'ws', 1)}/user/{of}/api/kernels/{kernel_id}/channels",
            headers={"Cookie": "; ".join(f"{k.name}={k.value}" for k in jar)},
            request_timeout=PATIENCE,
        )
        return await websocket_connect(request)

    async def run(self, code):
        """Run a cell; returns all text that nbval would compare. A cell that fails raises."""
        texts = []
        for content in await self._ask("execute_request", {"code": code, "silent": False}):
            if "ename" in content:
                raise AssertionError(f"{content['ename']}: {content['evalue']}\nin\n{code}")
            texts.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
        return "".join(texts)

    def _headers(self):
        return {"X-XSRFToken": self.xsrf(f"{self.home}/")}

    async def _ask(self, kind, content):
        """Send a request; returns what is heard until it is answered and the kernel idle again."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "version": "5.3"}
        message = {"header": header | {"session": self.name, "date": ""}, "content": content}
        message |= {"channel": "shell", "parent_header": {}, "metadata": {}, "buffers": []}
        await self.socket.write_message(json.dumps(message))
        heard, answered, idle = [], False, False
        while not (answered and idle):
            raw = await self.socket.read_message()
            assert raw is not None, "the server has closed the channel"
            message = json.loads(raw) if isinstance(raw, str) else deserialize_binary_message(raw)
            if message["parent_header"].get("msg_id") == header["msg_id"]:
                heard.append(message["content"])
                answered |= message["msg_type"] == kind.replace("_request", "_reply")
                idle |= message["content"].get("execution_state") == "idle"
        return heard
