"""The official SDK and the whole API of a live server: every operation, lists, uploads, downloads and streams."""

import asyncio
import functools
import hashlib
import inspect
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import flask
import httpx2
import openai
import pytest
from fastapi import Depends, FastAPI, File, Form, UploadFile
from openai import AsyncOpenAI, OpenAI
from openai._base_client import BaseSyncPage
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response, StreamingResponse

from openai_middleware import OpenAICall, OpenAIMiddleware, OpenAIWSGIMiddleware
from openai_middleware.adapters.fastapi import openai_kwargs, set_openai_frontend
from openai_middleware.contract import shipped
from openai_middleware.contract.generator.sdk_types import members
from openai_middleware.request.call import CALL_KEY
from openai_middleware.request.path_template import placeholder_names
from tests.support.sdk_methods import ONLY_OPEN_RESPONSES, arguments, public_methods
from tests.support.servers import TIMEOUT, uvicorn_server

# Deprecated methods are called too.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Json = dict[str, Any]

OPERATIONS = {operation.name: operation for group in shipped().groups for operation in shipped().operations(group)}
METHODS = dict(public_methods(OpenAI(api_key="not used")))
MODEL: Json = {"object": "model", "created": 1, "owned_by": "org", "deleted": True}
JUNK: Json = {"junk": {"deep": [1]}, "_internal": "secret", "Id": "i", "total": 6}


