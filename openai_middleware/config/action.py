"""What happens to the requests of an endpoint."""

from enum import StrEnum


class APIHandlerAction(StrEnum):
    """What happens to the requests of an endpoint."""

    ALLOW = "allow"
    FORBID = "forbid"
