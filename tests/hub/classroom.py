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
def hub(folder, passwords):
    """Start a hub for the students of ``passwords``; yields its address."""
    needs_hub()
    ports = free_ports(3)
    share = Path(sys.prefix) / "share/jupyter"
    of_servers = {
        "JUPYTERLAB_DIR": str(share / "lab"),  # the hub's environment is another one
        "JUPYTER_PATH": str(share),
        "JUPYTER_CONFIG_PATH": str(Path(sys.prefix) / "etc/jupyter"),
    }
    environment = {
        "HUB_FOLDER": str(folder),
        "HUB_PORTS": json.dumps(ports),
        "HUB_CLASS": json.dumps(passwords),
        "HUB_CLASS_CONFIG": str(ROOT / "docs/hub/jupyterhub_config.py"),
        "HUB_PROXY": json.dumps([shutil.which("node"), str(PROXY)]),
        "HUB_SERVER_ENVIRONMENT": json.dumps(of_servers),
    }
    command = [HUB_PYTHON, "-m", "jupyterhub", "-f", HERE / "jupyterhub_config.py"]
    address = f"http://{HOST}:{ports[0]}"

    def answer(log):
        return urllib.request.urlopen(f"{address}/hub/api", timeout=5).read()

    with serving(command, answer, folder, environment, PATIENCE):
        yield address


class Student:
    """One browser: cookies, the pages it was led to, and the kernel's channels."""

    def __init__(self, address, name):
        self.address, self.name = address, name
        self.home = f"/user/{name}"
        self.http = httpx.AsyncClient(base_url=address, follow_redirects=True, timeout=PATIENCE)

    async def log_in(self, password):
        """Send the form of the login page; returns the page that follows."""
        page = await self.http.get("/hub/login")
        assert page.status_code == 200
        form = {"username": self.name, "password": password, "_xsrf": self.xsrf("/hub/")}
        return await self.http.post("/hub/login", data=form)

    async def wait_for_server(self):
        """Look at the page 'your server is starting' until it leads to the student's server."""
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            page = await self.http.get(f"/hub/spawn-pending/{self.name}")
            if page.url.path.startswith(self.home) and page.status_code == 200:
                return page
            assert page.status_code == 200, (page.status_code, page.url, page.text[-2000:])
            await asyncio.sleep(0.5)
        raise AssertionError(f"{self.name}'s server is not there after {PATIENCE} s")

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
        """Open the notebook at ``path`` as JupyterLab does; returns its kernel, ready."""
        order = {"path": path, "type": "notebook", "name": path, "kernel": {"name": "python3"}}
        answer = await self.http.post(
            f"{self.home}/api/sessions", json=order, headers=self._headers()
        )
        assert answer.status_code == 201, answer.text
        self.kernel_id = answer.json()["kernel"]["id"]
        kernel = Kernel(await self.channels(self.name, self.kernel_id))
        await kernel.ask("kernel_info_request", {})
        return kernel

    async def channels(self, of, kernel_id):
        """Open the websocket of a kernel; raises where the server refuses."""
        jar = [k for k in self.http.cookies.jar if f"/user/{of}/".startswith(k.path)]
        request = HTTPRequest(
            f"{self.address.replace('http', 'ws', 1)}/user/{of}/api/kernels/{kernel_id}/channels",
            headers={"Cookie": "; ".join(f"{k.name}={k.value}" for k in jar)},
            request_timeout=PATIENCE,
        )
        return await websocket_connect(request)

    def _headers(self):
        return {"X-XSRFToken": self.xsrf(f"{self.home}/")}


class Kernel:
    """A kernel at the other end of a websocket."""

    def __init__(self, socket):
        self.socket, self.session = socket, uuid.uuid4().hex

    async def ask(self, kind, content):
        """Send a request; returns the messages until it is answered and the kernel idle again."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "version": "5.3"}
        message = {"header": header | {"session": self.session, "date": ""}, "content": content}
        message |= {"channel": "shell", "parent_header": {}, "metadata": {}, "buffers": []}
        await self.socket.write_message(json.dumps(message))
        heard, answered, idle = [], False, False
        while not (answered and idle):
            raw = await self.socket.read_message()
            assert raw is not None, "the server has closed the channel"
            message = json.loads(raw) if isinstance(raw, str) else deserialize_binary_message(raw)
            if message["parent_header"].get("msg_id") == header["msg_id"]:
                heard.append(message)
                answered |= message["msg_type"] == kind.replace("_request", "_reply")
                idle |= message["content"].get("execution_state") == "idle"
        return heard

    async def run(self, code):
        """Run a cell; returns all text that nbval would compare. A cell that fails raises."""
        heard = await self.ask("execute_request", {"code": code, "silent": False})
        texts = []
        for message in heard:
            content = message["content"]
            if message["msg_type"] == "error":
                raise AssertionError(f"{content['ename']}: {content['evalue']}\nin\n{code}")
            if message["msg_type"] == "stream":
                texts.append(content["text"])
            if message["msg_type"] in ("execute_result", "display_data"):
                texts.append(content["data"].get("text/plain", ""))
        return "".join(texts)
