"""The route: what the endpoints that match a request mean together, compiled once.

A feature is a function from route to route, applied when a route is compiled: it may give the route another mapping, or
a handler that answers instead of the app.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from openai_middleware.answer.answer import Answer
from openai_middleware.answer.built_mapping import mapping_class
from openai_middleware.answer.event_mapping import ContractEvents, EventMapping, PassingEvents, RuleEvents
from openai_middleware.answer.response_mapping import AbsentOptional, ExtraFields, ResponseMapping
from openai_middleware.config import APIHandlerAction
from openai_middleware.contract import Contract, Operation
from openai_middleware.headers import Header
from openai_middleware.iteration import OwnLoop
from openai_middleware.keeping import RouteStore
from openai_middleware.mapping.rule import BodyMapping, merged
from openai_middleware.replies.reply_form import REPLY_FORMS, ReplyForm
from openai_middleware.request.body import RequestMapping
from openai_middleware.request.call import AppRequest, OpenAICall

if TYPE_CHECKING:
    from openai_middleware.config import BodyMappings, EndpointConfig

logger = logging.getLogger("openai_middleware")

# The SDK asks for page after page until it reads `has_more: false`: with null it would not stop.
_BOOLEANS: Final = frozenset(("has_more",))


class CallHandler(Protocol):
    """A function that handles calls, however it does it.

    Attributes:
        name: What messages call the function.
        takes_choices: Whether requests for several choices are its business.
        only_replies: Whether all that it gives has to be a reply.
    """

    name: str
    takes_choices: bool
    only_replies: bool

    def run(self, call: OpenAICall, *first: Any, loop: OwnLoop | None = None) -> Any:
        """Handle a call in sync code.

        Args:
            call: The call.
            first: What the function's first positional parameter gets instead of the body.
            loop: Where a coroutine runs; None is where asgiref runs it.
        """

    async def arun(self, call: OpenAICall, *first: Any, pool: ThreadPoolExecutor | None = None) -> Any:
        """Handle a call on an event loop; sync code runs in a thread of the pool."""


class HandlerSource(Protocol):
    """What finds the function that handles a call."""

    def handler_for(self, call: OpenAICall) -> CallHandler:
        """The function for a call.

        Raises:
            NotFoundError: There is none.
        """


class Once:
    """Says things in the log once each. A race of two threads costs a second line, nothing else."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, message: str, *, about: str | None = None) -> None:
        """Log a warning, the first time.

        Args:
            message: What is said.
            about: What it is about, where the message differs from request to request.
        """
        about = about or message
        if about not in self._said:
            self._said.add(about)
            logger.warning(message)


class AppRewrite(Protocol):
    """Sends a request to another route of the app, and reads what that answers.

    Attributes:
        is_async: Whether functions make the request, which may take their time.
    """

    is_async: bool

    def request(self, request: AppRequest, mount: str) -> AppRequest:
        """The request that the app gets, from sync code.

        Args:
            request: The client's request.
            mount: The path at which the app is mounted.

        Raises:
            OpenAIError: The request cannot be made.
        """

    async def arequest(self, request: AppRequest, mount: str) -> AppRequest:
        """The same from async code."""

    def refused(self, status: int, path: str) -> None:
        """Say in the log, once, that the app has no such route.

        Args:
            status: What it answered.
            path: The path that the client asked for.
        """

    def answer(
        self,
        call: OpenAICall,
        kind: str,
        headers: Sequence[Header],
        *,
        is_stream: bool,
        native: Callable[[], Answer | None],
    ) -> Answer | None:
        """What becomes of a successful answer of the app: None where it leaves as it is.

        Args:
            call: The client's call.
            kind: The media type of the answer.
            headers: Its headers.
            is_stream: Whether the client asked for events.
            native: What would become of OpenAI's own object, or of a plain answer.
        """


class Route(msgspec.Struct, frozen=True):
    """What the endpoints that match a request mean together.

    Attributes:
        name: The operation, or the endpoint's key, for messages.
        key: The endpoint's key.
        operation: The operation of the OpenAI API, or None.
        request_mapping: From the body to keyword arguments, or None.
        response_mapping: From the app's JSON answer to the client's, or None.
        event_mapping: From the data of the app's server-sent events to the client's.
        query_types: The types of query parameters that are not strings.
        takes_multipart: Whether multipart is the operation's own request format.
        may_stream: Whether the client decides by `stream` between JSON and events.
        reply_form: What plain answers of the app become, where the operation takes any.
        handler: What answers instead of the app, or None.
        rewrite: What sends the request to another route of the app, or None.
        store: What keeps the answers, or reads what was kept; or None.
        once: What has been said in the log, of this route and of those compiled with it.
        includes_url_info: Whether the kwargs hold path and method.
        max_body_size: How many bytes a body may have that is read here.
        digits_of_more: How many digits the length of a larger body has at least.
        is_plain: Whether the app gets the request as it is: there is no handler, rewrite or store. Set at last.
    """

    name: str
    key: str
    operation: str | None
    request_mapping: RequestMapping | None
    response_mapping: ResponseMapping | None
    event_mapping: EventMapping
    query_types: Mapping[str, str]
    takes_multipart: bool
    may_stream: bool
    reply_form: ReplyForm | None = None
    handler: HandlerSource | None = None
    rewrite: AppRewrite | None = None
    store: RouteStore | None = None
    once: Once = msgspec.field(default_factory=Once)
    includes_url_info: bool = False
    max_body_size: int = sys.maxsize
    digits_of_more: int = sys.maxsize
    is_plain: bool = False


