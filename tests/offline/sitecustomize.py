"""With this folder on PYTHONPATH no Python process reaches beyond this machine: no network.

Python audits every connection and every look-up of a name; both raise an OSError unless they stay
on the loopback. Kernels and other child processes inherit it.
"""

import sys
from ipaddress import ip_address

HERE = {"localhost", "", None}


def stays_here(host) -> bool:
    """Whether a host, as given to a socket, is this machine."""
    if isinstance(host, bytes):
        host = host.decode()
    if host in HERE:
        return True
    try:
        return ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


def cut(event, arguments):
    """Refuse what would leave this machine."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not stays_here(address[0]):  # else a local, named socket
            raise OSError(f"the network is cut: {event} to {address}")
    elif event == "socket.getaddrinfo" and not stays_here(arguments[0]):
        raise OSError(f"the network is cut: look-up of {arguments[0]}")


sys.addaudithook(cut)
