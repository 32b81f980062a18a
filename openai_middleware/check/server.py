"""An app served on a free port of the loopback interface, from a thread, for as long as it is checked."""

import inspect
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import uvicorn
from asgiref.sync import iscoroutinefunction

__all__ = ["ServerError", "is_asgi", "serving"]

_HOST: Final = "127.0.0.1"
_SECONDS: Final = 30


class ServerError(RuntimeError):
    """The app cannot be served."""


def is_asgi(app: Any) -> bool:
    """Whether an app is one of ASGI, and not of WSGI: it is a coroutine function, or takes three arguments.

    Raises:
        ServerError: It is neither.
    """
    if not callable(app):
        raise ServerError(f"An app can be called, and {type(app).__name__} cannot.")
    if iscoroutinefunction(app) or iscoroutinefunction(app.__call__):
        return True
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return False
    wanted = [one for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    if not parameters:
        raise ServerError("An app takes arguments, and this takes none: is it a function that returns the app?")
    return len(wanted) == 3


@contextmanager
def serving(app: Any, prefix: str = "") -> Iterator[str]:
    """Serve an app until the end of the block; yields its URL, without a slash at the end.

    An ASGI app is served by uvicorn, a WSGI app by a server of the standard library, with a thread for each connection.

    Args:
        app: The app.
        prefix: A path that the URL ends with, with or without its first slash.

    Raises:
        ServerError: It does not start.
    """
    path = prefix.strip("/")
    with _serving_asgi(app) if is_asgi(app) else _serving_wsgi(app) as url:
        yield f"{url}/{path}" if path else url


class _Uvicorn(uvicorn.Server):
    """A server that tells when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started: Future[None] = Future()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self.has_started.set_result(None)

    def run_in_thread(self, listener: socket.socket) -> None:
        reason = "its lifespan failed"
        try:
            self.run([listener])
        except BaseException as error:  # uvicorn ends with SystemExit where the lifespan of the app fails
            reason = repr(error)
        if not self.has_started.done():
            self.has_started.set_exception(ServerError(f"The app did not start: {reason}."))


@contextmanager
def _serving_asgi(app: Any) -> Iterator[str]:
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = _Uvicorn(config)
    with socket.create_server((_HOST, 0)) as listener:
        # asyncio does so for sockets of its own; without it an answer that leaves in two parts takes 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=server.run_in_thread, args=(listener,), name="uvicorn", daemon=True)
        thread.start()
        try:
            server.has_started.result(_SECONDS)
            yield f"http://{_HOST}:{listener.getsockname()[1]}"
        except TimeoutError as error:
            raise ServerError(f"The app did not start within {_SECONDS} s.") from error
        finally:
            server.should_exit = True
            thread.join(_SECONDS)


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Requests are no news."""


class _ThreadedServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def _serving_wsgi(app: Any) -> Iterator[str]:
    with _ThreadedServer((_HOST, 0), _QuietHandler) as server:
        server.set_app(app)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="wsgiref", daemon=True)
        thread.start()
        try:
            yield f"http://{_HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(_SECONDS)
