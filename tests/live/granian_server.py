"""Granian on a free port: it tells neither which one it took nor when it listens, so that both are done here."""

import codecs
import socket
import sys
import threading
from contextlib import closing, suppress

from granian.constants import Interfaces
from granian.server import Server


def tell_when_it_listens(port: int) -> None:
    """Print the address as soon as the port takes a connection."""
    while True:
        with suppress(ConnectionRefusedError), closing(socket.create_connection(("127.0.0.1", port))):
            print(f"listening at 127.0.0.1:{port}", flush=True)
            return


if __name__ == "__main__":
    interface, target = sys.argv[1:]
    # Connecting imports this codec. Workers that are forked in the middle of an import would wait for it for ever.
    codecs.lookup("idna")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    threading.Thread(target=tell_when_it_listens, args=(port,), daemon=True).start()
    Server(
        target,
        address="127.0.0.1",
        port=port,
        interface=Interfaces(interface),
        blocking_threads=32 if interface == "wsgi" else None,
        workers_kill_timeout=2,
        backlog=2048,
        log_enabled=False,
    ).serve()
