"""Django inside the test process: one configuration for all tests, and apps whose settings differ from test to test."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test.utils import override_settings
from django.urls import URLPattern, re_path

MIDDLEWARE = "openai_middleware.adapters.django.OpenAIMiddleware"
Mode = Literal["sync", "async"]

settings.configure(
    SECRET_KEY="for tests only",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["openai_middleware.adapters.django_checks"],
    LOGGING_CONFIG=None,
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {"answer.json": "{{ answer|safe }}"})]},
        }
    ],
)
django.setup()


class DjangoSite:
    """A Django project, as a WSGI app (`"sync"`) or as an ASGI app (`"async"`).

    Args:
        mode: Which of Django's two handlers serves it.
        urls: Its URL patterns, or one view that gets every path.
        middleware: Its `MIDDLEWARE`.
        options: Its `OPENAI_MIDDLEWARE`; None for a project without that setting.
        settings: More settings.
    """

    def __init__(
        self,
        mode: Mode,
        urls: Sequence[URLPattern] | Callable[..., Any],
        *,
        middleware: Iterable[str] = (MIDDLEWARE,),
        options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        urlconf = ModuleType("urlconf")
        urlconf.urlpatterns = [re_path("", urls)] if callable(urls) else list(urls)  # type: ignore[attr-defined]
        self._settings = {"ROOT_URLCONF": urlconf, "MIDDLEWARE": list(middleware), **settings}
        if options is not None:
            self._settings["OPENAI_MIDDLEWARE"] = options
        with self.active():
            self._handler = WSGIHandler() if mode == "sync" else ASGIHandler()
        self._is_async = mode == "async"

    def active(self) -> override_settings:
        """A context in which the project's settings are those of the process."""
        return override_settings(**self._settings)

    def __call__(self, *args: Any) -> Any:
        """Serve a request as WSGI or as ASGI says."""
        return self._serve_async(*args) if self._is_async else self._serve(*args)

    def _serve(self, *args: Any) -> Any:
        with self.active():
            return self._handler(*args)

    async def _serve_async(self, *args: Any) -> None:
        with self.active():
            await self._handler(*args)
