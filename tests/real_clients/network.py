"""A proxy that refuses everything, and remembers what was asked for."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class RefusingProxy:
    """It stands between the clients and all other servers than those on this machine.

    Attributes:
        url: Its own URL.
        refused: The hosts and URLs that were asked for.
    """

    def __init__(self) -> None:
        refused: set[str] = set()

        class Handler(BaseHTTPRequestHandler):
            def refuse(self) -> None:
                # Some other program of this machine may take the port for a server that was there before.
                if not self.path.startswith("/"):
                    refused.add(self.path)
                self.send_error(403)

            do_CONNECT = do_GET = do_POST = refuse  # noqa: N815 - the names that http.server asks for

            def log_message(self, *_: object) -> None:
                pass

        self.refused = refused
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="refusing proxy").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
