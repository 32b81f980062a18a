"""The check: drives an app with the official SDK, and judges what came back. Needs the extra `cli`."""
