"""Plain functions as handlers, and as the wrapped app."""
