"""The server interfaces: what moves bytes between a server, an exchange and an app."""
