"""Connections that do what client libraries never do: stop anywhere, and go."""

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TIMEOUT = 30


def request_bytes(path: str, body: Any = None, *, method: str = "POST", headers: str = "") -> bytes:
    """A request of HTTP/1.1."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    if body is not None:
        head += f"Content-Length: {len(content)}\r\n"
    return (head + headers + "\r\n").encode() + content


@contextmanager
def connection(port: int, *, is_reset: bool = False) -> Iterator[socket.socket]:
    """A connection that is closed at the end of the block, or reset."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
        yield client
        if is_reset:
            # Closing then sends RST instead of FIN, and throws away what was not read.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_until(client: socket.socket, text: bytes, *, times: int = 1) -> bytes:
    """Read until a text has come so many times."""
    data = b""
    while data.count(text) < times:
        more = client.recv(65536)
        if not more:
            raise ConnectionError(f"The server closed the connection after {data!r}")
        data += more
    return data


def read_to_end(client: socket.socket) -> bytes:
    """Read until the server closes the connection, or resets it."""
    data = b""
    try:
        while more := client.recv(65536):
            data += more
    except ConnectionError:
        pass
    return data
