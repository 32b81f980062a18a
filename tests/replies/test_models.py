"""Names that a function returns, and those of functions that reply, as the answers of `models.list` and `.retrieve`."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai.types import Model

from openai_middleware import Dispatcher
from tests.support.drivers import Sent
from tests.support.handlers import by_asgi, by_wsgi

BOTH = pytest.mark.parametrize("serve", [by_asgi, by_wsgi])
OWN = {"id": "own", "object": "model", "created": 7, "owned_by": "us"}


def listing(models: Any) -> Dispatcher:
    dispatch = Dispatcher()
    dispatch("models.list")(lambda: models)
    return dispatch


def get(dispatch: Dispatcher, target: str, serve: Any = by_asgi) -> Sent:
    sent: Sent = serve(dispatch, "GET", f"/v1/models{target}", b"", endpoints=["models"])
    return sent


@BOTH
@pytest.mark.parametrize("names", [["a", "org/b"], ("a", "org/b")])
def test_names_are_the_list_of_models(names: Any, serve: Any) -> None:  # R71
    answer = get(listing(names), "", serve).json
    assert answer["object"] == "list"
    assert [model["id"] for model in answer["data"]] == ["a", "org/b"]
    for model in answer["data"]:
        Model.model_validate(model, strict=True)
        assert (model["object"], model["created"]) == ("model", 0)


@BOTH
def test_one_model_follows_from_the_list(serve: Any) -> None:  # R71
    dispatch = listing(["a", "org/b"])
    assert get(dispatch, "/org%2Fb", serve).json == get(dispatch, "", serve).json["data"][1]
    sent = get(dispatch, "/c", serve)
    assert (sent.status, sent.error["param"], sent.error["code"]) == (404, "model", "model_not_found")


def test_one_model_follows_from_openai_s_list() -> None:  # R71
    dispatch = listing({"object": "list", "data": [OWN]})
    assert get(dispatch, "").json["data"] == [OWN]
    assert get(dispatch, "/own").json == OWN
    assert get(dispatch, "/other").status == 404


def test_function_for_one_model_answers_instead() -> None:  # R71
    dispatch = listing(["a"])
    dispatch("models.retrieve")(lambda body, model: {**OWN, "id": model})
    assert get(dispatch, "/b").json == {**OWN, "id": "b"}


def agents() -> Dispatcher:
    dispatch = Dispatcher()

    @dispatch.reply(model="support")
    def support(messages: Any) -> str:
        return "How can I help?"

    @dispatch.reply(model="poet")
    def poet(messages: Any) -> Iterator[str]:
        yield "Roses "
        yield "are red."

    return dispatch


@BOTH
def test_functions_under_names_are_listed(serve: Any) -> None:  # R71
    assert [model["id"] for model in get(agents(), "", serve).json["data"]] == ["support", "poet"]
    assert get(agents(), "/poet", serve).json["id"] == "poet"
    assert get(agents(), "/nobody", serve).status == 404


@BOTH
def test_functions_under_names_answer_for_their_model(serve: Any) -> None:
    def ask(model: str) -> Sent:
        sent: Sent = serve(agents(), "POST", "/v1/responses", {"model": model, "input": "i"}, endpoints=["responses"])
        return sent

    assert ask("support").json["output"][0]["content"][0]["text"] == "How can I help?"
    assert ask("poet").json["output"][0]["content"][0]["text"] == "Roses are red."
    refused = ask("nobody")
    assert (refused.status, refused.error["param"], refused.error["code"]) == (404, "model", "model_not_found")


@BOTH
@pytest.mark.parametrize("model", [{}, {"model": None}])
def test_model_that_is_missing_is_told_as_such(model: Any, serve: Any) -> None:
    refused = serve(agents(), "POST", "/v1/responses", {**model, "input": "i"}, endpoints=["responses"])
    assert (refused.status, refused.error["param"]) == (422, "model")
    assert refused.error["message"] == "Missing required parameter: 'model'."
