"""A help desk in Django, with nothing of OpenAI in its views, behind the OpenAI API.

gunicorn --chdir docs/examples --threads 8 legacy_django:application
uvicorn --app-dir docs/examples legacy_django:asgi_application
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import django
import httpx2
import openai
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

# --8<-- [start:settings]
settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["openai_middleware.adapters.django_checks"],
    MIDDLEWARE=["openai_middleware.adapters.django.OpenAIMiddleware", f"{__name__}.check_token"],
    OPENAI_MIDDLEWARE={
        "prefix": "/v1",
        "rewrites": {
            "chat.completions.create": {
                "target": "/ask",
                "body": {"question": "$.prompt", "stream": "$.stream", "format": "$.response_format.type"},
                "reply": f"{__name__}.read",  # the dotted name of a function
                "delta": "$.token",
            },
            "responses.create": "chat.completions.create",
        },
    },
)
django.setup()
# --8<-- [end:settings]


# --8<-- [start:views]
def check_token(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.headers.get("Authorization") != "Bearer token-of-ada":
            return HttpResponse("Unknown token.", status=401)
        return get_response(request)

    return middleware


@csrf_exempt
def ask(request: HttpRequest) -> HttpResponseBase:
    asked = json.loads(request.body)
    answer = f"You asked: {asked['question']}"
    if asked.get("format", "text") != "text":
        answer = json.dumps({"topic": "echo", "text": answer})
    if asked.get("stream"):
        return StreamingHttpResponse(tokens(answer), content_type="application/x-ndjson")
    return JsonResponse({"answer": answer})


def tokens(answer: str) -> Iterator[str]:
    for word in answer.split(" "):
        yield json.dumps({"token": f"{word} "}) + "\n"


urlpatterns = [path("ask", ask)]
# --8<-- [end:views]


# --8<-- [start:read]
def read(answer: dict[str, Any]) -> str:
    text: str = answer["answer"]
    return text


# --8<-- [end:read]

application = get_wsgi_application()
asgi_application = get_asgi_application()


def main() -> None:
    http_client = httpx2.Client(transport=httpx2.WSGITransport(application))
    with openai.OpenAI(base_url="http://app/v1", api_key="token-of-ada", http_client=http_client) as client:
        print(client.responses.create(model="desk", input="Where is my refund?").output_text)
        for chunk in client.chat.completions.create(
            model="desk", messages=[{"role": "user", "content": "And my password?"}], stream=True
        ):
            print(chunk.choices[0].delta.content or "", end="|")
        print()


if __name__ == "__main__":
    main()
