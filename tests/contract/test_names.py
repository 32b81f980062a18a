"""The names of groups and operations as types, which editors complete."""

from pathlib import Path
from typing import get_args

from openai_middleware import OpenAIEndpoint
from openai_middleware.contract import GroupName, names, shipped
from openai_middleware.contract.generator.names import names_of


def test_types_are_those_of_the_shipped_contract() -> None:
    assert Path(names.__file__).read_text("utf-8") == names_of(shipped())  # if not: make contract
    assert set(get_args(GroupName)) == set(OpenAIEndpoint)
