"""What a class needs of its JupyterHub; docs/running_a_class.md says where it goes.

Where logins, memory limits and users come from is the hub's own business and is left as it is.
"""

c = get_config()  # noqa: F821

# A whole class logs in within the same minute: patience, but not everybody at once.
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 180
c.JupyterHub.concurrent_spawn_limit = 30

# One thread a kernel: students share the processors, and the course's matrices are small.
c.Spawner.environment = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}

c.Spawner.args = [
    # A notebook that is opened again shows its saved pictures, not sliders without a kernel.
    "--NotebookNotary.db_file=:memory:",
    # Kernels that nobody looks at end after half an hour, servers without kernels after an hour.
    "--MappingKernelManager.cull_idle_timeout=1800",
    "--MappingKernelManager.cull_interval=120",
    "--ServerApp.shutdown_no_activity_timeout=3600",
]
c.Spawner.default_url = "/lab"

# Upheld by spawners that can (systemd, Docker, Kubernetes); measured in docs/running_a_class.md.
c.Spawner.mem_limit = "1536M"
