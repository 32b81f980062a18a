"""From the bytes of a request to a call; no I/O."""