class Backend:
    """An app that records its calls, and answers each with what `answer` makes of it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.calls: list[OpenAICall] = []
        self.answer: Callable[[OpenAICall], Response] = lambda call: JSONResponse({})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        call = scope[CALL_KEY]
        self.calls.append(call)
        await self.answer(call)(scope, receive, send)


def always(said: Any) -> Callable[[OpenAICall], Response]:
    return lambda call: JSONResponse(said)


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Backend, str]]:
    backend = Backend()
    with uvicorn_server(OpenAIMiddleware(backend, prefix="/v1"), lifespan="off") as url:
        yield backend, f"{url}/v1"


@pytest.fixture
def backend(live: tuple[Backend, str]) -> Backend:
    live[0].reset()
    return live[0]


def settings(base_url: str, *, is_strict: bool) -> Json:
    return {"base_url": base_url, "api_key": "sk-none", "_strict_response_validation": is_strict}


@pytest.fixture(scope="module")
def client(live: tuple[Backend, str]) -> Iterator[OpenAI]:
    with OpenAI(**settings(live[1], is_strict=False)) as client:
        yield client


@pytest.fixture(scope="module")
def strict_client(live: tuple[Backend, str]) -> Iterator[OpenAI]:
    with OpenAI(**settings(live[1], is_strict=True)) as client:
        yield client


@pytest.fixture
async def async_client(live: tuple[Backend, str]) -> AsyncIterator[AsyncOpenAI]:
    # Loading certificates, which nothing here needs, would be most of what these tests do.
    http_client = openai.DefaultAsyncHttpxClient(verify=False)
    async with AsyncOpenAI(**settings(live[1], is_strict=False), http_client=http_client) as client:
        yield client


def method_of(client: OpenAI | AsyncOpenAI, name: str, *, with_: str | None = None) -> Callable[..., Any]:
    """The method of an operation, or its variant `with_streaming_response`."""
    *resources, method = name.split(".")
    return getattr(functools.reduce(getattr, [*resources, *([with_] if with_ else [])], client), method)


# --- every operation


def answer_types(name: str) -> list[Any]:
    return list(members(get_type_hints(inspect.unwrap(METHODS[name]), include_extras=True)["return"]))


def value_of(hint: Any) -> Any:
    """Something that the type of a field allows."""
    hint = next((member for member in members(hint) if member is not NoneType), None)
    inner = get_args(hint)
    if get_origin(hint) is Literal:
        return inner[0]
    if get_origin(hint) is list:
        return [value_of(inner[0])]
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        return document_of(hint)
    return {str: "text", int: 1, float: 0.5, bool: True, None: None}.get(hint, {})


def document_of(model: type[BaseModel]) -> Json:
    """What a model of the SDK requires, and no more."""
    fields = model.model_fields.items()
    return {field.alias or name: value_of(field.annotation) for name, field in fields if field.is_required()}


def answers_to(name: str) -> Iterator[tuple[Json, Json]]:
    """For each form of the answer: what the app says, and what the client is to get."""
    fields = OPERATIONS[name].fields
    for model in answer_types(name):
        if inspect.isclass(model) and issubclass(model, BaseModel):
            document = document_of(model) | ({"has_more": False} if "has_more" in fields else {})
            nulls = {field: None for field, (mandatory, nullable) in fields.items() if mandatory and nullable}
            yield {**JUNK, **document}, {**nulls, **document}


def kwargs_of(name: str) -> set[str]:
    operation = OPERATIONS[name]
    body = operation.body.keys() - ONLY_OPEN_RESPONSES.get(name, set()) if operation.request == "json" else ()
    url_info = {"mlrun_request_path", "mlrun_request_method"}
    return {*body, *operation.query, *placeholder_names(operation.path), *url_info}


JSON_ANSWERS = [name for name, operation in OPERATIONS.items() if operation.response == "json"]
NO_ANSWERS = [name for name, operation in OPERATIONS.items() if operation.response == "none"]
BINARY_ANSWERS = [name for name, operation in OPERATIONS.items() if operation.response == "binary"]


@pytest.mark.parametrize("name", JSON_ANSWERS)
def test_every_method_gets_an_answer_that_its_model_takes_as_valid(  # C1 O2 O4
    name: str, strict_client: OpenAI, backend: Backend
) -> None:
    answers = list(answers_to(name))
    assert answers
    for said, expected in answers:
        backend.answer = always(said)
        answer = method_of(strict_client, name)(**arguments(METHODS[name], only=None))

        assert answer.to_dict() == expected
    assert {call.operation for call in backend.calls} == {name}
    assert {frozenset(call.kwargs) for call in backend.calls} == {frozenset(kwargs_of(name))}


@pytest.mark.parametrize("name", JSON_ANSWERS)
async def test_every_method_gets_its_answer_asynchronously(  # C1 O2 O4
    name: str, async_client: AsyncOpenAI, backend: Backend
) -> None:
    for said, expected in answers_to(name):
        backend.answer = always(said)
        answer = await method_of(async_client, name)(**arguments(METHODS[name], only=None))

        assert answer.to_dict() == expected
    assert {call.operation for call in backend.calls} == {name}


@pytest.mark.parametrize("name", NO_ANSWERS)
@pytest.mark.parametrize("response", [JSONResponse({"deleted": True}), Response(status_code=204)])
def test_every_method_without_an_answer_takes_any(  # C4
    name: str, response: Response, client: OpenAI, backend: Backend
) -> None:
    backend.answer = lambda call: response

    assert method_of(client, name)(**arguments(METHODS[name], only=None)) is None
    [call] = backend.calls
    assert (call.operation, set(call.kwargs)) == (name, kwargs_of(name))


@pytest.mark.parametrize("method", ["retrieve", "delete"])
def test_the_name_of_a_model_may_hold_slashes(method: str, client: OpenAI, backend: Backend) -> None:  # M9
    backend.answer = lambda call: JSONResponse({"id": call.kwargs["model"], **MODEL})

    assert getattr(client.models, method)("org/team/na me").id == "org/team/na me"
    assert backend.calls[0].operation == f"models.{method}"


# --- lists


def page_type(name: str) -> Any:
    """The SDK's page class that a method returns, or None."""
    answer = get_type_hints(inspect.unwrap(METHODS[name])).get("return")
    return answer if inspect.isclass(answer) and issubclass(answer, BaseSyncPage) else None


