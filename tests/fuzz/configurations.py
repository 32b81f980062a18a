r"""Any configuration: taken, or refused with its mistakes. One that is taken serves requests, and survives JSON.

An input has a line for each part; a line that is none of these is a whole configuration in JSON.

    endpoint POST /items/{x} allow
    in $.model model!
    out $..id ids
    stream $.a a
    options unmatched reject
    prefix /v1
    group responses
    send POST /items/1
"""

from contextlib import suppress
from typing import Any

import msgspec

from openai_middleware import APIHandlerConfig
from openai_middleware.errors import ConfigurationError, OpenAIError
from openai_middleware.frontend import Frontend

SECTIONS = {"in": "input_body_mappings", "out": "output_body_mappings", "stream": "stream_body_mappings"}
BODY = b'{"model": "m", "messages": [{"a": 1}], "id": 2, "a": {"b": [1, 2]}, "stream": true}'
KINDS = [b"application/json", b"text/event-stream"]


def check(data: bytes) -> None:
    """Build what the input says, and serve requests with it."""
    struct, arguments, requests = parsed(data.decode(errors="replace"))
    try:
        config = APIHandlerConfig.from_dict(struct)
        frontend = Frontend(config=config, **arguments["options"])
        if arguments["groups"] or arguments["prefixes"]:
            with suppress(ConfigurationError):
                Frontend(arguments["groups"], arguments["prefixes"] or None, **arguments["options"])
    except ConfigurationError as error:
        check_mistakes(error)
        return
    written = config.to_dict()
    assert APIHandlerConfig.from_dict(msgspec.json.decode(msgspec.json.encode(written))).to_dict() == written
    for endpoint in config.endpoints.values():
        serve(frontend, endpoint.http_method.value, endpoint.path.replace("*", "a/b"))
        serve(frontend, endpoint.http_method.value, endpoint.path.replace("{", "").replace("}", ""))
    for method, path in requests:
        serve(frontend, method, path)


def check_mistakes(error: ConfigurationError) -> None:
    assert error.mistakes
    assert all(mistake.code and mistake.message for mistake in error.mistakes)
    assert str(error)


def parsed(text: str) -> tuple[Any, dict[str, Any], list[tuple[str, str]]]:
    """The configuration as a dictionary, the arguments beside it, and the requests."""
    struct: Any = {"endpoints": {}}
    endpoint: dict[str, Any] = {}
    requests: list[tuple[str, str]] = []
    options: dict[str, Any] = {}
    groups: list[str] = []
    prefixes: list[str] = []
    for line in text.split("\n"):
        word, _, rest = line.partition(" ")
        first, _, second = rest.partition(" ")
        if word == "endpoint":
            path, _, action = second.partition(" ")
            endpoint = {"http_method": first, "path": path} | ({"action": action} if action else {})
            struct["endpoints"][f"{first}:{path}"] = endpoint
        elif word in SECTIONS:
            rule = {
                "source_path": first,
                "destination_path": second.removesuffix("!"),
                "mandatory": second.endswith("!"),
            }
            endpoint.setdefault(SECTIONS[word], {"mappings": []})["mappings"].append(rule)
        elif word == "options":
            options[first] = second
        elif word == "prefix":
            prefixes.append(rest)
        elif word == "group":
            groups.append(rest)
        elif word == "send":
            requests.append((first, second))
        elif line:
            try:
                struct = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError):
                continue
            if not isinstance(struct, dict) or not isinstance(struct.get("endpoints"), dict):
                return struct, {"options": {}, "groups": groups, "prefixes": prefixes}, requests
    options.pop("config", None)
    options.pop("contract", None)  # the name of a file
    return struct, {"options": options, "groups": groups, "prefixes": prefixes}, requests


def serve(frontend: Frontend, method: str, path: str) -> None:
    """One request and its answers: whatever it is, nothing but an error of the API is raised."""
    with suppress(OpenAIError):
        exchange = frontend.open(method, path, b"a=1&b[]=2&limit=x", [(b"content-type", b"application/json")])
        if exchange is None:
            return
        request = exchange.receive(BODY)
        assert isinstance(request.call.kwargs, dict)
        for kind in KINDS:
            answer = exchange.answer(200, [(b"content-type", kind)])
            if answer is not None:
                answer.feed(b"data: " + BODY + b"\n\n" if answer.is_stream else BODY)
                answer.finish()
