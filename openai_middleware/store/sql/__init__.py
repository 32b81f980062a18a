"""The store in an SQL database: SQLite, or PostgreSQL."""

from openai_middleware.store.sql.completions import Completions
from openai_middleware.store.sql.conversations import Conversations
from openai_middleware.store.sql.responses import Responses

__all__ = ["SQLBackend"]


class SQLBackend(Responses, Completions, Conversations):
    """See `Backend`. The arguments are those of `Transactions`."""