LISTS = [name for name in METHODS if page_type(name)]
# The SDK has no way to ask these for a second page.
OF_ONE_PAGE = {name for name in LISTS if page_type(name).__name__.startswith("SyncPage")}
THAT_MUST_SAY_WHETHER_THERE_IS_MORE = [name for name in LISTS if "has_more" in OPERATIONS[name].fields]
# Where an item has no id, what it is told apart by here.
NAMES_OF_ITEMS = {"vector_stores.search": "file_id", "vector_stores.files.content": "text"}
PAGE_SIZE = 2
PAGES = 3


def name_of_items(operation: str | None) -> str:
    """The field by which the items of a list are told apart."""
    return NAMES_OF_ITEMS.get(operation or "", "id")


def envelope(call: OpenAICall, **changed: Any) -> Json:
    """The page after the item that the call names; it has all that the pages of some list have."""
    before = int(call.kwargs.get("after", "item-0").removeprefix("item-"))
    ids = [f"item-{before + number}" for number in range(1, PAGE_SIZE + 1)]
    has_more = before + PAGE_SIZE < PAGES * PAGE_SIZE
    return {
        **JUNK,
        "data": [{name_of_items(call.operation): item, **JUNK} for item in ids],
        "object": "list",
        "first_id": ids[0],
        "last_id": ids[-1],
        "has_more": has_more,
        "next_page": "token" if has_more else None,
        "search_query": ["query"],
        **changed,
    }


def pages(call: OpenAICall) -> Response:
    return JSONResponse(envelope(call))


def asked_after(backend: Backend) -> list[str | None]:
    return [call.kwargs.get("after") for call in backend.calls]


def expected_pages(name: str) -> int:
    return 1 if name in OF_ONE_PAGE else PAGES


def item_ids(count: int) -> list[str]:
    return [f"item-{number}" for number in range(1, count * PAGE_SIZE + 1)]


BESIDE_THE_ITEMS: dict[str, set[str]] = {
    "models.list": set(),
    "vector_stores.files.content": {"has_more", "next_page"},
    "vector_stores.search": {"has_more", "next_page", "search_query"},
}
MANY = 100


def test_the_lists_of_the_sdk_are_those_that_are_tested_here() -> None:
    assert len(LISTS) == 27
    assert len(OF_ONE_PAGE) == 4
    assert set(LISTS) <= set(OPERATIONS)


@pytest.mark.parametrize("name", LISTS)
def test_going_through_a_list_comes_to_its_end(name: str, client: OpenAI, backend: Backend) -> None:  # C1
    backend.answer = pages

    items = method_of(client, name)(**arguments(METHODS[name], only=()))

    count = expected_pages(name)
    ids = [getattr(item, name_of_items(name)) for item in itertools.islice(items, MANY)]
    assert ids == item_ids(count)
    assert asked_after(backend) == [None, "item-2", "item-4"][:count]
    assert {call.operation for call in backend.calls} == {name}


@pytest.mark.parametrize("name", LISTS)
async def test_going_through_a_list_comes_to_its_end_asynchronously(  # C1
    name: str, async_client: AsyncOpenAI, backend: Backend
) -> None:
    backend.answer = pages
    ids = []

    async for item in method_of(async_client, name)(**arguments(METHODS[name], only=())):
        ids.append(getattr(item, name_of_items(name)))
        assert len(ids) < MANY

    assert ids == item_ids(expected_pages(name))


@pytest.mark.parametrize("name", LISTS)
def test_a_page_keeps_what_its_list_has_beside_the_items(  # C1 O2 O11
    name: str, client: OpenAI, backend: Backend
) -> None:
    backend.answer = pages

    response = method_of(client, name, with_="with_raw_response")(**arguments(METHODS[name], only=()))

    fields = {"data", "object"} | BESIDE_THE_ITEMS.get(name, {"has_more", "first_id", "last_id"})
    answer = envelope(backend.calls[0])
    for item in answer["data"]:
        for field in JUNK:
            del item[field]
    assert response.http_response.json() == {field: value for field, value in answer.items() if field in fields}


