"""The drivers, and all that an adapter for a framework needs, in one import.

OpenAIMiddleware, OpenAIWSGIMiddleware      an app wrapped, with the options as arguments
ASGIDriver, WSGIDriver     the same for a `Frontend` that was built before, or that several apps share
Frontend, Options, OpenAIEndpoint           the options, compiled; `Frontend.open` opens the `Exchange` of a request
OpenAIError                what an app raises; `Response.of_error` and `error.response()` make its envelope
CALL_KEY, call_in          where a call travels, and how it is found there
Handler, Response          a view made of a function, and an answer as it leaves
HandlerSource              what finds the function for a call: a `Handler`, a `Dispatcher`
respond, arespond, respond_by_asgiref       a function called for a call, and what its result amounts to as a `Response`
send_response              such a `Response` sent as an ASGI answer
reporting                  a bug in a function becomes a line in the log, and an error that tells nothing of it
error_of_status, unsupported                a framework's own error, and a missing route, as an `OpenAIError`
map_answer, amap_answer    an answer whose body is iterated, for frameworks that hand over response objects
StoreSession, recorded, arecorded           an answer that a store keeps as it leaves; see `Exchange.store`
iterate, aiterate          an async iterator in sync code, and the reverse
BodyReader, AppRequest, Answer              a request body coming in, the app's request, the app's answer going out
request_headers, keys_left_out, raw_path, redirected    a WSGI environ, read, cleaned, and sent to another route
as_text, as_bytes          headers as text and as bytes
"""

from openai_middleware.answer.answer import Answer
from openai_middleware.config.rewrite import Rewrite
from openai_middleware.contract import OpenAIEndpoint
from openai_middleware.drivers.asgi import ASGIDriver, OpenAIMiddleware
from openai_middleware.drivers.chunks import AsyncMappedAnswer, MappedAnswer, amap_answer, map_answer
from openai_middleware.drivers.environ import keys_left_out, raw_path, redirected, request_headers
from openai_middleware.drivers.framework_errors import error_of_status
from openai_middleware.drivers.recording import arecorded, recorded
from openai_middleware.drivers.wsgi import OpenAIWSGIMiddleware, WSGIDriver
from openai_middleware.errors import OpenAIError
from openai_middleware.exchange import Exchange
from openai_middleware.frontend import Frontend
from openai_middleware.handlers.asgi_app import send_response
from openai_middleware.handlers.handler import Handler, reporting, unsupported
from openai_middleware.handlers.replying import arespond, respond, respond_by_asgiref
from openai_middleware.handlers.response import Response
from openai_middleware.headers import Header, as_bytes, as_text
from openai_middleware.interfaces import ASGIApp, Environ, Message, Receive, Scope, Send, StartResponse, WSGIApp
from openai_middleware.iteration import OwnLoop, aclose, aiterate, close, iterate
from openai_middleware.keeping import StoreSession
from openai_middleware.mistakes import Mistakes
from openai_middleware.options import Options
from openai_middleware.request.body import BodyReader
from openai_middleware.request.call import CALL_KEY, AppRequest, OpenAICall, call_in
from openai_middleware.route import HandlerSource

__all__ = [
    "CALL_KEY",
    "ASGIApp",
    "ASGIDriver",
    "Answer",
    "AppRequest",
    "AsyncMappedAnswer",
    "BodyReader",
    "Environ",
    "Exchange",
    "Frontend",
    "Handler",
    "HandlerSource",
    "Header",
    "MappedAnswer",
    "Message",
    "Mistakes",
    "OpenAICall",
    "OpenAIEndpoint",
    "OpenAIError",
    "OpenAIMiddleware",
    "OpenAIWSGIMiddleware",
    "Options",
    "OwnLoop",
    "Receive",
    "Response",
    "Rewrite",
    "Scope",
    "Send",
    "StartResponse",
    "StoreSession",
    "WSGIApp",
    "WSGIDriver",
    "aclose",
    "aiterate",
    "amap_answer",
    "arecorded",
    "arespond",
    "as_bytes",
    "as_text",
    "call_in",
    "close",
    "error_of_status",
    "iterate",
    "keys_left_out",
    "map_answer",
    "raw_path",
    "recorded",
    "redirected",
    "reporting",
    "request_headers",
    "respond",
    "respond_by_asgiref",
    "send_response",
    "unsupported",
]
