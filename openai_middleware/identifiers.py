"""Random identifiers."""

import os
from collections import deque
from typing import Final

_BYTES: Final = 16
_STORED: Final = 256

# The system's randomness costs more by the call than by the byte.
_stored: deque[str] = deque()
if hasattr(os, "register_at_fork"):
    # A process that was forked would give the same ones as its parent.
    os.register_at_fork(after_in_child=_stored.clear)


def new_identifier(prefix: str) -> str:
    """A fresh identifier that nobody can guess: a prefix, such as `msg_`, and 32 hexadecimal digits."""
    while True:
        try:
            return prefix + _stored.pop()
        except IndexError:
            _stored.extend(os.urandom(_BYTES * _STORED).hex(" ", _BYTES).split())