@pytest.mark.parametrize("has_more", ["absent", None, "true", 1])
@pytest.mark.parametrize("name", THAT_MUST_SAY_WHETHER_THERE_IS_MORE)
def test_a_list_that_does_not_say_whether_there_is_more_is_an_error_and_no_endless_loop(  # C1 O3
    name: str, has_more: Any, client: OpenAI, backend: Backend
) -> None:
    def first_page(call: OpenAICall) -> Response:
        answer = envelope(call, has_more=has_more)
        if has_more == "absent":
            del answer["has_more"]
        return JSONResponse(answer)

    backend.answer = first_page

    with pytest.raises(openai.UnprocessableEntityError) as raised:
        list(itertools.islice(method_of(client, name)(**arguments(METHODS[name], only=())), MANY))

    assert (raised.value.param, raised.value.code) == ("has_more", "invalid_response")
    assert len(backend.calls) == 1


# --- uploads

FILE = bytes(range(256)) * 12 * 1024  # more than the frameworks keep in memory
PNG = b"\x89PNG\r\n\x1a\n"
parts: dict[str, bytes] = {}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_object(name: str | None, content: bytes, purpose: str) -> Json:
    return {
        "id": digest(content),
        "object": "file",
        "bytes": len(content),
        "created_at": 1,
        "filename": name,
        "purpose": purpose,
        "status": "processed",
        **JUNK,
    }


def upload(status: str, file: Json | None = None) -> Json:
    whole = {"id": "upload-1", "object": "upload", "bytes": 1, "created_at": 1, "expires_at": 2, "filename": "f"}
    return {**whole, "purpose": "user_data", "status": status, "file": file, **JUNK}


def uploads_app() -> FastAPI:
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1", max_body_size=1000)
    kwargs = Annotated[Json, Depends(openai_kwargs)]

    @app.post("/v1/files")
    async def create_file(file: UploadFile, purpose: Annotated[str, Form()]) -> Json:
        return file_object(file.filename, await file.read(), purpose)

    @app.post("/v1/audio/transcriptions", response_model=None)
    async def transcribe(
        file: UploadFile, model: Annotated[str, Form()], stream: Annotated[bool, Form()] = False
    ) -> Json | StreamingResponse:
        text = f"{file.filename} ({file.content_type}) by {model}: {digest(await file.read())}"
        return event_stream("transcript.text", text=text) if stream else {"text": text, **JUNK}

    @app.post("/v1/images/edits", response_model=None)
    async def edit(
        image: Annotated[list[UploadFile], File(alias="image[]")],
        mask: UploadFile,
        prompt: Annotated[str, Form()],
        stream: Annotated[bool, Form()] = False,
    ) -> Json | StreamingResponse:
        files = [*image, mask]
        said = " ".join([prompt, *[f"{file.filename}={await file.read()!r}" for file in files]])
        if stream:
            return event_stream("image_edit", b64_json=said)
        return {"created": 1, "data": [{"b64_json": said}], **JUNK}

    @app.post("/v1/uploads")
    async def create_upload() -> Json:
        return upload("pending")

    @app.post("/v1/uploads/{upload_id}/parts")
    async def add_part(data: UploadFile, kwargs: kwargs) -> Json:
        part_id = f"part-{len(parts)}"
        parts[part_id] = await data.read()
        return {"id": part_id, "object": "upload.part", "created_at": 1, "upload_id": kwargs["upload_id"], **JUNK}

    @app.post("/v1/uploads/{upload_id}/complete")
    async def complete(kwargs: kwargs) -> Json:
        content = b"".join(parts[part] for part in kwargs["part_ids"])
        return upload("completed", file_object("f", content, "user_data"))

    return app


