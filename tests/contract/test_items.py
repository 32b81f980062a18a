"""What the contract says of the items of a list."""

import json
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel, Field

from openai_middleware.contract import SHIPPED, Contract, Operation, shipped
from openai_middleware.contract.generator.sdk_types import item_models

OPERATIONS = [operation for group in shipped().groups for operation in shipped().operations(group)]


def operation(name: str) -> Operation:
    found = shipped().operation(name)
    assert found is not None
    return found


# --- what the shipped contract says


def test_every_answer_with_data_says_what_its_items_are_but_for_names_of_events() -> None:  # O11
    with_data = {one.name for one in OPERATIONS if "data" in one.fields}

    assert with_data - {one.name for one in OPERATIONS if one.item_fields} == {"webhooks.event_types.list"}
    assert {one.name for one in OPERATIONS if one.item_fields} <= with_data
    assert len(with_data) == 33


@pytest.mark.parametrize(
    ("listing", "retrieving"),
    [
        ("batches.list", "batches.retrieve"),
        ("chat.completions.list", "chat.completions.retrieve"),
        ("conversations.items.create", "conversations.items.retrieve"),
        ("conversations.items.list", "conversations.items.retrieve"),
        ("evals.list", "evals.retrieve"),
        ("files.list", "files.create"),
        ("fine_tuning.jobs.list", "fine_tuning.jobs.retrieve"),
        ("models.list", "models.retrieve"),
        ("skills.list", "skills.retrieve"),
        ("vector_stores.files.list", "vector_stores.files.retrieve"),
        ("vector_stores.list", "vector_stores.retrieve"),
        ("videos.list", "videos.retrieve"),
        ("webhooks.list", "webhooks.retrieve"),
    ],
)
def test_an_item_has_the_fields_that_it_has_by_itself(listing: str, retrieving: str) -> None:  # O11
    assert operation(listing).item_fields == operation(retrieving).fields.keys()


def test_an_item_of_several_kinds_has_the_fields_of_all() -> None:  # O11
    assert operation("responses.input_items.list").item_fields >= {
        *("id", "type", "role", "status", "content"),  # a message
        *("call_id", "name", "arguments", "output"),  # a call of a function and its output
        *("summary", "encrypted_content"),  # reasoning
        *("queries", "results"),  # a search in files
        *("server_label", "tools", "approval_request_id"),  # MCP
    }


@pytest.mark.parametrize("name", ["chat.completions.create", "responses.delete", "files.content", "files.retrieve"])
def test_an_answer_that_lists_nothing_has_no_items(name: str) -> None:  # O11
    assert operation(name).item_fields == frozenset()


def test_items_are_decoded_with_their_group_only() -> None:  # O11
    document = json.loads(SHIPPED.read_bytes())
    document["items"]["FileObject"] = 5
    del document["items"]["Batch"]
    contract = Contract(json.dumps(document).encode(), "a test")

    assert len(contract.operations("models")) == 3
    with pytest.raises(ValueError, match="is not a contract of format 1: item FileObject: Expected `array`"):
        contract.operations("files")
    with pytest.raises(ValueError, match="a test has no item 'Batch'"):
        contract.check()


# --- what the types of the SDK tell


class Apple(BaseModel):
    type: Literal["apple"]
    sort: str


class Pear(BaseModel):
    type: Literal["pear"]
    in_use: bool = Field(alias="async")


Fruit = Annotated[Apple | Pear, Field(discriminator="type")]
T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    data: list[T]


class MayBeAbsent(BaseModel):
    data: list[Apple] | None = None


class Nothing(BaseModel):
    id: str


class One(BaseModel):
    data: Apple


@pytest.mark.parametrize(
    ("answer", "items"),
    [
        pytest.param([Page[Apple]], [Apple], id="one kind"),
        pytest.param([Page[Fruit]], [Apple, Pear], id="several kinds"),
        pytest.param([MayBeAbsent], [Apple], id="a list that may be absent"),
        pytest.param([Page[Apple], Page[Pear], Nothing], [Apple, Pear], id="an answer of several forms"),
        pytest.param([Nothing], [], id="no data"),
        pytest.param([One], [], id="data that is no list"),
        pytest.param([Page[str]], [], id="no objects"),
        pytest.param([Page[dict[str, object]]], [], id="objects of any fields"),
        pytest.param([Page[Apple | dict[str, object]]], [], id="or objects of any fields"),
        pytest.param([Page[Any]], [], id="anything"),
        pytest.param([Page[Apple], Page[str]], [], id="no objects in one form"),
    ],
)
def test_items_are_known_where_all_of_them_are_models(  # O11
    answer: list[type[BaseModel]], items: list[type[BaseModel]]
) -> None:
    assert item_models(answer) == items
