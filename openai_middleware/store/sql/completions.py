"""Chat completions in the SQL store."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from openai_middleware.store.sql.rows import OwnerRows, listed, o
from openai_middleware.store.sql.schema import COMPLETION, labels
from openai_middleware.store.sql.transactions import Transactions
from openai_middleware.store.store import Completion, Listed, Page, UnknownCursorError


class Completions(Transactions):
    """The part of `Backend` that is about chat completions."""

    def keep_completion(self, owner: str, completion: Completion) -> None:
        """See `Backend.keep_completion`."""

        def keep(rows: OwnerRows) -> None:
            columns = {"messages": completion.messages, "model": completion.model}
            rows.add_object(COMPLETION, completion.id, completion.data, **columns)
            _label(rows, completion.id, completion.metadata)

        self._keep(owner, keep, len(completion.data) + len(completion.messages), completion.id)

    def completion(self, owner: str, completion_id: str) -> bytes | None:
        """See `Backend.completion`."""
        return self._data(owner, COMPLETION, completion_id)

    def completion_messages(self, owner: str, completion_id: str) -> bytes | None:
        """See `Backend.completion_messages`."""
        return self._data(owner, COMPLETION, completion_id, o.messages)

    def completions(self, owner: str, page: Page, model: str | None, metadata: Mapping[str, str]) -> Listed:
        """See `Backend.completions`."""

        def read(rows: OwnerRows) -> Listed:
            return listed(rows.connection.execute(_page_query(rows, page, model, metadata)).all(), page)

        return self._read(owner, read)

    def update_completion(self, owner: str, completion_id: str, metadata: Mapping[str, str]) -> bytes | None:
        """See `Backend.update_completion`."""

        def update(rows: OwnerRows) -> bytes | None:
            data = rows.give_metadata(COMPLETION, completion_id, metadata)
            if data is not None:
                of_completion = (labels.c.owner == owner, labels.c.completion == completion_id)
                rows.connection.execute(labels.delete().where(*of_completion))
                _label(rows, completion_id, metadata)
            return data

        return self._change(owner, update)

    def delete_completion(self, owner: str, completion_id: str) -> bool:
        """See `Backend.delete_completion`."""
        return self._delete(owner, COMPLETION, completion_id)


def _page_query(rows: OwnerRows, page: Page, model: str | None, metadata: Mapping[str, str]) -> Any:
    """A query for a page of completions, and one more.

    Raises:
        UnknownCursorError: There is no completion with the id `after`.
    """
    query = sa.select(o.id, o.data).where(o.owner == rows.owner, o.kind == COMPLETION, o.changed > rows.horizon)
    if model is not None:
        query = query.where(o.model == model)
    for name, value in metadata.items():
        has_label = (labels.c.owner == o.owner, labels.c.completion == o.id)
        query = query.where(sa.exists().where(*has_label, labels.c.name == name, labels.c.value == value))
    if page.after is not None:
        after = rows.object(COMPLETION, page.after, o.created)
        if after is None:
            raise UnknownCursorError
        cursor = sa.tuple_(o.created, o.id)
        at = sa.tuple_(sa.literal(after.created, sa.BigInteger), sa.literal(page.after, o.id.type))
        query = query.where(cursor > at if page.order == "asc" else cursor < at)
    by = (o.created, o.id) if page.order == "asc" else (o.created.desc(), o.id.desc())
    return query.order_by(*by).limit(page.limit + 1)


def _label(rows: OwnerRows, completion_id: str, metadata: Mapping[str, str]) -> None:
    if metadata:
        rows.connection.execute(
            labels.insert(),
            [
                {"owner": rows.owner, "completion": completion_id, "name": name, "value": value}
                for name, value in metadata.items()
            ],
        )
