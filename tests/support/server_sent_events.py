"""A plain reading of Server-Sent Events, for tests: the WHATWG HTML standard, section 9.2, on a whole stream."""

import re
from typing import NamedTuple


class Event(NamedTuple):
    """An event as a browser would dispatch it. `type` is empty where the stream gave none."""

    data: str
    type: str = ""


def parse(stream: bytes) -> list[Event]:
    """All events of a stream. One that has no empty line after it is not dispatched."""
    *lines, _ = re.split("\r\n|\n|\r", stream.decode().removeprefix("\ufeff"))
    events: list[Event] = []
    data: list[str] = []
    event_type = ""
    for line in lines:
        if line == "":
            if data:
                events.append(Event("\n".join(data), event_type))
            data, event_type = [], ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            event_type = value
    return events
