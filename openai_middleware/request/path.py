"""The path of a request, as matching sees it: relative to the mount and decoded segment by segment.

A slash that was sent percent-encoded belongs to its segment and separates nothing. Inside a path it is carried as
ENCODED_SLASH until the segment's value is read.
"""

from urllib.parse import unquote_to_bytes

import msgspec

# A lone surrogate: no decoding of a request can yield one, so it collides with nothing.
ENCODED_SLASH = "\udc2f"


class RequestPath(msgspec.Struct, frozen=True):
    """One path in two readings.

    Attributes:
        segmented: For matching: encoded slashes are ENCODED_SLASH.
        decoded: For people and handlers: encoded slashes are slashes.
    """

    segmented: str
    decoded: str

    @property
    def has_encoded_slash(self) -> bool:
        """Whether the two readings differ."""
        return ENCODED_SLASH in self.segmented

    @property
    def encoded(self) -> str:
        """The path decoded but for the slashes that were sent encoded: a router takes none of them for one."""
        return self.segmented.replace(ENCODED_SLASH, "%2F")

    @classmethod
    def of(cls, path: str, raw_path: bytes | None, root_path: str) -> "RequestPath":
        """Read a request's path.

        Args:
            path: The whole path, percent-decoded, as ASGI's `path` has it.
            raw_path: The same path as it was sent, or None where the server does not give it.
            root_path: Where the app is mounted: ASGI's `root_path`, WSGI's `SCRIPT_NAME`.
        """
        decoded = _below(root_path, path) if root_path else path
        if raw_path is None or b"%2" not in raw_path or b"%2f" not in raw_path.lower():
            return cls(decoded, decoded)
        raw_segments = raw_path.partition(b"?")[0].split(b"/")
        segments = [unquote_to_bytes(segment).decode(errors="replace") for segment in raw_segments]
        segmented = "/".join(segment.replace("/", ENCODED_SLASH) for segment in segments)
        joined = "/".join(segments)
        if joined == path:
            return cls(_below(root_path, segmented), decoded)
        if joined == decoded:
            # A proxy further out has cut the mount off what was sent.
            return cls(segmented, decoded)
        # A middleware further out has rewritten the path and left the raw one behind: the app goes by the path.
        return cls(decoded, decoded)


def _below(root_path: str, path: str) -> str:
    # As Starlette does it: a path that is not below the mount is taken as it is.
    if root_path and path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/"):
        return path[len(root_path) :] or "/"
    return path


def with_slashes(segment: str) -> str:
    """The value of a segment: its encoded slashes as slashes."""
    return segment.replace(ENCODED_SLASH, "/")


def printable(path: str) -> str:
    """A path for a log line: line ends and other control characters escaped, so that it stays one line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)


def normalised(path: str) -> str:
    """The shortest path that some server or app could take a decoded path for.

    Doubled slashes, `.` and `..` segments (RFC 3986, section 5.2.4) and a trailing slash are removed.
    """
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)
