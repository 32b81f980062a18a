"""Django's system checks of the setting `OPENAI_MIDDLEWARE`.

They run in projects with `openai_middleware.adapters.django_checks` in `INSTALLED_APPS`.
"""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from openai_middleware.drivers import Frontend
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
    named = {str(name): value for name, value in options.items()}
    if isinstance(named.get("handlers"), str):
        named["handlers"] = _imported(named["handlers"])
    return named


def _imported(name: str) -> Any:
    # Settings cannot import what imports models: these are loaded later.
    try:
        return import_string(name)
    except ImportError as error:
        hint = "Write the module and the name in it, as in 'shop.assistant.dispatch'."
        message = f"Nothing can be imported from there: {error}."
        raise ConfigurationError(ConfigurationMistake("handlers_import", message, name, hint, "handlers")) from error


def check_settings(app_configs: object, **_: object) -> list[checks.CheckMessage]:
    """Django's system check: every mistake in `OPENAI_MIDDLEWARE`, with the id `openai_middleware.<code>`."""
    try:
        frontend_from_settings()
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
    return []


checks.register(check_settings)
