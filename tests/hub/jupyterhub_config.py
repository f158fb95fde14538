"""The hub of the test: docs/hub/jupyterhub_config.py on the loopback address, all as one user.

What varies comes in the environment: HUB_FOLDER, HUB_PORTS (public, proxy's API, hub), HUB_CLASS
(JSON: name to password), HUB_PROXY (JSON: the command), HUB_SERVER_ENVIRONMENT (JSON).
"""

import json
import os
import sys
from secrets import compare_digest

from jupyterhub.auth import Authenticator

c = get_config()  # noqa: F821
load_subconfig(os.environ["HUB_CLASS_CONFIG"])  # noqa: F821

FOLDER = os.environ["HUB_FOLDER"]
PASSWORDS = json.loads(os.environ["HUB_CLASS"])
PUBLIC, PROXY_API, HUB = json.loads(os.environ["HUB_PORTS"])


class OnePasswordEach(Authenticator):
    """Everybody has a password of their own."""

    async def authenticate(self, handler, data):
        known = PASSWORDS.get(data["username"], "")
        right = known and compare_digest(known.encode(), data["password"].encode())
        return data["username"] if right else None


c.JupyterHub.authenticator_class = OnePasswordEach
c.Authenticator.allowed_users = set(PASSWORDS)

c.JupyterHub.bind_url = f"http://127.0.0.1:{PUBLIC}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{HUB}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{PROXY_API}"
c.ConfigurableHTTPProxy.command = json.loads(os.environ["HUB_PROXY"])
c.ConfigurableHTTPProxy.pid_file = f"{FOLDER}/proxy.pid"
c.JupyterHub.cookie_secret_file = f"{FOLDER}/cookie_secret"
c.JupyterHub.db_url = f"sqlite:///{FOLDER}/hub.sqlite"

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{FOLDER}/homes/{{username}}"
c.Spawner.ip = "127.0.0.1"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.environment.update(json.loads(os.environ["HUB_SERVER_ENVIRONMENT"]))
if os.getuid() == 0:
    c.Spawner.args.append("--allow-root")
