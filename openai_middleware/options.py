"""The options of every driver and adapter, declared once, and what they amount to."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Protocol, TypedDict, get_type_hints

from pydantic import ConfigDict, Field, create_model

from openai_middleware.answer.response_mapping import AbsentOptional, ExtraFields
from openai_middleware.config import APIHandlerConfig
from openai_middleware.config.checks import configuration_mistakes
from openai_middleware.config.contract_option import contract_of
from openai_middleware.config.openai_endpoints import openai_endpoints
from openai_middleware.contract import Contract, GroupName, OpenAIEndpoint, shipped
from openai_middleware.handlers.dispatcher import Dispatcher
from openai_middleware.mistakes import Mistakes, nearest
from openai_middleware.rewrites import Rewrite, rewrites_of
from openai_middleware.route import Feature

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

    config: APIHandlerConfig | Mapping[str, Any] | None
    include_url_info: bool | None
    unmatched: Unmatched
    absent_optional: AbsentOptional
    extra_fields: ExtraFields
    contract: str | os.PathLike[str] | Contract | None
    max_body_size: Annotated[int, Field(ge=0)] | None
    handlers: Dispatcher | Mapping[str, Callable[..., Any]] | None
    rewrites: Mapping[str, Rewrite | str] | None
    handler_path: str | None
    store: StoreOption | None


# Checked by themselves, where their own mistakes are told.
_OBJECTS: Final = ("config", "contract", "handlers", "rewrites", "handler_path", "store")
_fields: dict[str, Any] = {
    name: (Any if name in _OBJECTS else hint, None)
    for name, hint in get_type_hints(Options, include_extras=True).items()
}
_check = create_model("Options", __config__=ConfigDict(extra="forbid", strict=True), **_fields)


def checked_config(
    endpoints: Iterable[OpenAIEndpoint | GroupName | str] | None,
    prefix: str | Iterable[str] | None,
    options: Options,
) -> tuple[APIHandlerConfig, Contract]:
    """What the arguments of a driver amount to.

    Returns:
        A configuration of its own, which later changes by the caller do not reach, and the contract.

    Raises:
        ConfigurationError: With every mistake in the arguments and in the configuration.
    """
    mistakes = Mistakes()
    known = {name: value for name, value in options.items() if name in _fields}
    for name in [name for name in options if name not in known]:
        hint = f"{nearest(name, ('endpoints', 'prefix', *_fields))}The options are: {', '.join(_fields)}."
        mistakes.add("extra_forbidden", "There is no such option.", options.get(name), hint, name)
    with mistakes:
        _check(**known)
    contract = shipped()
    with mistakes:
        contract = contract_of(options.get("contract"))
    config = APIHandlerConfig(include_url_info=True)
    given = options.get("config")
    if given is not None and (endpoints is not None or prefix is not None):
        hint = "Call config.set_openai_frontend(endpoints, prefix) instead."
        message = "A config stands for all endpoints: it does not go together with endpoints or prefix."
        value = {"endpoints": endpoints, "prefix": prefix}
        mistakes.add("config_and_endpoints", message, value, hint)
    with mistakes:
        if given is None:
            for endpoint in openai_endpoints(endpoints, prefix, contract):
                config.add_endpoint_config(endpoint)
        else:
            context = {"contract": contract}
            if isinstance(given, APIHandlerConfig):
                config = given.copy(context=context)
            else:
                config = APIHandlerConfig.from_dict(given, context=context)
    mistakes.extend(configuration_mistakes(config.endpoints.values(), contract))
    with mistakes:
        handlers = Dispatcher.of(options.get("handlers"), contract)
        served = {endpoint.operation for endpoint in config.endpoints.values()}
        for operation in () if mistakes else handlers.unreachable(served):
            hint = "Register its group in `endpoints`, or remove the function."
            mistakes.add("handler_unreachable", "No endpoint is this operation.", operation, hint, "handlers")
    if not mistakes:
        with mistakes:
            rewrites_of(options.get("rewrites"), options.get("handler_path"), config.endpoints.values(), contract)
    store = options.get("store")
    if store is not None and not callable(getattr(store, "feature", None)):
        hint = "Write Store('sqlite:///openai.db', owner=by_api_key), with both of openai_middleware.store."
        mistakes.add("store_type", "This is no store.", store, hint, "store")
    mistakes.report()
    return config, contract
