"""What the arguments of a driver amount to: the options checked, as a configuration and a contract.

It is imported when the first frontend is made, and the classes of the configuration with it: see `config`.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Final, get_type_hints

from pydantic import ConfigDict, Field, create_model

from openai_middleware.config.api_handler import APIHandlerConfig
from openai_middleware.config.checks import configuration_mistakes
from openai_middleware.config.contract_option import contract_of
from openai_middleware.config.openai_endpoints import openai_endpoints
from openai_middleware.contract import Contract, GroupName, OpenAIEndpoint, shipped
from openai_middleware.handlers.dispatcher import Dispatcher
from openai_middleware.mistakes import Mistakes, nearest
from openai_middleware.options import Options
from openai_middleware.rewrites import rewrites_of

# Checked by themselves, where their own mistakes are told.
_OBJECTS: Final = ("config", "contract", "handlers", "rewrites", "handler_path", "store")
_hints = get_type_hints(Options, localns={"APIHandlerConfig": APIHandlerConfig})
_hints |= dict.fromkeys(_OBJECTS, Any) | {"max_body_size": Annotated[int, Field(ge=0)] | None}
_fields: dict[str, Any] = {name: (hint, None) for name, hint in _hints.items()}
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
    if store is not None and (isinstance(store, type) or not callable(getattr(store, "feature", None))):
        hint = "Write Store('sqlite:///openai.db', owner=by_api_key), with both of openai_middleware.store."
        mistakes.add("store_type", "This is no store.", store, hint, "store")
    mistakes.report()
    return config, contract