def events(kind: str, **fields: Any) -> Iterator[bytes]:
    names = {
        "transcript.text": ("transcript.text.delta", "transcript.text.done", "delta"),
        "image_edit": ("image_edit.partial_image", "image_edit.completed", "b64_json"),
        "image_generation": ("image_generation.partial_image", "image_generation.completed", "b64_json"),
    }
    partial, whole, field = names[kind]
    image = {"created_at": 1, "output_format": "png", "quality": "low", "size": "auto", "background": "auto"}
    tokens = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    usage = {**tokens, "input_tokens_details": {"image_tokens": 1, "text_tokens": 0}}
    more: Json = {} if kind == "transcript.text" else image
    partial_fields = {field: "half", **({"partial_image_index": 0} if more else {})}
    for document in (
        {"type": partial, **partial_fields, **more},
        {"type": whole, **fields, **more, **({"usage": usage} if more else {})},
    ):
        yield f"event: {document['type']}\ndata: {json.dumps({**document, **JUNK})}\n\n".encode()


def event_stream(kind: str, **fields: Any) -> StreamingResponse:
    return StreamingResponse(events(kind, **fields), media_type="text/event-stream")


@pytest.fixture(scope="module")
def uploads() -> Iterator[OpenAI]:
    with (
        uvicorn_server(uploads_app()) as url,
        OpenAI(base_url=f"{url}/v1", api_key="sk-none", _strict_response_validation=True) as client,
    ):
        yield client


def test_a_file_arrives_whole_in_a_fastapi_route(uploads: OpenAI) -> None:  # B10 O2
    file = uploads.files.create(file=("Grüße.bin", FILE), purpose="user_data")

    assert (file.id, file.bytes, file.filename) == (digest(FILE), len(FILE), "Grüße.bin")
    assert file.purpose == "user_data"
    assert not JUNK.keys() & file.to_dict().keys()


async def test_a_file_arrives_whole_in_a_fastapi_route_asynchronously(uploads: OpenAI) -> None:  # B10 O2
    async with AsyncOpenAI(base_url=str(uploads.base_url), api_key="sk-none") as client:
        file = await client.files.create(file=("f.bin", FILE), purpose="batch")

    assert (file.id, file.filename, file.purpose) == (digest(FILE), "f.bin", "batch")


def test_a_file_arrives_whole_in_a_flask_view() -> None:  # B10 O2 W1
    app = flask.Flask(__name__)

    @app.post("/v1/files")
    def create_file() -> Json:
        file = flask.request.files["file"]
        return file_object(file.filename, file.read(), flask.request.form["purpose"])

    transport = httpx2.WSGITransport(OpenAIWSGIMiddleware(app.wsgi_app, prefix="/v1", max_body_size=1000))
    with OpenAI(base_url="http://app/v1", api_key="sk-none", http_client=httpx2.Client(transport=transport)) as client:
        file = client.files.create(file=("f.bin", FILE), purpose="user_data")

    assert (file.id, file.filename, file.purpose) == (digest(FILE), "f.bin", "user_data")
    assert not JUNK.keys() & file.to_dict().keys()


def test_audio_is_transcribed(uploads: OpenAI) -> None:  # B10 O2
    answer = uploads.audio.transcriptions.create(file=("a.mp3", FILE, "audio/mpeg"), model="whisper")

    assert answer.to_dict() == {"text": f"a.mp3 (audio/mpeg) by whisper: {digest(FILE)}"}


def test_several_images_are_edited(uploads: OpenAI) -> None:  # B10 O2
    images: Any = [("a.png", PNG), ("b.png", PNG)]
    answer = uploads.images.edit(image=images, mask=("m.png", b""), prompt="Greener.")

    said = f"Greener. a.png={PNG!r} b.png={PNG!r} m.png=b''"
    assert answer.to_dict() == {"created": 1, "data": [{"b64_json": said}]}


def test_a_file_that_is_uploaded_in_parts_is_put_together(uploads: OpenAI) -> None:  # B10 B7
    answer = uploads.uploads.upload_file_chunked(
        file=FILE, filename="f", bytes=len(FILE), mime_type="text/plain", purpose="user_data", part_size=1_000_000
    )

    assert len(parts) == 4
    assert answer.status == "completed"
    assert answer.file is not None
    assert answer.file.id == digest(FILE)


# --- downloads

