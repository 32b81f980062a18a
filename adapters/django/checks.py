"""Django's system checks of the setting `OPENAI_MIDDLEWARE`.

They run in projects with `openai_middleware.adapters.django_checks` in `INSTALLED_APPS`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.urls import Resolver404, resolve
from django.utils.module_loading import import_string

from openai_middleware.drivers import Frontend, Mistakes, Rewrite
from openai_middleware.errors import ConfigurationError, ConfigurationMistake

__all__ = ["check_settings", "frontend_from_settings"]


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
    mistakes.report()
    return options


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
    return []


def _has_route(_: str, path: str) -> bool:
    """Whether the project has a route for a path. Which methods it takes only the view knows."""
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


checks.register(check_settings)
