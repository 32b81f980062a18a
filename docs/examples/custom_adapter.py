"""An adapter for a framework that speaks neither ASGI nor WSGI, and a server for it out of the standard library.

python docs/examples/custom_adapter.py
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple, Unpack
from urllib.parse import unquote_to_bytes

import openai

# --8<-- [start:adapter]
from openai_middleware.drivers import (
    AppRequest,
    BodyReader,
    Exchange,
    Frontend,
    Header,
    OpenAICall,
    OpenAIEndpoint,
    OpenAIError,
    Options,
    Response,
    as_bytes,
    iterate,
    map_answer,
    respond,
)
from openai_middleware.errors import NotFoundError


@dataclass(frozen=True)
class Request:
    """What the framework hands to an app."""

    method: str
    path: str  # decoded
    target: bytes  # as it stands in the request line
    headers: Sequence[Header]
    stream: BinaryIO  # ends with the body
    call: OpenAICall | None = None


class Answer(NamedTuple):
    """What an app returns."""

    status: int
    headers: Sequence[Header]
    chunks: Iterable[bytes]


class OpenAIAdapter:
    """Puts the OpenAI API in front of an app of this framework."""

    def __init__(
        self,
        app: Callable[[Request], Answer],
        endpoints: Iterable[OpenAIEndpoint | str] | None = None,
        prefix: str | Iterable[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._app = app
        self._frontend = Frontend(endpoints, prefix, **options)

    def __call__(self, request: Request) -> Answer:
        raw_path, _, query = request.target.partition(b"?")
        exchange = None
        try:
            exchange = self._frontend.open(request.method, request.path, query, request.headers, raw_path=raw_path)
            return self._app(request) if exchange is None else self._served(exchange, request)
        except OpenAIError as error:
            status, headers, body = error.response()
            return Answer(status, list(headers if exchange is None else exchange.identified(headers)), [body])

    def _served(self, exchange: Exchange, request: Request) -> Answer:
        received = exchange.receive(read(exchange.body_reader, request.stream))
        if exchange.handler is not None:  # a function of the option `handlers` answers instead of the app
            answer = answer_of(respond(exchange.handler, received.call))
        else:
            answer = self._app(request_for_app(request, received))
        headers = exchange.identified(answer.headers)
        mapped = map_answer(exchange, answer.status, headers, answer.chunks)
        if mapped is None:
            return answer._replace(headers=headers)
        return Answer(answer.status, headers if mapped.headers is None else mapped.headers, mapped.chunks)


def read(reader: BodyReader | None, stream: BinaryIO) -> bytes | None:
    if reader is None:
        return None
    while chunk := stream.read(65536):
        reader.feed(chunk)
    return reader.end()


def request_for_app(request: Request, received: AppRequest) -> Request:
    stream = request.stream if received.body is None else BytesIO(received.body)
    seen = replace(request, method=received.method, path=received.path, headers=received.headers)
    return replace(seen, stream=stream, call=received.call)


def answer_of(response: Response) -> Answer:
    chunks = [response.content or b""] if response.events is None else iterate(response.events)
    return Answer(response.status_code, as_bytes(response.headers), chunks)


# --8<-- [end:adapter]


# --8<-- [start:app]
def app(request: Request) -> Answer:
    if request.call is None:
        return Answer(200, [(b"content-type", b"text/plain")], [b"A page of your own.\n"])
    if request.call.operation != "chat.completions.create":
        raise NotFoundError(f"This server does not know {request.call.operation}.", code="unknown_operation")
    return create(**request.call.kwargs)


def create(model: str, messages: list[dict[str, Any]], stream: bool = False, **others: object) -> Answer:
    about = {"id": "chatcmpl-1", "created": int(time.time()), "model": model, "internal": True}
    text = messages[-1]["content"].upper()
    if stream:
        return Answer(200, [(b"content-type", b"text/event-stream")], chunks(about, text))
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    completion = {**about, "object": "chat.completion", "choices": [choice]}
    return Answer(200, [(b"content-type", b"application/json")], [json.dumps(completion).encode()])


def chunks(about: dict[str, Any], text: str) -> Iterator[bytes]:
    for word in text.split():
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        chunk = {**about, "object": "chat.completion.chunk", "choices": [choice]}
        yield b"data: " + json.dumps(chunk).encode() + b"\n\n"


application = OpenAIAdapter(app, prefix="/v1", handlers={"models.list": lambda: {"object": "list", "data": []}})
# --8<-- [end:app]


class Body:
    """A request body as a stream that ends where the body ends."""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int) -> bytes:
        chunk: bytes = self._stream.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk


class Handler(BaseHTTPRequestHandler):
    """The framework's server: one connection for each request."""

    def serve(self) -> None:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        body: Any = Body(self.rfile, int(self.headers.get("content-length", 0)))
        target = self.path.encode("latin-1")
        path = unquote_to_bytes(target.partition(b"?")[0]).decode(errors="replace")
        answer = application(Request(self.command, path, target, headers, body))
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name.decode("latin-1"), value.decode("latin-1"))
        self.end_headers()
        try:
            for chunk in answer.chunks:
                self.wfile.write(chunk)
        finally:
            close: Callable[[], None] | None = getattr(answer.chunks, "close", None)
            if close is not None:
                close()

    do_GET = do_POST = do_DELETE = serve  # noqa: N815 - the names are http.server's

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            use(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


def use(url: str) -> None:
    messages: Any = [{"role": "user", "content": "is anybody there"}]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused") as client:
        completion = client.chat.completions.create(model="loud", messages=messages)
        print(completion.choices[0].message.content, completion.model_extra)
        for chunk in client.chat.completions.create(model="loud", messages=messages, stream=True):
            print(chunk.choices[0].delta.content, chunk.model_extra)
        print(client.models.list().data)
        try:
            client.chat.completions.retrieve("chatcmpl-1")
        except openai.NotFoundError as error:
            print(error.code, error)
        print(client.with_options(base_url=url).get("/health", cast_to=str).strip())


if __name__ == "__main__":
    main()
