"""A contract of one's own instead of the shipped one."""

import json
from pathlib import Path
from typing import Any

import pytest

from openai_middleware import APIHandlerConfig, Dispatcher, EndpointConfig, HandlerApp, OpenAIMiddleware, contract
from openai_middleware.contract import Contract
from openai_middleware.errors import ConfigurationError
from tests.support.drivers import App, request


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The shipped contract as a later version of the SDK might have it: a new group, and a new field of embeddings."""
    document: dict[str, Any] = json.loads(contract.SHIPPED.read_bytes())
    document["openai"] = "99.0.0"
    document["groups"]["embeddings"]["embeddings.create"]["body"]["colour"] = True
    document["schemas"]["Dream"] = {"id": [True, False], "meaning": [True, True]}
    document["groups"]["dreams"] = {
        "dreams.create": {
            "method": "POST",
            "path": "/dreams",
            "request": "json",
            "body": {"night": True},
            "query": {},
            "response": "json",
            "schema": "Dream",
            "stream": None,
        }
    }
    file = tmp_path / "newer.json"
    file.write_text(json.dumps(document))
    return file


async def test_operations_are_those_of_the_file(newer: Path) -> None:
    app = App({"id": "d1", "junk": 1})

    sent = await request(OpenAIMiddleware(app, prefix="/v1", contract=newer), "POST", "/v1/dreams", {"night": 1})

    assert (app.call.operation, app.call.body_params) == ("dreams.create", {"night": 1})
    assert sent.json == {"id": "d1", "meaning": None}


async def test_functions_are_registered_for_operations_of_the_file(newer: Path) -> None:
    dispatch = Dispatcher(contract=newer)

    @dispatch("dreams.create")
    async def dream(body: Any, *, night: int) -> dict[str, Any]:
        return {"id": f"d{night}"}

    sent = await request(
        OpenAIMiddleware(HandlerApp(dispatch), ["dreams"], contract=newer), "POST", "/dreams", {"night": 7}
    )

    assert sent.json == {"id": "d7", "meaning": None}


async def test_mandatory_fields_are_those_of_the_file(newer: Path) -> None:
    middleware = OpenAIMiddleware(App(), prefix="/v1", contract=str(newer))

    sent = await request(middleware, "POST", "/v1/embeddings", {"model": "m", "input": "i"})

    assert (sent.status, sent.error["param"]) == (422, "colour")


async def test_groups_of_the_file_are_named_by_their_names(newer: Path) -> None:
    app = App({"id": "d1", "meaning": "none"})

    await request(OpenAIMiddleware(app, ["dreams"], contract=newer), "POST", "/dreams", {"night": 1})

    assert app.call.operation == "dreams.create"
    with pytest.raises(ConfigurationError, match="dreams"):
        OpenAIMiddleware(app, ["nightmares"], contract=newer)


async def test_a_config_names_operations_of_the_file(newer: Path) -> None:
    config = APIHandlerConfig()
    config.add_endpoint_config(EndpointConfig("/d", operation="dreams.create"))
    app = App({"id": "d1"})

    await request(OpenAIMiddleware(app, config=config, contract=newer), "POST", "/d", {"night": 1})

    assert app.call.operation == "dreams.create"
    with pytest.raises(ConfigurationError) as caught:
        OpenAIMiddleware(app, config=config)
    assert [mistake.code for mistake in caught.value.mistakes] == ["operation_unknown"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"format": 2}', b"\xff"])
def test_a_file_that_is_no_contract_is_a_mistake(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        OpenAIMiddleware(App(), prefix="/v1", contract=file)

    [mistake] = caught.value.mistakes
    assert (mistake.code, mistake.value, mistake.where) == ("contract_unreadable", str(file), "contract")


def test_a_file_with_one_bad_part_is_a_mistake_when_the_middleware_is_built(newer: Path) -> None:
    document = json.loads(newer.read_bytes())
    document["streams"]["ResponseStreamEvent"] = 5
    newer.write_text(json.dumps(document))

    with pytest.raises(ConfigurationError, match="ResponseStreamEvent"):
        OpenAIMiddleware(App(), ["embeddings"], contract=newer)


@pytest.mark.parametrize("file", [5, ["x"], b"x"])
def test_a_contract_is_named_by_a_path(file: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenAIMiddleware(App(), prefix="/v1", contract=file)

    assert [(mistake.code, mistake.where) for mistake in caught.value.mistakes] == [("string_type", "contract")]


# --- a contract that is read once


async def test_a_contract_is_shared_by_functions_and_middleware(newer: Path) -> None:
    contract = Contract.load(newer)
    dispatch = Dispatcher(contract=contract)
    dispatch("dreams.create")(lambda body, *, night: {"id": f"d{night}"})

    beside = OpenAIMiddleware(App(), ["dreams"], contract=contract, handlers=dispatch)
    alone = OpenAIMiddleware(HandlerApp(dispatch), ["dreams"], contract=contract)

    for middleware in (beside, alone):
        sent = await request(middleware, "POST", "/dreams", {"night": 7})
        assert sent.json == {"id": "d7", "meaning": None}


@pytest.mark.parametrize("as_contract", [Contract.load, Path, str], ids=["Contract", "Path", "str"])
async def test_a_config_takes_the_operations_of_a_contract(as_contract: Any, newer: Path) -> None:
    config = APIHandlerConfig()
    config.set_openai_frontend(["dreams"], "/v1", contract=as_contract(newer))
    app = App({"id": "d1"})

    sent = await request(OpenAIMiddleware(app, config=config, contract=newer), "POST", "/v1/dreams", {"night": 1})

    assert (sent.json, app.call.operation) == ({"id": "d1", "meaning": None}, "dreams.create")
    with pytest.raises(ConfigurationError, match="dreams"):
        APIHandlerConfig().set_openai_frontend(["dreams"])


@pytest.mark.parametrize("as_contract", [Contract.load, Path], ids=["Contract", "Path"])
def test_another_mistake_makes_no_operation_of_the_file_unknown(as_contract: Any, newer: Path) -> None:
    endpoint = {"path": "/d", "http_method": "POST", "operation": "dreams.create"}
    config = {"endpoints": {"POST:/d": endpoint, "POST:/e": {"path": "/e", "http_method": "SEND"}}}

    with pytest.raises(ConfigurationError) as caught:
        OpenAIMiddleware(App(), config=config, contract=as_contract(newer))

    assert [mistake.where for mistake in caught.value.mistakes] == ["endpoints.POST:/e.http_method"]


def test_operation_that_the_file_lacks_is_told_beside_another_mistake(newer: Path) -> None:
    endpoint = {"path": "/d", "http_method": "POST", "operation": "dreams.forget"}
    config = {"endpoints": {"POST:/d": endpoint, "POST:/e": {"path": "/e", "http_method": "SEND"}}}

    with pytest.raises(ConfigurationError) as caught:
        OpenAIMiddleware(App(), config=config, contract=newer)

    assert "operation_unknown" in [mistake.code for mistake in caught.value.mistakes]
    assert len(caught.value.mistakes) == 2
