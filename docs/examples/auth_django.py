"""django.contrib.auth in front of the OpenAI API: users log in with an API key, or with a session.

gunicorn --chdir docs/examples --threads 8 auth_django:application
"""

from collections.abc import Callable
from typing import Any

import django
import httpx2
import openai
from django.conf import settings

# --8<-- [start:imports]
from django.contrib.auth import authenticate, login
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from openai_middleware.adapters.django import openai_error_response, openai_view
from openai_middleware.errors import AuthenticationError

# --8<-- [end:imports]

# --8<-- [start:settings]
USERS_AND_KEYS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    f"{__name__}.key_check",
]
OPENAI = ["openai_middleware.adapters.django.OpenAIMiddleware"]

settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "openai_middleware.adapters.django_checks",
    ],
    AUTHENTICATION_BACKENDS=[f"{__name__}.KeyBackend"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[*USERS_AND_KEYS, *OPENAI],  # the check is outside
    OPENAI_MIDDLEWARE={"prefix": "/v1"},
    # In memory, for all threads of this process.
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:users?mode=memory&cache=shared"}},
)
django.setup()
# --8<-- [end:settings]

# --8<-- [start:auth]
# Models come after django.setup().
from django.contrib.auth.backends import BaseBackend  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402

NAMES = {"sk-ada": "ada", "sk-bob": "bob"}  # a model with hashed keys, in a real project


class KeyBackend(BaseBackend):
    def authenticate(self, request: HttpRequest | None, api_key: str = "", **kwargs: Any) -> User | None:
        return User.objects.filter(username=NAMES.get(api_key), is_active=True).first()

    def get_user(self, user_id: int) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True).first()


def key_check(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    def check(request: HttpRequest) -> HttpResponseBase:
        if not request.user.is_authenticated and request.path != "/login":
            api_key = request.headers.get("Authorization", "").removeprefix("Bearer ")
            user = authenticate(request, api_key=api_key)
            if user is None:
                return openai_error_response(AuthenticationError("Incorrect API key provided.", code="invalid_api_key"))
            request.user = user
        return get_response(request)

    return check


@openai_view
@csrf_exempt
def create(request: HttpRequest) -> str:
    return f"You are {request.user.get_username()}."


@csrf_exempt
def log_in(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, api_key=request.POST["api_key"])
    if user is None:
        return HttpResponse("Nobody has this key.", status=403)
    login(request, user)
    return HttpResponse(f"Welcome, {user}.")


urlpatterns = [path("v1/chat/completions", create), path("login", log_in)]
# --8<-- [end:auth]

call_command("migrate", verbosity=0)
for name in NAMES.values():
    User.objects.create_user(name)

application = get_wsgi_application()
# A project has one list of middlewares. This file has two, to show both orders.
settings.MIDDLEWARE = [*OPENAI, *USERS_AND_KEYS]
application_checked_inside = get_wsgi_application()


def main() -> None:
    messages: Any = [{"role": "user", "content": "Who am I?"}]
    for place, wsgi_app in [("outside", application), ("inside", application_checked_inside)]:
        http_client = httpx2.Client(transport=httpx2.WSGITransport(wsgi_app), base_url="http://app")
        with openai.OpenAI(base_url="http://app/v1", api_key="sk-ada", http_client=http_client) as client:
            completion = client.chat.completions.create(model="m", messages=messages)
            print(f"{place}:", completion.choices[0].message.content)

            stranger = client.with_options(api_key="sk-eve")
            try:
                stranger.chat.completions.create(model="m", messages=messages)
            except openai.AuthenticationError as error:
                print(f"{place}:", error.code, error)

            print(f"{place}:", http_client.post("/login", data={"api_key": "sk-bob"}).text)
            # The session goes by a cookie, which the client sends from now on.
            completion = stranger.chat.completions.create(model="m", messages=messages)
            print(f"{place}:", completion.choices[0].message.content)


if __name__ == "__main__":
    main()
