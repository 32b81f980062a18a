"""What WSGI environs and Django's `META` have in common (PEP 3333, "environ Variables")."""

from collections.abc import Mapping
from typing import Any

from openai_middleware.headers import Header
from openai_middleware.request.call import AppRequest

# The two headers that CGI names without HTTP_.
_UNPREFIXED = (("CONTENT_TYPE", b"content-type"), ("CONTENT_LENGTH", b"content-length"))


def request_headers(environ: Mapping[str, Any]) -> list[Header]:
    """The request headers."""
    headers = [(name, environ[key].encode("latin-1")) for key, name in _UNPREFIXED if environ.get(key)]
    headers += [
        (_header_name(key), value.encode("latin-1", "replace"))
        for key, value in environ.items()
        if key.startswith("HTTP_") and isinstance(value, str)
    ]
    return headers


def keys_left_out(environ: Mapping[str, Any], request: AppRequest) -> list[str]:
    """The keys of the headers that the app is not to see."""
    kept = {name for name, _ in request.headers}
    return [key for key in environ if key.startswith("HTTP_") and _header_name(key) not in kept]


def redirected(environ: Mapping[str, Any], request: AppRequest) -> dict[str, Any]:
    """What a request to another route has in the environ beside its path and its body."""
    query = environ.get("QUERY_STRING", "") if request.query is None else request.query.decode("latin-1")
    target = (request.raw_path or b"").decode("latin-1") + (f"?{query}" if query else "")
    kinds = [value.decode("latin-1") for name, value in request.headers if name.lower() == b"content-type"]
    own = {"REQUEST_METHOD": request.method, "QUERY_STRING": query, "CONTENT_TYPE": kinds[-1] if kinds else ""}
    return own | {key: target for key in ("REQUEST_URI", "RAW_URI") if key in environ}


def raw_path(environ: Mapping[str, Any]) -> bytes | None:
    """The path as it was sent, where the server has it: uWSGI and mod_wsgi, or gunicorn. It may be a whole URL."""
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if not isinstance(target, str):
        return None
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.encode("latin-1", "replace")


def _header_name(key: str) -> bytes:
    return key[len("HTTP_") :].replace("_", "-").lower().encode("latin-1", "replace")
