"""Prints what the contract says of each operation: the page docs/operations.md.

Run without arguments it fails where that page says something else; with --write it rewrites the page.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

# --8<-- [start:lookup]
from openai_middleware import OpenAIEndpoint
from openai_middleware.contract import Operation, shipped

create = shipped().operation("chat.completions.create")
assert create is not None
assert create.group == OpenAIEndpoint.CHAT_COMPLETIONS
assert create.path == "/chat/completions"
assert create.body["messages"] is True  # mandatory
assert create.body["max_tokens"] is False
assert create.fields["usage"].mandatory is False

files = shipped().operation("files.list")
assert files is not None
assert "filename" in files.item_fields  # of the objects in its `data`
# --8<-- [end:lookup]

PAGE = Path(__file__).parent.parent / "operations.md"

INTRODUCTION = """\
# Operations

<!-- Written by: make contract -->

Every operation of [the contract](contract.md): {operations} in {groups} groups, as openai {version} has them,
together with what [Open Responses](contract.md#what-it-is-made-from) of {open_responses} has beyond it.
The groups are the members of `OpenAIEndpoint`. An operation is named as the SDK calls it: what
`client.chat.completions.messages.list(...)` sends is `chat.completions.messages.list`.

- **Body**: its top-level fields become [keyword arguments](kwargs.md). Those in bold are mandatory: without one of them
  the request is answered with a 422. Where it says *form*, the body is multipart: it reaches the app unread, and its
  fields become no keyword arguments.
- **Query**: its parameters become keyword arguments too, [converted](kwargs.md#query-parameters) where they are of the
  type integer, number or boolean. So do the placeholders of the path, as strings; one such as `{{model:path}}` may hold
  slashes.
- **Answer**: a JSON answer is cut down to these top-level fields. Those in bold are mandatory: an answer without one of
  them becomes a 422, or is given it as null where it says so; see [Answers](answers.md). Answers that are *binary* or
  *none* pass as they are.
"""


def page() -> str:
    contract = shipped()
    counts = {"operations": len(contract.operation_names()), "groups": len(contract.groups)}
    lines = [INTRODUCTION.format(**counts, version=contract.version, open_responses=contract.open_responses)]
    for group in contract.groups:
        lines += [f"## {group.upper()}\n", "| operation | body | query | answer |", "|---|---|---|---|"]
        lines += (row(operation) for operation in contract.operations(group))
        lines.append("")
    return "\n".join(lines)


def row(operation: Operation) -> str:
    query = (named(name, parameter.mandatory, parameter.type) for name, parameter in operation.query.items())
    cells = [
        f"`{operation.name}`<br>`{operation.method} {operation.path}`",
        body(operation),
        ", ".join(query),
        "; ".join(answers(operation)),
    ]
    return f"| {' | '.join(cells)} |"


def body(operation: Operation) -> str:
    names = ", ".join(named(name, mandatory) for name, mandatory in mandatory_first(operation.body))
    return f"*form*: {names}" if operation.request == "multipart" else names


def answers(operation: Operation) -> Iterator[str]:
    if operation.response == "json":
        fields = {name: field.mandatory for name, field in operation.fields.items()}
        yield ", ".join(
            named(name, mandatory, "null" if mandatory and operation.fields[name].nullable else "")
            for name, mandatory in mandatory_first(fields)
        )
    else:
        yield f"*{operation.response}*"
    if operation.stream:
        yield "or an *event stream*"


def mandatory_first(fields: Mapping[str, bool]) -> Iterable[tuple[str, bool]]:
    return sorted(fields.items(), key=lambda field: (not field[1], field[0]))


def named(name: str, mandatory: bool, remark: str = "") -> str:
    emphasized = f"**`{name}`**" if mandatory else f"`{name}`"
    return f"{emphasized} ({remark})" if remark else emphasized


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), "utf-8", newline="\n")
        return
    print(page())
    if PAGE.read_text("utf-8") != page():
        sys.exit(f"{PAGE} is out of date. Run: make contract")


if __name__ == "__main__":
    main()
