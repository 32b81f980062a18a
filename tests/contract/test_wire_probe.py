"""What the SDK puts on the wire agrees with the contract.

The contract is read from the SDK's source. Here every public method of a real client is called instead, and the
requests that it sends are compared with the contract.
"""

import contextlib
import email
import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from email.message import Message
from typing import Any, NamedTuple, get_type_hints
from urllib.parse import parse_qsl

import httpx2
import openai
import pytest
from openai._base_client import BaseSyncPage

from openai_middleware.contract import Operation, shipped
from tests.support.sdk_methods import ONLY_OPEN_RESPONSES, arguments, public_methods

# Deprecated methods are called too.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

OPERATIONS = {operation.name: operation for group in shipped().groups for operation in shipped().operations(group)}
BASE_PATH = "/base"

# Methods written by hand: those that open a WebSocket, and those that only look at a webhook that came in.
SEND_NOTHING = {
    *("live.connect", "live.forks.connect", "live.sideband.connect", "realtime.connect", "responses.connect"),
    *("realtime.translations.connect", "webhooks.unwrap", "webhooks.verify_signature"),
}

# Methods written by hand that refuse arguments made up from their signatures.
BY_HAND: dict[str, Callable[[openai.OpenAI], object]] = {
    "chat.completions.parse": lambda client: client.chat.completions.parse(model="m", messages=[]),
    "chat.completions.stream": lambda client: client.chat.completions.stream(model="m", messages=[]).__enter__(),
    "responses.parse": lambda client: client.responses.parse(model="m", input="x"),
    "responses.stream": lambda client: client.responses.stream(model="m", input="x").__enter__(),
    "uploads.upload_file_chunked": lambda client: client.uploads.upload_file_chunked(
        file=b"content", filename="file.txt", bytes=7, mime_type="text/plain", purpose="assistants"
    ),
}

# What is sent beyond the mandatory fields by a call that has only the arguments which it needs.
SENT_UNASKED = {"embeddings.create": {"encoding_format"}}
ONE_OF_TWO_FORMS = {"audio.voices.create": {"prompt", "type"}}
BODY_IS_ONE_FIELD = {"realtime.calls.create": {"sdp"}}


class Sent(NamedTuple):
    """A request, or what the contract says of it. In the path, the names of the parameters stand for their values."""

    method: str
    path: str
    request: str
    body: frozenset[str]
    query: Mapping[str, str]


class Probe:
    """A client whose requests are recorded and refused, so that each method sends one and no more."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.client = openai.OpenAI(
            api_key="not used",
            base_url=f"http://probe{BASE_PATH}",
            max_retries=0,
            http_client=httpx2.Client(transport=httpx2.MockTransport(self.refuse)),
        )
        self.methods = dict(public_methods(self.client))

    def refuse(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return httpx2.Response(400, json={"error": {"message": "refused"}})

    def sent_by(self, call: Callable[[], object]) -> Sent:
        self.requests.clear()
        with contextlib.suppress(openai.BadRequestError):
            call()
        [request] = self.requests
        return read(request)

    def sent_by_method(self, name: str, only: Collection[str] | None = None) -> Sent:
        """What a method sends with all its arguments, or with these only and those that it cannot do without."""
        if name in BY_HAND:
            return self.sent_by(lambda: BY_HAND[name](self.client))
        return self.sent_by(lambda: self.methods[name](**arguments(self.methods[name], only)))


def read(request: httpx2.Request) -> Sent:
    content, content_type = request.read(), request.headers.get("Content-Type", "")
    keys: Iterable[str] = ()
    kind = "none"
    if content and content_type == "application/json":
        kind, keys = "json", json.loads(content)
    elif content_type.startswith("multipart/form-data"):
        message = email.message_from_bytes(f"Content-Type: {content_type}\n\n".encode() + content)
        kind, keys = "multipart", [field_name(part) for part in message.walk() if not part.is_multipart()]
    elif content:
        kind = content_type
    query = parse_qsl(request.url.query.decode(), keep_blank_values=True)
    return Sent(
        request.method,
        request.url.path.removeprefix(BASE_PATH),
        kind,
        frozenset(map(base_name, keys)),
        {base_name(key): type_of(key, value) for key, value in query},
    )


def field_name(part: Message) -> str:
    name = part.get_param("name", header="Content-Disposition")
    assert isinstance(name, str)
    return name


def base_name(key: str) -> str:
    return key.partition("[")[0]


def type_of(key: str, value: str) -> str:
    if key.endswith("]"):
        return "array" if key.endswith("[]") else "object"
    return "boolean" if value in ("true", "false") else "integer" if value.isdigit() else "string"


def expected(operation: Operation) -> Sent:
    return Sent(
        operation.method,
        re.sub("[{}]|:path", "", operation.path),
        operation.request,
        frozenset(operation.body) - ONLY_OPEN_RESPONSES.get(operation.name, set()),
        {name: parameter.type for name, parameter in operation.query.items()},
    )


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe()


def test_every_operation_sends_what_the_contract_says(  # C1 O12
    probe: Probe, capsys: pytest.CaptureFixture[str]
) -> None:
    """Method, path, kind of body, its keys, the keys of the query and their types; with every argument there is."""
    sent = {name: probe.sent_by_method(name) for name in OPERATIONS}
    described = {name: expected(operation) for name, operation in OPERATIONS.items()}

    disagreements = {name: (sent[name], described[name]) for name in OPERATIONS if sent[name] != described[name]}
    with capsys.disabled():
        print(f"\nwire probe: {len(sent) - len(disagreements)} of {len(described)} operations agree")
    assert disagreements == {}
    assert len(sent) == 150


@pytest.mark.parametrize("name", OPERATIONS)
def test_mandatory_is_what_a_method_cannot_be_called_without(name: str, probe: Probe) -> None:  # C1
    more = ONE_OF_TWO_FORMS.get(name, set())
    sent = probe.sent_by_method(name, only=more)

    operation = OPERATIONS[name]
    mandatory = {field for field, is_mandatory in operation.body.items() if is_mandatory}
    assert sent.body | BODY_IS_ONE_FIELD.get(name, set()) == mandatory | more | SENT_UNASKED.get(name, set())
    assert set(sent.query) == {field for field, parameter in operation.query.items() if parameter.mandatory}


def test_no_method_sends_what_is_not_in_the_contract(probe: Probe) -> None:  # C1
    """Conveniences and deprecated methods too, although they are no operations of their own."""
    routes = [(one.method, re.compile(re.sub("{.+?}", "[^/]+", one.path))) for one in OPERATIONS.values()]
    assert probe.methods.keys() >= SEND_NOTHING

    for name in probe.methods.keys() - SEND_NOTHING:
        sent = probe.sent_by_method(name)
        assert [method for method, path in routes if method == sent.method and path.fullmatch(sent.path)], (name, sent)


def test_every_list_that_the_sdk_pages_through_must_say_whether_there_is_more(probe: Probe) -> None:  # C1
    """Without `has_more` the SDK asks for one page after the other."""
    answers = {name: get_type_hints(inspect.unwrap(probe.methods[name]))["return"] for name in OPERATIONS}
    paged = [name for name, answer in answers.items() if "has_more" in page_fields(answer)]

    assert len(paged) == 23
    assert {OPERATIONS[name].fields["has_more"] for name in paged} == {(True, False)}
    assert not {name for name in paged if not page_fields(answers[name]) <= OPERATIONS[name].fields.keys()}


def page_fields(answer: Any) -> set[str]:
    return set(answer.model_fields) if inspect.isclass(answer) and issubclass(answer, BaseSyncPage) else set()