Feature = Callable[[Route], Route]


class Endpoint:
    """A configured endpoint, with what the contract knows of it. Compared by identity."""

    __slots__ = ("config", "is_forbidden", "operation")

    def __init__(self, config: "EndpointConfig", contract: Contract) -> None:
        self.config = config
        self.is_forbidden = config.action is APIHandlerAction.FORBID
        self.operation = contract.operation(config.operation) if config.operation else None


class RouteCompiler:
    """Compiles routes.

    Args:
        contract: What the streams of operations are looked up in.
        includes_url_info: See `Route`.
        max_body_size: See `Route`; None is no limit.
        absent_optional: See `ResponseMapping`.
        extra_fields: See `ResponseMapping`.
        features: What is applied to each route, in this order.
    """

    def __init__(
        self,
        contract: Contract,
        includes_url_info: bool,
        max_body_size: int | None,
        absent_optional: AbsentOptional,
        extra_fields: ExtraFields,
        features: Sequence[Feature] = (),
    ) -> None:
        self._contract = contract
        self._includes_url_info = includes_url_info
        self._max_body_size = sys.maxsize if max_body_size is None else max_body_size
        self._digits_of_more = sys.maxsize if max_body_size is None else len(str(max_body_size + 1))
        self._absent_optional: AbsentOptional = absent_optional
        self._extra_fields: ExtraFields = extra_fields
        self._features = features
        self._once = Once()

    def compile(self, endpoints: Sequence[Endpoint]) -> Route:
        """The route of the endpoints that match a request, the most specific first."""
        top = endpoints[0].config
        operation = endpoints[0].operation
        nullable = _nullable(endpoints)
        response_rules = _merged_rules(endpoint.config.output_body_mappings for endpoint in endpoints)
        request_rules = _merged_rules(endpoint.config.input_body_mappings for endpoint in endpoints)
        is_multipart = operation is not None and operation.request == "multipart"
        route = Route(
            name=top.operation or top.get_endpoint_key(),
            key=top.get_endpoint_key(),
            operation=top.operation,
            request_mapping=(RequestMapping(request_rules, is_ordered=operation is None) if request_rules else None),
            response_mapping=self._response_mapping(response_rules, nullable, operation),
            event_mapping=self._event_mapping(endpoints, response_rules, nullable),
            query_types={name: query.type for name, query in operation.query.items()} if operation else {},
            takes_multipart=is_multipart,
            may_stream=operation is not None
            and operation.stream is not None
            and not is_multipart
            and ("stream" in operation.body or "stream" in operation.query),
            reply_form=_reply_form(operation, request_rules),
            once=self._once,
            includes_url_info=self._includes_url_info,
            max_body_size=self._max_body_size,
            digits_of_more=self._digits_of_more,
        )
        for feature in self._features:
            route = feature(route)
        is_plain = route.handler is None and route.rewrite is None and route.store is None
        return msgspec.structs.replace(route, is_plain=is_plain)

    def _response_mapping(
        self, rules: Sequence[BodyMapping], nullable: Sequence[str], operation: Operation | None
    ) -> ResponseMapping | None:
        if not rules:
            return None
        if operation is None:
            return mapping_class(rules)(rules, nullable, self._absent_optional)
        return mapping_class(rules)(
            rules, nullable, self._absent_optional, _BOOLEANS, self._extra_fields, operation.item_fields
        )

    def _event_mapping(
        self, endpoints: Sequence[Endpoint], response_rules: Sequence[BodyMapping], nullable: Sequence[str]
    ) -> EventMapping:
        operation = endpoints[0].operation
        stream = self._contract.stream(operation.stream) if operation and operation.stream else None
        if stream is not None and endpoints[0].config.stream_body_mappings is None:
            return ContractEvents(stream, response_rules, nullable, self._extra_fields)
        rules = _merged_rules(endpoint.config.stream_body_mappings for endpoint in endpoints)
        return RuleEvents(rules, stream) if rules else PassingEvents()


def _nullable(endpoints: Iterable[Endpoint]) -> list[str]:
    operations = (endpoint.operation for endpoint in endpoints if endpoint.operation is not None)
    return [name for operation in operations for name in operation.nullable]


def _reply_form(operation: Operation | None, request_rules: Iterable[BodyMapping]) -> ReplyForm | None:
    form = REPLY_FORMS.get(operation.name) if operation is not None else None
    # Which form the client asked for is not known where no rule takes `stream` from its request.
    if form is None or form.render is None or any(rule.destination_path == "stream" for rule in request_rules):
        return form
    return None


def _merged_rules(mappings: Iterable["BodyMappings | None"]) -> list[BodyMapping]:
    """The rules of several scopes, given the most specific first."""
    rules: list[BodyMapping] = []
    for scope in reversed(list(mappings)):
        if scope is not None:
            rules = merged(rules, scope.rules)
    return rules
