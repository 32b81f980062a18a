"""An app that serves OpenAI's API without this package, right but for one planted fault.

The fault is the first segment of the path: `/no_message/v1/chat/completions`. Below `/none/v1` all is right.
"""

import copy
import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.samples import FULL_COMPLETION

Json = dict[str, Any]


@dataclass
class Request:
    method: str
    path: str
    query: str
    body: Json

    @property
    def is_stream(self) -> bool:
        return bool(self.body.get("stream"))


@dataclass
class Answer:
    """What leaves: JSON, events or bytes. `end` is what stands after the last event."""

    status: int = 200
    json: Any = None
    events: list[Json] | None = None
    data: bytes | None = None
    content_type: str = ""
    end: str = "\n\n"
    names: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False
    has_no_end: bool = False

    def encoded(self) -> tuple[str, bytes]:
        if self.data is not None:
            return self.content_type or "application/octet-stream", self.data
        if self.events is None:
            return self.content_type or "application/json", json.dumps(self.json).encode()
        blocks = [self._block(event) for event in self.events]
        return self.content_type or "text/event-stream", ("\n\n".join(blocks) + self.end).encode()

    def _block(self, event: Json) -> str:
        if event == DONE:
            return "data: [DONE]"
        name = self.names.get(event.get("type", ""), event.get("type"))
        return f"event: {name}\ndata: {json.dumps(event)}" if name else f"data: {json.dumps(event)}"


DONE: Json = {"DONE": True}
CHAT_USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
USAGE = {
    "input_tokens": 1,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 3,
}
NULL = ["completed_at", "error", "incomplete_details", "instructions", "max_output_tokens", "max_tool_calls"]
NULL += ["previous_response_id", "prompt_cache_key", "reasoning", "safety_identifier", "usage"]
PART = {"type": "output_text", "text": "Hello there.", "annotations": [], "logprobs": []}
ITEM = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [PART]}
ids = itertools.count(1)


def response(body: Json) -> Json:
    return {
        **dict.fromkeys(NULL),
        "id": f"resp_{next(ids)}",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "completed_at": 2,
        "model": body.get("model", "m"),
        "output": [ITEM],
        "tools": body.get("tools", []),
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "truncation": "disabled",
        "text": {"format": {"type": "text"}},
        "temperature": 1,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "store": body.get("store", True),
        "background": False,
        "service_tier": "default",
        "metadata": {},
        "usage": USAGE,
    }


