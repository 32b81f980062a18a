"""Django's system checks of the setting `OPENAI_MIDDLEWARE`.

They run in projects with `openai_middleware.adapters.django_checks` in `INSTALLED_APPS`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core import checks
from django.urls import Resolver404, get_resolver, resolve
from django.utils.module_loading import import_string

from openai_middleware.adapters.django.views import OPENAI_VIEW
from openai_middleware.drivers import Frontend, Mistakes, Rewrite
from openai_middleware.errors import ConfigurationError, ConfigurationMistake

__all__ = ["check_settings", "frontend_from_settings"]

_MIDDLEWARE: Final = "openai_middleware.adapters.django.OpenAIMiddleware"
_CLASS: Final = "openai_middleware.adapters.django.middleware.OpenAIMiddleware"


def frontend_from_settings() -> Frontend:
    """Build what the setting says.

    Raises:
        ConfigurationError: With every mistake in it.
    """
    return Frontend(**_options_in_settings())


def _options_in_settings() -> dict[str, Any]:
    options = getattr(settings, "OPENAI_MIDDLEWARE", {})
    if not isinstance(options, Mapping):
        hint = "Write OPENAI_MIDDLEWARE = {'prefix': '/v1'}."
        raise ConfigurationError(ConfigurationMistake("settings_type", "It is a dictionary.", options, hint))
    options = {str(name): value for name, value in options.items()}
    mistakes = Mistakes()
    with mistakes:
        if isinstance(options.get("handlers"), str):
            options["handlers"] = _imported(options["handlers"], "handlers")
    for name in ("handlers", "rewrites"):
        if isinstance(options.get(name), Mapping):
            own = options[name] = dict(options[name])
            for key, value in own.items():
                with mistakes:
                    own[key] = _with_functions(value, f"{name}.{key}", is_name=name == "handlers")
    if isinstance(options.get("store"), Mapping):
        with mistakes:
            options["store"] = _store_of(options["store"])
    mistakes.report()
    return options


def _store_of(given: Mapping[str, Any]) -> Any:
    """The store that a dictionary describes. Its owner may be a dotted name."""
    from openai_middleware.store import Store  # not before there is one

    arguments = {str(name): value for name, value in given.items()}
    mistakes = Mistakes()
    unknown = arguments.keys() - {"url", "owner", "ttl", "max_bytes"}
    for name in sorted(unknown):
        hint = "These are there: url, owner, ttl, max_bytes."
        mistakes.add("extra_forbidden", "The store has no such setting.", name, hint, f"store.{name}")
    owner = arguments.get("owner")
    if owner is None:
        hint = "Write the dotted name of a function of the request, or 'shared'."
        mistakes.add("store_owner", "The store needs an owner.", owner, hint, "store.owner")
    elif isinstance(owner, str) and owner != "shared":
        with mistakes:
            arguments["owner"] = _imported(owner, "store.owner")
    mistakes.report()
    inside = Mistakes()
    with inside:
        return Store(**arguments)
    mistakes.extend(mistake.inside("store") for mistake in inside)
    mistakes.report()
    raise AssertionError("unreachable")


# Where `Rewrite` takes a function.
_OF_FUNCTIONS: Final = ("body", "query", "reply", "delta")
_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")


def _with_functions(value: Any, where: str, *, is_name: bool) -> Any:
    """A handler or a rewrite with functions in the place of their dotted names."""
    if is_name:
        return _imported(value, where) if isinstance(value, str) else value
    if isinstance(value, Rewrite):
        fields = {name: getattr(value, name) for name in _OF_FUNCTIONS}
    elif isinstance(value, Mapping):
        fields = {name: value[name] for name in _OF_FUNCTIONS if name in value}
    else:
        return value
    found = {
        name: _imported(one, f"{where}.{name}")
        for name, one in fields.items()
        if isinstance(one, str) and _DOTTED.fullmatch(one)
    }
    return replace(value, **found) if isinstance(value, Rewrite) else {**value, **found}


def _imported(name: str, where: str) -> Any:
    try:
        return import_string(name)
    except ImportError as error:
        hint = "Write the dotted name of something that can be imported, such as 'shop.assistant.answer'."
        raise ConfigurationError(ConfigurationMistake("settings_import", f"{error}.", name, hint, where)) from error


def check_settings(app_configs: object, **_: object) -> list[checks.CheckMessage]:
    """Django's system check: every mistake in `OPENAI_MIDDLEWARE`, with the id `openai_middleware.<code>`."""
    try:
        frontend = frontend_from_settings()
    except ConfigurationError as error:
        return [
            checks.Error(
                f"OPENAI_MIDDLEWARE: {mistake.message} Got {mistake.shown}.",
                hint=mistake.hint,
                obj=mistake.where or None,
                id=f"openai_middleware.{mistake.code}",
            )
            for mistake in error.mistakes
        ]
    frontend.warn_of_absent_routes(_has_route)
    return [*_check_middleware(), *_check_transactions()]


def _check_middleware() -> Iterator[checks.CheckMessage]:
    if not hasattr(settings, "OPENAI_MIDDLEWARE"):
        return
    count = settings.MIDDLEWARE.count(_MIDDLEWARE)
    is_another = any(_is_middleware(name) for name in settings.MIDDLEWARE if name != _MIDDLEWARE)
    if count + is_another == 0:
        yield checks.Warning(
            "OPENAI_MIDDLEWARE is set, and the middleware is not in MIDDLEWARE.",
            hint=f"Add {_MIDDLEWARE!r}.",
            id="openai_middleware.not_in_middleware",
        )
    elif count > 1:
        yield checks.Warning(
            "The middleware is in MIDDLEWARE more than once: every request is read and mapped again.",
            hint="Keep the first one.",
            id="openai_middleware.twice_in_middleware",
        )


def _is_middleware(name: str) -> bool:
    try:
        found = import_string(name)
    except ImportError:
        return False
    return isinstance(found, type) and any(f"{base.__module__}.{base.__name__}" == _CLASS for base in found.__mro__)


def _check_transactions() -> Iterator[checks.CheckMessage]:
    """Views that Django refuses with the first request: it has no transactions around coroutines."""
    atomic = [alias for alias, database in settings.DATABASES.items() if database.get("ATOMIC_REQUESTS")]
    for view in _views(get_resolver().url_patterns) if atomic else ():
        if iscoroutinefunction(view) and hasattr(view, OPENAI_VIEW):
            free = getattr(view, "_non_atomic_requests", ())
            if not set(atomic) <= set(free):
                yield checks.Error(
                    f"{view.__module__}.{view.__qualname__} is async, and ATOMIC_REQUESTS is on: Django answers 500.",
                    hint="Decorate the view with @transaction.non_atomic_requests, above @openai_view, or write `def`.",
                    obj=view,
                    id="openai_middleware.atomic_requests",
                )


def _views(patterns: Iterable[Any]) -> Iterator[Any]:
    for pattern in patterns:
        yield from _views(pattern.url_patterns) if hasattr(pattern, "url_patterns") else [pattern.callback]


def _has_route(_: str, path: str) -> bool:
    """Whether the project has a route for a path. Which methods it takes only the view knows."""
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


checks.register(check_settings)
