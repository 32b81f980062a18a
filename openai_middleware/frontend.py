"""The frontend: options and configuration compiled once into a table, which opens exchanges."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Unpack

import msgspec

from openai_middleware.contract import GroupName, OpenAIEndpoint, Operation
from openai_middleware.errors import MethodNotAllowedError, NotFoundError, OpenAIError, PermissionDeniedError
from openai_middleware.exchange import Exchange
from openai_middleware.features import features_of
from openai_middleware.headers import Header, request_id_in
from openai_middleware.opening import opened
from openai_middleware.options import DEFAULT_MAX_BODY_SIZE, Options
from openai_middleware.request.path import RequestPath, normalised
from openai_middleware.request.path_template import shape_of
from openai_middleware.request.refusal import log_refusal
from openai_middleware.request.route_table import Match, RouteTable, wildcard_prefix
from openai_middleware.rewrites import Rewrite, rewrites_of, warn_of_absent_routes
from openai_middleware.route import Endpoint, Route, RouteCompiler

if TYPE_CHECKING:
    from openai_middleware.config import EndpointConfig

logger = logging.getLogger("openai_middleware")

_AT_THE_ROOT: Final = (
    "The whole OpenAI API is served without a prefix, so that paths such as /files and /models are taken from the app. "
    "Give a prefix, such as '/v1', or name the groups that you serve: endpoints=[OpenAIEndpoint.RESPONSES]."
)

_TWICE: Final = (
    "The app is wrapped twice for %d endpoints, such as %s: every request to them is read and mapped twice. "
    "Remove one middleware, or give them different prefixes or groups."
)
# As a number: for bytes Python would first fail to make one of them, at each look.
_PERCENT: Final = ord("%")
# Of middlewares around an app, when one is looked for. Nobody has more, and what holds itself ends.
_MAX_DEPTH: Final = 50


class Frontend:
    """All that can be computed before the first request. Immutable to requests, and safe under threads.

    Args:
        endpoints: The groups of operations to register; None is every supported group, an empty list none.
        prefix: What the paths of the operations start with, such as `/v1`, or several of them; placeholders are
            allowed.
        options: See `Options`.

    Raises:
        ConfigurationError: With every mistake in the arguments and in the configuration.
    """

    def __init__(
        self,
        endpoints: Iterable[OpenAIEndpoint | GroupName | str] | None = None,
        prefix: str | Iterable[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        from openai_middleware.checked_options import checked_config  # not sooner: see `config`

        config, contract = checked_config(endpoints, prefix, options)
        if endpoints is None and prefix is None and options.get("config") is None:
            logger.warning(_AT_THE_ROOT)
        self._is_enabled = config.enabled
        self._rejects_unmatched = options.get("unmatched", "pass") == "reject"
        compiled = self._endpoints = [Endpoint(endpoint, contract) for endpoint in config.endpoints.values()]
        self._table = RouteTable((e.config.http_method.value, e.config.path, e) for e in compiled)
        self._guard = RouteTable(_normalised_endpoints(compiled)) if any(e.is_forbidden for e in compiled) else None
        given, handler_path = options.get("rewrites"), options.get("handler_path")
        self._rewrites = rewrites_of(given, handler_path, config.endpoints.values(), contract)
        # Of a request whose path starts otherwise there is nothing to decide.
        may_refuse = self._rejects_unmatched or self._guard is not None
        self._start = "" if may_refuse else _common_start(e.config.path for e in compiled)
        include_url_info = options.get("include_url_info")
        compiler = RouteCompiler(
            contract,
            config.include_url_info if include_url_info is None else include_url_info,
            options.get("max_body_size", DEFAULT_MAX_BODY_SIZE),
            options.get("absent_optional", "omit"),
            options.get("extra_fields", "drop"),
            tuple(features_of(options, contract, self._rewrites)),
        )
        # Which endpoints match together shows only in requests; there are as many sets as there are kinds of paths.
        self._route = lru_cache(maxsize=4096)(compiler.compile)

    def warn_of_absent_routes(self, has_route: Callable[[str, str], bool]) -> None:
        """Say in the log which rewrites send requests to no route of the app.

        Args:
            has_route: Whether the app has a route for a method and a path.
        """
        warn_of_absent_routes(self._rewrites, has_route)

    def warn_of_another(self, app: object) -> None:
        """Say in the log that an app is wrapped already, for a path that is served here too.

        Args:
            app: The app. What it wraps itself is looked for where middlewares of frameworks have it.
        """
        for _ in range(_MAX_DEPTH):
            inner = getattr(app, "frontend", None)
            both = self.keys & inner.keys if isinstance(inner, Frontend) else ()
            if both:
                logger.warning(_TWICE, len(both), min(both))
                return
            app = getattr(app, "app", None)

    @property
    def keys(self) -> set[str]:
        """The keys of the endpoints, such as `POST:/v1/responses`."""
        return {endpoint.config.get_endpoint_key() for endpoint in self._endpoints}

    def open(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Iterable[Header],
        *,
        raw_path: bytes | None = None,
        root_path: str = "",
    ) -> Exchange | None:
        """Open an exchange for a request, or return None where the request is the app's own. A refusal is logged.

        Args:
            method: The HTTP method, in letters of any case.
            path: The whole path, percent-decoded.
            query: The query string as it was sent.
            headers: The request headers.
            raw_path: The path as it was sent, where the server gives it.
            root_path: Where the app is mounted.

        Raises:
            PermissionDeniedError: The request is forbidden.
            NotFoundError, MethodNotAllowedError: Nothing matches, and unmatched requests are rejected.
            RequestTooLargeError: The declared length of the body is over the limit.
        """
        if not self._is_enabled or (not root_path and not path.startswith(self._start)):
            return None
        method = method.upper()
        decoded, app_path, mount = path, path, ""
        if not root_path and (raw_path is None or _PERCENT not in raw_path):
            # There is one reading of the path, whoever reads it.
            request_path = None
            match = self._table.match(method, path)
        else:
            request_path = RequestPath.of(path, raw_path, root_path)
            match = self._match(method, request_path)
            decoded = request_path.decoded
            mount = path.removesuffix(decoded)
            if match is not None and not match.is_routed_alike:
                app_path = mount + request_path.encoded
        if self._guard is not None or (match is None and self._rejects_unmatched):
            refusal = self._refusal(method, request_path or RequestPath(path, path), is_matched=match is not None)
            if refusal is not None:
                log_refusal(refusal, f"{method} {path}", request_id_in(headers))
                raise refusal
        if match is None:
            return None
        compiled = self._route
        return opened(
            compiled(match.targets), method, decoded, app_path, mount, match.path_params.copy(), query, headers
        )

    def _refusal(self, method: str, path: RequestPath, *, is_matched: bool) -> OpenAIError | None:
        """Why a request is refused before anything is read of it, or None."""
        if self._guard is not None and self._is_forbidden(method, path, self._guard):
            return PermissionDeniedError(f"Access forbidden: {method} {path.decoded}.", code="forbidden")
        return self._unmatched_error(method, path) if self._rejects_unmatched and not is_matched else None

    def endpoints(self) -> Iterator[tuple["EndpointConfig", Route]]:
        """The endpoints, each with its route where no other endpoint matches with it."""
        for endpoint in self._endpoints:
            yield endpoint.config, self._route((endpoint,))

    @property
    def rewrites(self) -> Mapping[str, Rewrite | str]:
        """What serves endpoints instead of the app's route of their path, by the keys of the endpoints."""
        return self._rewrites

    def operation_at(self, method: str, path: str) -> Operation | None:
        """The operation that is served at a path, for documentation.

        Args:
            method: The HTTP method, in capitals.
            path: A path with placeholders, as frameworks write it; what they are called does not matter.
        """
        shape = _shape(path)
        for endpoint in self._endpoints:
            if endpoint.config.http_method.value == method and _shape(endpoint.config.path) == shape:
                return endpoint.operation
        return None

    def _match(self, method: str, path: RequestPath) -> Match[Endpoint] | None:
        """What matches the path as it was sent, else what matches it decoded.

        Routers behind the middleware go by the decoded path: where that is another endpoint's, or has other parameters,
        the app must not see it, but the path with its slashes encoded. Where a template takes `%2F` for its own, as
        `/{x}Flag` does in `/a%2Flag`, that leads elsewhere too, and the decoded path counts.
        """
        match = self._table.match(method, path.segmented)
        if path.segmented is path.decoded or not path.has_encoded_slash:
            return match
        decoded = self._table.match(method, path.decoded)
        if match is None or decoded == match:
            return decoded
        encoded = self._table.match(method, path.encoded)
        if encoded is None or _with_slashes_encoded(encoded) != _with_slashes_encoded(match):
            return decoded
        return msgspec.structs.replace(match, is_routed_alike=False)

    def _is_forbidden(self, method: str, path: RequestPath, guard: RouteTable[Endpoint]) -> bool:
        # Frameworks answer HEAD from the route of GET, so what forbids the one forbids the other.
        methods = ("HEAD", "GET") if method == "HEAD" else (method,)
        readings = [(self._table, path.segmented), (guard, normalised(path.decoded))]
        if path.has_encoded_slash:
            readings.append((guard, normalised(path.encoded)))
        matches = [table.match(name, reading) for name in methods for table, reading in readings]
        return any(match.targets[0].is_forbidden for match in matches if match is not None)

    def _unmatched_error(self, method: str, path: RequestPath) -> OpenAIError:
        allowed = self._table.allowed_methods(path.segmented) or self._table.allowed_methods(path.decoded)
        if not allowed or method in allowed:
            return NotFoundError(f"Unknown request URL: {method} {path.decoded}.", code="unknown_url")
        message = f"Method not allowed: {method} {path.decoded}."
        return MethodNotAllowedError(message, code="method_not_allowed", headers={"Allow": ", ".join(allowed)})


def _common_start(paths: Iterable[str]) -> str:
    """What all paths start with that match one of these."""
    starts = [path.partition("{")[0].removesuffix("*") for path in paths]
    first, last = min(starts, default=""), max(starts, default="")
    differ = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(differ, len(first))]


def _with_slashes_encoded(match: Match[Endpoint]) -> Match[Endpoint]:
    path_params = {name: value.replace("/", "%2F") for name, value in match.path_params.items()}
    return msgspec.structs.replace(match, path_params=path_params)


def _shape(path: str) -> str:
    return shape_of(path).replace("{:path}", "{}")


def _normalised_endpoints(endpoints: Iterable[Endpoint]) -> Iterator[tuple[str, str, Endpoint]]:
    """The endpoints under their normalised paths; where two of them become one, forbidding wins."""
    found: dict[tuple[str, str], tuple[str, str, Endpoint]] = {}
    for endpoint in endpoints:
        method, path = endpoint.config.http_method.value, endpoint.config.path
        path = normalised(path) if not path.endswith("*") else normalised(wildcard_prefix(path)).rstrip("/") + "/*"
        key = (method, shape_of(path))
        if key not in found or endpoint.is_forbidden:
            found[key] = (method, path, endpoint)
    yield from found.values()