def response_events(body: Json) -> list[Json]:
    done = response(body)
    begun = {**done, "status": "in_progress", "completed_at": None, "output": [], "usage": None}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**ITEM, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**PART, "text": ""}},
        {"type": "response.output_text.delta", **place, "delta": "Hello ", "logprobs": []},
        {"type": "response.output_text.delta", **place, "delta": "there.", "logprobs": []},
        {"type": "response.output_text.done", **place, "text": "Hello there.", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": PART},
        {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
        {"type": "response.completed", "response": done},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def chunks(body: Json) -> list[Json]:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    deltas: list[Json] = [{"role": "assistant", "content": ""}, {"content": "Hello "}, {"content": "there."}]
    told = [{**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    last = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {**chunk, "choices": [], "usage": CHAT_USAGE}
    return [*told, last, *([usage] if body.get("stream_options") else []), DONE]


def refusal(status: int, message: str, param: str | None = None) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return Answer(status, json={"error": error})


def page(items: list[Json]) -> Answer:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return Answer(json={"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": False})


# What is created with an id of its own, read, changed and deleted: what an id begins with, and the fields.
KEPT: dict[str, tuple[str, Json]] = {
    "conversations": ("conv", {"object": "conversation", "created_at": 1, "metadata": {}}),
    "vector_stores": (
        "vs",
        {
            "object": "vector_store",
            "created_at": 1,
            "name": "check",
            "status": "completed",
            "usage_bytes": 0,
            "metadata": {},
            "last_active_at": None,
            "file_counts": dict.fromkeys(["in_progress", "completed", "failed", "cancelled", "total"], 0),
        },
    ),
}
QUESTION = {
    "id": "msg_0",
    "type": "message",
    "status": "completed",
    "role": "user",
    "content": [{"type": "input_text", "text": "Hello?"}],
}


class Right:
    """The app without a fault. It serves what the check has cases for."""

    def __init__(self) -> None:
        self.kept: dict[str, Json] = {}
        self.asked: list[Request] = []

    def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["chat", "completions"]:
                return self.chat(request)
            case "POST", ["responses"]:
                return self.respond(request)
            case "GET", ["models"]:
                return Answer(json={"object": "list", "data": [self.model("m-1"), self.model("m-2")]})
            case "GET", ["models", name] if name in ("m-1", "m-2"):
                return Answer(json=self.model(name))
            case "POST", ["embeddings"]:
                one = {"object": "embedding", "embedding": [0.5]}
                data = [{**one, "index": index} for index, _ in enumerate(request.body["input"])]
                usage = {"prompt_tokens": 1, "total_tokens": 1}
                return Answer(json={"object": "list", "data": data, "model": "m-1", "usage": usage})
            case "POST", ["files"]:
                name = f"file-{next(ids)}"
                file = {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "a"}
                self.kept[name] = {**file, "purpose": "user_data", "status": "processed"}
                return Answer(json=self.kept[name])
            case "GET", ["files"]:
                return self.list_files(request)
            case "GET", [("files" | "responses"), name] if name in self.kept:
                return Answer(json=self.kept[name])
            case "DELETE", [("files" | "responses") as group, name] if name in self.kept:
                del self.kept[name]
                return Answer(json={"id": name, "object": group.removesuffix("s"), "deleted": True})
            case "GET", ["responses", name, "input_items"] if name in self.kept:
                return page([QUESTION])
            case "POST", ["responses", name, "cancel"] if name in self.kept:
                return refusal(400, "It is over.")
            case "POST", ["responses", "input_tokens"]:
                return Answer(json={"object": "response.input_tokens", "input_tokens": 3})
            case "POST", ["responses", "compact"]:
                item = {"id": "cmp_1", "type": "compaction", "encrypted_content": "..."}
                about = {"id": "resp_0", "object": "response.compaction", "created_at": 1, "usage": USAGE}
                return Answer(json={**about, "output": [item]})
            case "GET", ["files", name, "content"] if name in self.kept:
                return Answer(data=b"Written by a check.")
            case method, ["chat", "completions", *rest]:
                return self.stored_completion(method, rest)
            case method, [("conversations" | "vector_stores") as group, *rest]:
                return self.resource(method, group, rest)
        return refusal(404, "There is nothing here.")

    def chat(self, request: Request) -> Answer:
        for name in ("messages", "model"):
            if name not in request.body:
                return refusal(400, f"There is no {name}.", name)
        if request.is_stream:
            return Answer(events=chunks(request.body))
        made = {**FULL_COMPLETION, "model": request.body["model"]}
        if request.body.get("store"):
            made |= {"id": f"chatcmpl-{next(ids)}", "metadata": {}}
            self.kept[made["id"]] = made
        return Answer(json=made)

    def stored_completion(self, method: str, rest: list[str]) -> Answer:
        match method, rest:
            case "GET", []:
                return page([one for name, one in self.kept.items() if name.startswith("chatcmpl-")])
            case "GET", [name, "messages"] if name in self.kept:
                return page([{"id": "msg_0", "role": "user", "content": "Hello?", "content_parts": None}])
            case (("GET" | "POST"), [name]) if name in self.kept:
                return Answer(json=self.kept[name])
            case "DELETE", [name] if self.kept.pop(name, None):
                return Answer(json={"id": name, "object": "chat.completion.deleted", "deleted": True})
        return refusal(404, "There is nothing here.")

    def resource(self, method: str, group: str, rest: list[str]) -> Answer:
        start, fields = KEPT[group]
        match method, rest:
            case "POST", []:
                name = f"{start}-{next(ids)}"
                self.kept[name] = {"id": name, **fields}
                return Answer(json=self.kept[name])
            case "GET", [] if group == "vector_stores":
                return page([one for name, one in self.kept.items() if name.startswith(start)])
            case (("GET" | "POST"), [name]) if name in self.kept:
                return Answer(json=self.kept[name])
            case "DELETE", [name] if self.kept.pop(name, None):
                return Answer(json={"id": name, "object": f"{fields['object']}.deleted", "deleted": True})
            case "POST", [name, "search"] if name in self.kept:
                about = {"object": "vector_store.search_results.page", "search_query": ["Hello?"]}
                return Answer(json={**about, "data": [], "has_more": False, "next_page": None})
            case (("GET" | "POST"), [name, "items"]) if name in self.kept:
                return page([QUESTION])
            case "GET", [name, "items", "msg_0"] if name in self.kept:
                return Answer(json=QUESTION)
            case "DELETE", [name, "items", "msg_0"] if name in self.kept:
                return Answer(json=self.kept[name])
        return refusal(404, "There is nothing here.")

    def respond(self, request: Request) -> Answer:
        if "model" not in request.body:
            return refusal(400, "There is no model.", "model")
        if request.is_stream:
            return Answer(events=response_events(request.body))
        made = response(request.body)
        if request.body.get("store", True):
            self.kept[made["id"]] = made
        return Answer(json=made)

    def model(self, name: str) -> Json:
        return {"id": name, "object": "model", "created": 1, "owned_by": "me"}

    def list_files(self, request: Request) -> Answer:
        files = [one for name, one in self.kept.items() if name.startswith("file-")]
        if "after=" in request.query:
            after = request.query.partition("after=")[2].partition("&")[0]
            files = files[[one["id"] for one in files].index(after) + 1 :]
        limit = int(request.query.partition("limit=")[2].partition("&")[0] or 20)
        page = files[:limit]
        first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
        has_more = len(files) > limit
        return Answer(json={"object": "list", "data": page, "first_id": first, "last_id": last, "has_more": has_more})


Fault = Callable[[Request, Answer], object]
FAULTS: dict[str, Fault] = {"none": lambda request, answer: None}


def fault(function: Fault) -> Fault:
    FAULTS[function.__name__] = function
    return function


def is_chat(request: Request, answer: Answer) -> bool:
    return request.path == "/chat/completions" and answer.status == 200


def is_response(request: Request, answer: Answer) -> bool:
    return request.path == "/responses" and answer.status == 200


@fault
def no_message(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.json:
        del answer.json["choices"][0]["message"]


@fault
def created_is_a_date(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.json:
        answer.json["created"] = "2026-11-28"


@fault
def another_finish_reason(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.json:
        answer.json["choices"][0]["finish_reason"] = "done"


@fault
def no_delta(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.events:
        del answer.events[1]["choices"][0]["delta"]


@fault
def no_done(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.events:
        answer.events.remove(DONE)


@fault
def no_finish_reason_ever(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.events:
        answer.events[3]["choices"][0]["finish_reason"] = None


@fault
def half_an_event(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.events:
        answer.end = ""


@fault
def stream_is_cut(request: Request, answer: Answer) -> None:
    answer.is_cut = is_chat(request, answer) and bool(answer.events)


@fault
def whole_for_a_stream(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.events:
        answer.events, answer.json = None, FULL_COMPLETION


@fault
def error_in_a_stream(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.events:
        answer.events = [answer.events[0], {"error": {"message": "The model\x1b\x00 is gone.", "type": "server_error"}}]


@fault
def error_is_a_string(request: Request, answer: Answer) -> None:
    if answer.status == 400:
        answer.json = {"error": "There are no messages."}


@fault
def error_code_is_a_number(request: Request, answer: Answer) -> None:
    if answer.status == 400:
        answer.json["error"]["code"] = 400


@fault
def error_without_an_envelope(request: Request, answer: Answer) -> None:
    if answer.status == 400:
        answer.json = {"detail": "There are no messages."}


@fault
def error_with_200(request: Request, answer: Answer) -> None:
    if request.path == "/embeddings":
        answer.json = {"error": {"message": "No such model.", "type": "server_error", "param": None, "code": None}}


@fault
def nothing_is_refused(request: Request, answer: Answer) -> None:
    if request.path == "/chat/completions" and answer.status == 400:
        answer.status, answer.json = 200, FULL_COMPLETION


@fault
def html(request: Request, answer: Answer) -> None:
    if request.path == "/embeddings":
        answer.data, answer.content_type = b"<html></html>", "text/html; charset=utf-8"


@fault
def no_annotations(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.json:
        del answer.json["output"][0]["content"][0]["annotations"]


@fault
def no_status(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.json:
        del answer.json["status"]


@fault
def no_tool_choice(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.json:
        del answer.json["tool_choice"]


@fault
def wrong_sequence_number(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.events:
        answer.events[5]["sequence_number"] = 4


@fault
def no_sequence_number(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.events:
        del answer.events[4]["sequence_number"]


@fault
def no_terminal_event(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.events:
        answer.events.pop()


@fault
def no_created_event(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.events:
        answer.events = [{**event, "sequence_number": i} for i, event in enumerate(answer.events[1:])]


@fault
def item_is_never_done(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.events:
        kept = [event for event in answer.events if event["type"] != "response.output_item.done"]
        answer.events = [{**event, "sequence_number": i} for i, event in enumerate(kept)]


@fault
def event_is_called_otherwise(request: Request, answer: Answer) -> None:
    answer.names = {"response.output_text.delta": "delta"}


@fault
def no_has_more(request: Request, answer: Answer) -> None:
    if request.path == "/files" and request.method == "GET":
        del answer.json["has_more"]


@fault
def no_owner(request: Request, answer: Answer) -> None:
    if request.path == "/models":
        del answer.json["data"][1]["owned_by"]


@fault
def event_without_data(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.events:
        answer.end = "\n\nevent: ping\n\n"


@fault
def event_is_no_json(request: Request, answer: Answer) -> None:
    if is_chat(request, answer) and answer.events:
        answer.data, answer.content_type = b'data: {"choices": [\n\ndata: [DONE]\n\n', "text/event-stream"


@fault
def unknown_item(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.json:
        answer.json["output"][0]["type"] = "note"


@fault
def delta_is_a_number(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.events:
        answer.events[4]["delta"] = 5


@fault
def event_after_the_end(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.events:
        answer.events.append({**answer.events[1], "sequence_number": len(answer.events)})


@fault
def item_is_never_added(request: Request, answer: Answer) -> None:
    if is_response(request, answer) and answer.events:
        kept = [event for event in answer.events if event["type"] != "response.output_item.added"]
        answer.events = [{**event, "sequence_number": i} for i, event in enumerate(kept)]


@fault
def nothing_is_stored(request: Request, answer: Answer) -> None:
    if request.path == "/responses" and request.body.get("store") is True:
        refused = refusal(507, "The disk is full.")
        answer.status, answer.json = refused.status, refused.json


@fault
def no_usage(request: Request, answer: Answer) -> None:
    if is_chat(request, answer):
        (answer.json or {}).pop("usage", None)
        answer.events = answer.events and [event for event in answer.events if "usage" not in event]
    if is_response(request, answer):
        for one in [answer.json] if answer.json else [event.get("response") for event in answer.events or []]:
            if one:
                one["usage"] = None


@fault
def no_end(request: Request, answer: Answer) -> None:
    answer.has_no_end = is_chat(request, answer) and bool(answer.events)


@fault
def serves_nothing(request: Request, answer: Answer) -> None:
    if answer.status == 200:
        answer.status, answer.json, answer.events = 404, {"detail": "Not Found"}, None


def asks(method: str, path: str, end: str | None = None) -> Callable[[Request], bool]:
    """Whether a request is one of a path; with an end, one of which the path is the start alone."""

    def asked(request: Request) -> bool:
        if end is None:
            return (request.method, request.path) == (method, path)
        return request.method == method and request.path.startswith(path) and request.path.endswith(end)

    return asked


in_chat, in_responses = asks("POST", "/chat/completions"), asks("POST", "/responses")
ANY_FILE, ANY_MODEL = "/files/", "/models/"


def in_json(name: str, asked: Callable[[Request], bool], change: Callable[[Json], object]) -> None:
    """Plant a fault in successes that are JSON. A change that returns an object replaces the answer."""

    def planted(request: Request, answer: Answer) -> None:
        if asked(request) and answer.status == 200 and isinstance(answer.json, dict):
            changed = change(answer.json)
            answer.json = changed if isinstance(changed, dict) else answer.json

    FAULTS[name] = planted


def in_events(name: str, asked: Callable[[Request], bool], change: Callable[[list[Json]], object]) -> None:
    """Plant a fault in event streams. A change that returns a list replaces the events, which are numbered again."""

    def planted(request: Request, answer: Answer) -> None:
        if asked(request) and answer.events:
            changed = change(answer.events)
            if isinstance(changed, list):
                answer.events = [{**event, "sequence_number": number} for number, event in enumerate(changed)]

    FAULTS[name] = planted


def in_answer(name: str, asked: Callable[[Request], bool], **changed: Any) -> None:
    """Plant a fault in successes of any kind: what is to be another attribute of the answer."""

    def planted(request: Request, answer: Answer) -> None:
        if asked(request) and answer.status == 200:
            vars(answer).update(changed)

    FAULTS[name] = planted


def without(kind: str) -> Callable[[list[Json]], list[Json]]:
    return lambda events: [event for event in events if event["type"] != kind]


def last(events: list[Json]) -> Json:
    response: Json = events[-1]["response"]
    return response


def setting(**fields: Any) -> Callable[[Json], None]:
    return lambda answer: answer.update(fields)


def leaving_out(field: str) -> Callable[[Json], object]:
    return lambda answer: answer.pop(field)


BROKE = {"message": "It broke.", "type": "server_error", "param": None, "code": None}
STORED_FILE = asks("GET", ANY_FILE, "")

# Types that a lax reader takes.
in_json("index_is_a_string", in_chat, lambda answer: answer["choices"][0].update(index="0"))
in_json("created_is_a_string", in_chat, setting(created="1700000000"))
in_json("usage_is_a_string", in_chat, lambda answer: answer["usage"].update(prompt_tokens="3"))
in_json("parallel_is_a_string", in_responses, setting(parallel_tool_calls="yes"))
in_json("bytes_are_a_string", asks("POST", "/files"), setting(bytes="19"))
in_json("deleted_is_a_string", asks("DELETE", ANY_FILE, ""), setting(deleted="yes"))
in_json("tokens_are_a_string", asks("POST", "/responses/input_tokens"), setting(input_tokens="3"))
in_json("store_size_is_a_string", asks("POST", "/vector_stores"), setting(usage_bytes="0"))
in_events("chunk_index_is_a_string", in_chat, lambda events: events[1]["choices"][0].update(index="0"))
# Answers of which all fields may be right.
in_json("no_choices", in_chat, setting(choices=[]))
in_json("failed_response", in_responses, setting(status="failed", error={"code": "server_error", "message": "No."}))
in_json("response_in_progress", in_responses, setting(status="in_progress"))
in_json("empty_output", in_responses, setting(output=[]))
in_events("completed_in_progress", in_responses, lambda events: last(events).update(status="in_progress"))
in_events("completed_without_output", in_responses, lambda events: last(events).update(output=[]))
in_json("one_embedding", asks("POST", "/embeddings"), lambda answer: answer.update(data=answer["data"][:1]))
# Bodies that are read in Python alone, and statuses.
in_json("not_a_number", in_chat, setting(score=float("nan")))
in_events("not_a_number_in_an_event", in_responses, lambda events: events[4].update(score=float("inf")))
in_answer("utf_16", asks("GET", "/models"), data='{"data": []}'.encode("utf-16"), content_type="application/json")
in_answer("created_status", in_chat, status=201)
in_answer("no_content", asks("DELETE", ANY_FILE, ""), status=204, data=b"")
in_answer("error_for_content", asks("GET", ANY_FILE, "/content"), data=None, json={"error": BROKE})
in_answer("content_without_end", asks("GET", ANY_FILE, "/content"), has_no_end=True)
in_json("error_with_an_id", in_chat, lambda _: {"id": "chatcmpl-1", "error": BROKE})
in_json("completion_for_a_response", in_responses, lambda _: FULL_COMPLETION)
# Events.
in_events("text_is_never_done", in_responses, without("response.output_text.done"))
in_events("part_is_never_done", in_responses, without("response.content_part.done"))
in_events("part_is_never_added", in_responses, without("response.content_part.added"))
in_events("created_twice", in_responses, lambda events: [events[0], *events])
in_events("item_added_twice", in_responses, lambda events: [*events[:3], *events[2:]])
in_events("delta_of_another_item", in_responses, lambda events: events[4].update(item_id="msg_2"))
in_events("another_response", in_responses, lambda events: last(events).update(id="resp_other"))
in_events("event_without_type", in_responses, lambda events: events[4].pop("type"))
in_events("chunks_for_events", in_responses, lambda _: chunks({"model": "m"})[:-1])
in_events(
    "error_event", in_responses, lambda events: [events[0], {"type": "error", "message": "It broke.", "code": None}]
)
in_answer(
    "named_error",
    lambda request: in_chat(request) and request.is_stream,
    data=b'event: error\ndata: {"message": "It broke."}\n\n',
    content_type="text/event-stream",
)
in_answer(
    "lines_without_data",
    lambda request: in_chat(request) and request.is_stream,
    data=b'{"choices": []}\n{"choices": []}\n',
    content_type="text/event-stream",
)
in_answer(
    "no_events",
    lambda request: in_chat(request) and request.is_stream,
    data=b": wait\n\n",
    content_type="text/event-stream",
)
# What says what it is.
in_json("user_in_output", in_responses, lambda answer: answer["output"][0].update(role="user"))
in_json("item_without_type", in_responses, lambda answer: answer["output"][0].pop("type"))
in_json(
    "listed_item_without_type", asks("GET", "/conversations/", "/items"), lambda answer: answer["data"][0].pop("type")
)
# What is kept.
in_json("not_deleted", asks("DELETE", ANY_FILE, ""), setting(deleted=False))
in_json("another_is_deleted", asks("DELETE", ANY_FILE, ""), setting(id="file-0"))
in_json("another_file", STORED_FILE, setting(id="file-0"))
in_json("another_model", asks("GET", ANY_MODEL, ""), setting(id="m-9"))
in_json("no_object", asks("GET", "/files"), leaving_out("object"))
in_json("no_first_id", asks("GET", "/files"), leaving_out("first_id"))
in_json("no_last_id", asks("GET", "/responses/", "/input_items"), leaving_out("last_id"))
in_json("list_stays_empty", asks("GET", "/files"), setting(data=[], has_more=False))
in_json("more_of_nothing", asks("GET", "/files"), setting(data=[], has_more=True))
in_json("id_is_empty", asks("POST", "/conversations"), setting(id=""))
in_json("file_without_a_name", asks("POST", "/files"), leaving_out("filename"))
in_json("id_is_half_a_character", asks("POST", "/conversations"), setting(id="\ud800"))
in_json("id_is_missing", asks("POST", "/conversations"), leaving_out("id"))


@fault
def tools_are_not_found(request: Request, answer: Answer) -> None:
    if in_chat(request) and "tools" in request.body:
        answer.status, answer.json = 404, refusal(404, "There are no tools.").json


@fault
def model_is_not_found(request: Request, answer: Answer) -> None:
    if in_chat(request) and answer.status == 200:
        answer.status, answer.json, answer.events = 404, refusal(404, "There is no such model.", "model").json, None


@fault
def cancel_breaks(request: Request, answer: Answer) -> None:
    if request.path.endswith("/cancel") and answer.status == 400:
        answer.status = 500


@fault
def nothing_is_of_use(request: Request, answer: Answer) -> None:
    if answer.status == 404:
        answer.status, answer.json = 200, {"id": "unknown"}
    elif request.path in ("/models", "/conversations"):
        answer.json = {"object": "list", "data": []} if request.path == "/models" else {"object": "conversation"}


@fault
def ends_early(request: Request, answer: Answer) -> None:
    """No fault: the model has said as much as it may."""
    incomplete = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []}
    if in_responses(request) and answer.status == 200:
        if answer.events:
            last(answer.events).update({**incomplete, "output": [ITEM]})
            answer.events[-1]["type"] = "response.incomplete"
        else:
            answer.json.update(incomplete)


TWENTY = (
    *("index_is_a_string", "no_delta", "error_code_is_a_number", "no_tool_choice", "wrong_sequence_number"),
    *("delta_of_another_item", "another_response", "error_with_200", "no_owner", "another_model"),
    *("no_has_more", "bytes_are_a_string", "another_is_deleted", "error_for_content", "tokens_are_a_string"),
    *("listed_item_without_type", "cancel_breaks", "no_last_id", "store_size_is_a_string", "tools_are_not_found"),
)


@fault
def twenty_at_once(request: Request, answer: Answer) -> None:
    for name in TWENTY:
        FAULTS[name](request, answer)


# What an app is asked is what goes wrong with these.
FAULTS["same_page_again"] = FAULTS["nothing_is_deleted"] = FAULTS["none"]


class FaultyApp:
    """The ASGI app. What is kept is kept for each fault apart."""

    def __init__(self) -> None:
        self.apps: defaultdict[str, Right] = defaultdict(Right)
        self.connections: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        _, name, _, path = scope["path"].split("/", 3)
        body, is_last = b"", False
        while not is_last:
            message = await receive()
            body += message.get("body", b"")
            is_last = not message.get("more_body", False)
        if dict(scope["headers"]).get(b"content-type", b"").startswith(b"multipart/"):
            body = b""
        self.connections.append(scope["client"][1])
        answer = self.answer(name, scope["method"], f"/{path}", scope["query_string"].decode(), body)
        content_type, data = answer.encoded()
        headers = [(b"content-type", content_type.encode())]
        if answer.is_cut:
            headers.append((b"content-length", str(len(data) + 1).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": data, "more_body": answer.has_no_end})
        while answer.has_no_end and (await receive())["type"] != "http.disconnect":
            pass

    def answer(self, name: str, method: str, path: str, query: str, body: bytes) -> Answer:
        app = self.apps[name]
        if name == "nothing_is_deleted" and method == "DELETE" and path.startswith("/files/"):
            return Answer(json={"id": path.rpartition("/")[2], "object": "file", "deleted": True})
        if name == "same_page_again":
            query = query.partition("after=")[0]
        try:
            content = json.loads(body or b"{}")
        except ValueError:
            content = None
        request = Request(method, path, query, content or {})
        answer = refusal(400, "This is no JSON.") if content is None else copy.deepcopy(app.answer(request))
        FAULTS[name](request, answer)
        return answer


app = FaultyApp()
