"""The contract that an option stands for, and the names of its operations."""

import os
from collections.abc import Iterator

from openai_middleware.contract import Contract, shipped
from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, nearest


def contract_of(option: object) -> Contract:
    """The contract itself, that of the file, or the shipped one where the option is None.

    Raises:
        ConfigurationError: It is neither a contract nor a path, or what stands there is no contract.
    """
    if option is None:
        return shipped()
    if isinstance(option, Contract):
        return option
    if not isinstance(option, str | os.PathLike):
        hint = "Write its path, or pass a Contract."
        mistake = ConfigurationMistake("string_type", "A contract is a file.", option, hint, "contract")
        raise ConfigurationError(mistake)
    try:
        contract = Contract.load(option)
        contract.check()
    except (OSError, ValueError) as error:
        hint = "Write one with: python -m openai_middleware.contract --write FILE"
        mistake = ConfigurationMistake("contract_unreadable", f"{error}.", str(option), hint, "contract")
        raise ConfigurationError(mistake) from error
    return contract


def operation_mistakes(operation: str, contract: Contract, where: str = "") -> Iterator[ConfigurationMistake]:
    """Find out whether the contract has an operation of this name."""
    if contract.operation(operation) is None:
        hint = nearest(operation, contract.operation_names()).rstrip()
        hint = hint or "Use the SDK's name, such as 'chat.completions.create'."
        yield ConfigurationMistake("operation_unknown", "The OpenAI API has no such operation.", operation, hint, where)
