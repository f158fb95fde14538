"""The hub of the test: docs/hub/jupyterhub_config.py on the loopback address, all as one user.

What varies comes as JSON in $HUB, from classroom.py. Whoever comes is let in.
"""

import json
import os
import sys

c = get_config()  # noqa: F821
GIVEN = json.loads(os.environ["HUB"])
load_subconfig(GIVEN["config"])  # noqa: F821

c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True

public, api, own = (f"http://127.0.0.1:{port}" for port in GIVEN["ports"])
c.JupyterHub.bind_url = public
c.JupyterHub.hub_bind_url = own
c.ConfigurableHTTPProxy.api_url = api
c.ConfigurableHTTPProxy.command = GIVEN["proxy"]

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = GIVEN["homes"]
c.Spawner.ip = "127.0.0.1"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.environment.update(GIVEN["environment"])
if os.getuid() == 0:
    c.Spawner.args.append("--allow-root")
