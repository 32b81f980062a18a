"""An answer of the app on its way to the client, fed piece by piece; no I/O."""
