"""The cut network of `make test-elsewhere`: it cuts, and leaves this machine to itself."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import socket

def cut(reach, *address):
    try:
        reach(*address)
    except OSError as error:
        return "the network is cut" in str(error)

assert cut(socket.socket().connect_ex, ("192.0.2.1", 80))
assert cut(socket.socket(type=socket.SOCK_DGRAM).sendto, b"", ("192.0.2.1", 9))
assert cut(socket.getaddrinfo, "example.org", 80)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(("localhost", server.getsockname()[1])).sendall(b"here")
assert server.accept()[0].recv(4) == b"here"
"""
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"


def test_nothing_leaves_a_child_process_and_the_loopback_stays():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent / "offline")}
    subprocess.run([sys.executable, "-c", CHILD, CODE], env=environment, check=True, timeout=60)
