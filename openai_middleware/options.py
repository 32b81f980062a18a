"""The options of every driver and adapter, declared once."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypedDict

from openai_middleware.answer.response_mapping import AbsentOptional, ExtraFields
from openai_middleware.contract import Contract
from openai_middleware.handlers.dispatcher import Dispatcher
from openai_middleware.rewrites import Rewrite
from openai_middleware.route import Feature

if TYPE_CHECKING:
    from openai_middleware.config import APIHandlerConfig

DEFAULT_MAX_BODY_SIZE: Final = 64 * 1024 * 1024

Unmatched = Literal["pass", "reject"]


class StoreOption(Protocol):
    """A store, as the options know it. It is imported by those alone who make one."""

    def open(self) -> None:
        """Get ready.

        Raises:
            ConfigurationError: What it keeps things in is none that it knows.
        """

    def feature(self) -> Feature:
        """The feature that it is."""


class Options(TypedDict, total=False):
    """The options of every driver and adapter, beside `endpoints` and `prefix`.

    Attributes:
        config: A whole `APIHandlerConfig`, or its dictionary; not together with `endpoints` or `prefix`.
        include_url_info: Whether the kwargs hold `mlrun_request_path` and `mlrun_request_method`. True, or what a
            `config` says.
        unmatched: `"pass"` hands requests that no endpoint matches to the app untouched; `"reject"` answers them with
            404, or with 405 where another method matches.
        absent_optional: `"omit"` leaves optional fields out of an answer that the app left out; `"null"` fills them.
        extra_fields: `"drop"` leaves top-level fields out of answers, list items and events that the contract does not
            have; `"keep"` keeps them.
        contract: A contract file, or a `Contract`, to use instead of the shipped one; see docs/contract.md.
        max_body_size: Larger request bodies get 413. Bytes; 64 MiB without it; None is no limit. Multipart and
            octet-stream bodies are not read here and have no limit here.
        handlers: A `Dispatcher`, or a dictionary from operations to functions: these operations are answered here, and
            all others by the app.
        rewrites: Operations that other routes of the app serve: by the name of the operation, or by the key of an
            endpoint such as `POST:/v1/summaries`, a `Rewrite`; or its target alone, where the app takes the keyword
            arguments; or the name of the operation that serves this one:
            `{"responses.create": "chat.completions.create"}`.
        handler_path: One route of the app that gets every operation without a rewrite of its own, as a POST of its
            keyword arguments.
        store: An `openai_middleware.store.Store`, which keeps what was created, and answers what reads, lists and
            deletes it.
    """

    config: "APIHandlerConfig | Mapping[str, Any] | None"
    include_url_info: bool | None
    unmatched: Unmatched
    absent_optional: AbsentOptional
    extra_fields: ExtraFields
    contract: str | os.PathLike[str] | Contract | None
    max_body_size: int | None
    handlers: Dispatcher | Mapping[str, Callable[..., Any]] | None
    rewrites: Mapping[str, Rewrite | str] | None
    handler_path: str | None
    store: StoreOption | None
