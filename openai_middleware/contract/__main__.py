"""Tells how a contract differs from what it is made from, or writes a contract.

    python -m openai_middleware.contract                    the contract that this package ships
    python -m openai_middleware.contract --contract FILE    another one
    python -m openai_middleware.contract --write FILE       write the contract of the installed SDK

It is made from the installed OpenAI SDK and the Open Responses document that this package has. The exit status is 0
where these two have all that the contract has, as the contract has it; 1 where something was removed or has changed;
2 where nothing can be compared.
"""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from openai_middleware.contract import Contract
from openai_middleware.contract.drift import drift, report


class UnreadableSdkError(ValueError):
    """No OpenAI SDK is installed, or one that the generator does not understand."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m openai_middleware.contract",
        description="Tell how the contract differs from the installed OpenAI SDK, joined with Open Responses. "
        "The exit status is 1 where something was removed or has changed, not where something was only added.",
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--contract", metavar="FILE", type=Path, help="default: the contract that this package ships")
    either.add_argument("--write", metavar="FILE", type=Path, help="write the contract of the installed SDK instead")
    options = parser.parse_args(arguments)
    try:
        return write(options.write) if options.write else compare(options.contract)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def compare(file: Path | None) -> int:
    """Print how a contract differs from the installed SDK, joined with the Open Responses document."""
    contract = Contract.load(file)
    installed = Contract(_contract_of_the_installed_sdk(), "the contract of the installed SDK")
    changes = drift(contract, installed)
    name = f"{file or 'The shipped contract'} ({_sources(contract, ', ')})"
    there = _sources(installed, " and ")
    if not changes:
        print(f"{name} is in step with {there}.")
        return 0
    print(f"{name} differs from {there}; removed (-), changed (~) and added (+):\n")
    print(report(changes))
    return int(any(change.kind != "added" for change in changes))


def write(file: Path) -> int:
    """Write the contract of the installed SDK, joined with the Open Responses document."""
    data = _contract_of_the_installed_sdk()
    file.write_bytes(data)
    contract = Contract(data, str(file))
    print(f"{file}: {len(contract.operation_names())} operations of {_sources(contract, ' and ')}")
    return 0


def _sources(contract: Contract, conjunction: str) -> str:
    """What a contract was made from."""
    document = [f"Open Responses {contract.open_responses}"] if contract.open_responses else []
    return conjunction.join([f"openai {contract.version}", *document])


def _contract_of_the_installed_sdk() -> bytes:
    if importlib.util.find_spec("openai") is None:
        raise UnreadableSdkError("the OpenAI SDK is not installed. Run: pip install openai")
    try:
        from openai_middleware.contract.generator.generate import generate, render

        return render(generate()).encode()
    except (ImportError, ValueError) as error:
        raise UnreadableSdkError(f"the installed OpenAI SDK cannot be read: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
