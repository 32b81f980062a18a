"""What is stored belongs to the user of a Django project.

gunicorn --chdir docs/examples --threads 8 store_django:application
"""

from collections.abc import Callable
from typing import Any

import django
import httpx2
import openai
from django.conf import settings
from django.contrib.auth import login
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from openai_middleware import Dispatcher

# --8<-- [start:settings]
STORE = {
    "url": "sqlite://",  # such as "postgresql+psycopg://shop:password@127.0.0.1/shop"
    "owner": f"{__name__}.owner",  # such as "shop.assistant.owner"
    "ttl": 7 * 24 * 3600,  # seconds, or a timedelta
}
OPENAI_MIDDLEWARE = {"prefix": "/v1", "handlers": f"{__name__}.dispatch", "store": STORE}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "openai_middleware.adapters.django.OpenAIMiddleware",  # below what finds the user
]
# --8<-- [end:settings]

settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "openai_middleware.adapters.django_checks",
    ],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=MIDDLEWARE,
    OPENAI_MIDDLEWARE=OPENAI_MIDDLEWARE,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:stored?mode=memory&cache=shared"}},
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402

dispatch = Dispatcher()


# --8<-- [start:owner]
def owner(request: HttpRequest) -> str | None:
    return str(request.user.pk) if request.user.is_authenticated else None


# --8<-- [end:owner]


@dispatch.reply
def answer(messages: list[dict[str, Any]]) -> str:
    return "Hello!"


@csrf_exempt
def log_in(request: HttpRequest) -> HttpResponse:
    login(request, User.objects.get(username=request.POST["user"]))
    return HttpResponse("Welcome.")


urlpatterns = [path("login", log_in)]
application: Callable[..., Any] = get_wsgi_application()


def main() -> None:
    call_command("migrate", verbosity=0)
    call_command("check")
    for name in ("ada", "bob"):
        User.objects.create(username=name)
    with (
        httpx2.Client(transport=httpx2.WSGITransport(application)) as http_client,
        openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client,
    ):
        try:
            client.responses.create(model="m", input="Hi")
        except openai.AuthenticationError as error:
            print(error.code)
        http_client.post("http://app/login", data={"user": "ada"})
        response = client.responses.create(model="m", input="Hi")
        print(client.responses.retrieve(response.id).output_text)
        http_client.post("http://app/login", data={"user": "bob"})
        try:
            client.responses.retrieve(response.id)
        except openai.NotFoundError as error:
            print(error.code)


if __name__ == "__main__":
    main()
