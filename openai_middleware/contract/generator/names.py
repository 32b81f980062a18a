"""Writes the names of the contract's groups and operations as types, so that editors complete them.

python -m openai_middleware.contract.generator.names > openai_middleware/contract/names.py
"""

from collections.abc import Iterable

from openai_middleware.contract import Contract, shipped

_HEAD = '''"""The names of the groups and of the operations, for editors and type checkers. Written by: make contract"""

from typing import Literal
'''


def names_of(contract: Contract) -> str:
    """The source of the module."""
    return "\n".join(
        [
            _HEAD,
            *_literal("GroupName", contract.groups, "The name of a group of operations, such as `responses`."),
            "",
            *_literal("OperationName", contract.operation_names(), "The name of an operation: `responses.create`."),
            "",
        ]
    )


def _literal(name: str, values: Iterable[str], meaning: str) -> list[str]:
    return [f"{name} = Literal[", *(f'    "{value}",' for value in values), "]", f'"""{meaning}"""']


if __name__ == "__main__":
    print(names_of(shipped()), end="")
