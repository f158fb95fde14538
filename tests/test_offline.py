"""The cut network of `make test-elsewhere`: it cuts, and leaves this machine to itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OFFLINE = Path(__file__).parent / "offline"


def run(code):
    environment = os.environ | {"PYTHONPATH": str(OFFLINE)}
    command = [sys.executable, "-c", "import socket, subprocess, sys\n" + code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "code",
    [
        "socket.socket().connect_ex(('192.0.2.1', 80))",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 9))",
        "subprocess.run([sys.executable, '-c', 'import socket;"
        ' socket.getaddrinfo("example.org", 80)\'], check=True)',
    ],
)
def test_nothing_leaves(code):
    done = run(code)
    assert done.returncode != 0 and "the network is cut" in done.stderr


def test_the_loopback_stays():
    code = """
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(("localhost", server.getsockname()[1])).sendall(b"here")
print(server.accept()[0].recv(4).decode())"""
    assert run(code).stdout == "here\n"