DOWNLOADS = [
    ("application/octet-stream", b"\x00\xff\r\n\r\ndata: {}"),
    ("audio/mpeg", b"ID3" + FILE),
    ("application/json", b'{"junk": 1, "id": "mine"}'),
    ("application/json", b'{"a": 1}\n{"a": 2}\n'),
    ("application/jsonl", b'{"a": 1}\n'),
]
each_download = pytest.mark.parametrize(("content_type", "content"), DOWNLOADS)


@each_download
@pytest.mark.parametrize("name", BINARY_ANSWERS)
def test_a_download_arrives_byte_for_byte_also_where_it_is_json(  # O1
    name: str, content_type: str, content: bytes, client: OpenAI, backend: Backend
) -> None:
    backend.answer = lambda call: Response(content, media_type=content_type)

    answer = method_of(client, name)(**arguments(METHODS[name], only=None))

    assert answer.content == content
    assert answer.response.headers["content-type"] == content_type
    [call] = backend.calls
    assert (call.operation, set(call.kwargs)) == (name, kwargs_of(name))


@pytest.mark.parametrize("name", ["audio.speech.create", "files.content"])
def test_a_download_arrives_before_the_app_has_sent_it_all(name: str, client: OpenAI, backend: Backend) -> None:  # O1
    has_arrived = threading.Event()

    async def content() -> AsyncIterator[bytes]:
        yield b'{"first": '
        if not await asyncio.to_thread(has_arrived.wait, TIMEOUT):
            raise TimeoutError
        yield b"1}"

    backend.answer = lambda call: StreamingResponse(content(), media_type="application/json")

    with method_of(client, name, with_="with_streaming_response")(**arguments(METHODS[name], only=())) as response:
        chunks = response.iter_bytes()
        first = next(chunks)
        has_arrived.set()
        assert [first, *chunks] == [b'{"first": ', b"1}"]


async def test_a_download_arrives_asynchronously(async_client: AsyncOpenAI, backend: Backend) -> None:  # O1
    backend.answer = lambda call: Response(FILE, media_type="application/json")

    async with async_client.files.with_streaming_response.content("file-1") as response:
        chunks = [chunk async for chunk in response.iter_bytes()]

    assert b"".join(chunks) == FILE
    assert len(chunks) > 1


# --- streams of images and transcriptions


def test_a_transcription_streams(uploads: OpenAI) -> None:  # S2 S7
    stream = uploads.audio.transcriptions.create(file=("a.mp3", b"a", "audio/mpeg"), model="whisper", stream=True)

    text = f"a.mp3 (audio/mpeg) by whisper: {digest(b'a')}"
    partial, whole = (event.to_dict() for event in stream)
    assert partial == {"type": "transcript.text.delta", "delta": "half"}
    assert whole == {"type": "transcript.text.done", "text": text}


def test_an_edited_image_streams(uploads: OpenAI) -> None:  # S2 S7
    images: Any = [("a.png", PNG)]
    stream = uploads.images.edit(image=images, mask=("m.png", b""), prompt="Greener.", stream=True)

    partial, whole = (event.to_dict() for event in stream)
    assert (partial["type"], partial["b64_json"]) == ("image_edit.partial_image", "half")
    assert (whole["type"], whole["b64_json"]) == ("image_edit.completed", f"Greener. a.png={PNG!r} m.png=b''")
    assert not JUNK.keys() & {*partial, *whole}


def test_a_generated_image_streams(strict_client: OpenAI, backend: Backend) -> None:  # S2 S7
    backend.answer = lambda call: event_stream("image_generation", b64_json="whole")

    partial, whole = (event.to_dict() for event in strict_client.images.generate(prompt="Green.", stream=True))
    assert (partial["type"], partial["b64_json"]) == ("image_generation.partial_image", "half")
    assert (whole["type"], whole["b64_json"]) == ("image_generation.completed", "whole")
    assert not JUNK.keys() & {*partial, *whole}
    assert backend.calls[0].kwargs["stream"] is True
