"""Reads, from the source of one method of the OpenAI SDK, the HTTP request that it sends.

The SDK's methods are generated and all look alike: helper assignments, then `return self._post(path, body=..., ...)`.
What each of them sends is only written down there: the signature does not tell the path, nor which argument goes into
the body and which into the query.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_HTTP_METHODS = {
    "_get": "GET",
    "_post": "POST",
    "_put": "PUT",
    "_patch": "PATCH",
    "_delete": "DELETE",
    "_get_api_list": "GET",
}


class UnreadableSourceError(ValueError):
    """A method of the SDK that sends a request in a way this module does not know."""


@dataclass(frozen=True)
class Params:
    """A body or query: its keys, and the expressions that name the `TypedDict`s which type them."""

    keys: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class SentRequest:
    """What one method of the SDK sends.

    `path` has placeholders: `/responses/{response_id}`. `body` is None where none is sent. `stream` is the expression
    that names the type of the events, where the answer may be an event stream. `post_parsed` tells the SDK's
    conveniences, which send what another method sends and then parse the answer.
    """

    method: str
    path: str
    body: Params | None
    query: Params
    multipart: bool
    stream: str | None
    post_parsed: bool


def read_sent_request(function: Callable[..., object]) -> SentRequest | None:
    """Read what a method of an SDK resource sends; None if it sends nothing itself.

    Raises:
        UnreadableSourceError: it sends something, but not in the way the SDK's generated methods do.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = [(node, method) for node in nodes if (method := _http_method(node))]
    if not calls:
        return None
    if len(calls) > 1:
        raise UnreadableSourceError(f"{function.__qualname__} sends {len(calls)} requests.")
    try:
        return _Reader(tree, *calls[0]).request()
    except UnreadableSourceError as error:
        raise UnreadableSourceError(f"{function.__qualname__}: {error}") from error


def _http_method(call: ast.Call) -> str | None:
    match call.func:
        case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
            return _HTTP_METHODS.get(attribute)
    return None


class _Reader:
    """Reads one call of `self._post` and its kin, and the assignments that lead to it."""

    def __init__(self, tree: ast.AST, call: ast.Call, method: str) -> None:
        self.tree = tree
        self.call = call
        self.method = method
        self.arguments = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        self.assigned: dict[str, ast.expr] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for name in _names(*node.targets) - _names(node.value):
                    # `body = encode(body)` tells nothing new about the body; nor does any later assignment.
                    self.assigned.setdefault(name, node.value)

    def request(self) -> SentRequest:
        options = self._options()
        body, query = self.arguments.get("body"), options.get("query")
        return SentRequest(
            method=self._method(),
            path=self._path(),
            body=self._params(body) if body else None,
            query=self._params(query) if query else Params(),
            multipart=any(
                isinstance(node, ast.Constant) and node.value == "multipart/form-data" for node in ast.walk(self.tree)
            ),
            stream=self._stream(),
            post_parsed="post_parser" in options,
        )

    def _method(self) -> str:
        match self.arguments.get("method"):
            case ast.Constant(value=str(method)):
                return method.upper()
        return self.method

    def _options(self) -> dict[str | None, ast.expr]:
        match self.arguments.get("options"):
            case ast.Call(keywords=keywords):
                return {keyword.arg: keyword.value for keyword in keywords}
        return {}

    def _path(self) -> str:
        match self.call.args:
            case [ast.Constant(value=str(path))]:
                return path
            case [ast.Call(func=ast.Name(id="path_template"), args=[ast.Constant(value=str(path))])]:
                return path
            case [ast.JoinedStr(values=parts)]:
                return "".join(map(_part_of_path, parts))
        raise UnreadableSourceError(f"cannot tell the path from {ast.unparse(self.call)}")

    def _params(self, expression: ast.expr) -> Params:
        match self._value(expression):
            case ast.Call(func=ast.Name(id="maybe_transform"), args=[content, types]):
                return Params(tuple(self._keys(content)), tuple(_alternatives(types)))
        raise UnreadableSourceError(f"cannot tell the fields from {ast.unparse(expression)}")

    def _keys(self, content: ast.expr) -> Iterator[str]:
        literal = self._dict_literal(content)
        if literal is None:
            raise UnreadableSourceError(f"cannot tell the fields from {ast.unparse(content)}")
        for key in literal.keys:
            match key:
                case ast.Constant(value=str(name)):
                    yield name
                case _:
                    raise UnreadableSourceError(f"cannot tell the fields from {ast.unparse(literal)}")

    def _dict_literal(self, expression: ast.expr) -> ast.Dict | None:
        """Find the dict literal behind `{...}`, `body`, `helper({...}, ...)` or `context.body`."""
        match self._value(expression):
            case ast.Dict() as literal:
                return literal
            case ast.Attribute(value=value):
                return self._dict_literal(value)
            case ast.Call(args=arguments):
                return next(filter(None, map(self._dict_literal, arguments)), None)
        return None

    def _value(self, expression: ast.expr) -> ast.expr:
        if isinstance(expression, ast.Name):
            return self.assigned.get(expression.id, expression)
        return expression

    def _stream(self) -> str | None:
        match self.arguments.get("stream_cls"):
            case None:
                return None
            case ast.Subscript(value=ast.Name(id="Stream"), slice=event_type):
                return ast.unparse(event_type)
            case other:
                raise UnreadableSourceError(f"cannot tell the events from {ast.unparse(other)}")


def _part_of_path(expression: ast.expr) -> str:
    match expression:
        case ast.Constant(value=str(literal)):
            return literal
        case ast.FormattedValue(value=ast.Name(id=name)):
            return f"{{{name}}}"
    raise UnreadableSourceError(f"cannot tell the path from {ast.unparse(expression)}")


def _names(*expressions: ast.expr) -> set[str]:
    return {node.id for root in expressions for node in ast.walk(root) if isinstance(node, ast.Name)}


def _alternatives(types: ast.expr) -> Iterator[str]:
    """Both types of `Streaming if stream else NonStreaming`."""
    if isinstance(types, ast.IfExp):
        yield from _alternatives(types.body)
        yield from _alternatives(types.orelse)
    else:
        yield ast.unparse(types)
