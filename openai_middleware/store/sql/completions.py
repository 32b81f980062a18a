"""Chat completions in the SQL store."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from openai_middleware.store.sql.rows import OwnerRows, listed, o
from openai_middleware.store.sql.schema import COMPLETION, labels
from openai_middleware.store.sql.transactions import Transactions
from openai_middleware.store.store import Completion, Listed, Page


class Completions(Transactions):
    """The part of `Backend` that is about chat completions."""

    def keep_completion(self, owner: str, completion: Completion) -> None:
        """See `Backend.keep_completion`."""

        def keep(rows: OwnerRows) -> None:
            columns = {"messages": completion.messages, "model": completion.model}
            created = rows.add_object(COMPLETION, completion.id, completion.data, **columns)
            _label(rows, completion.id, created, completion.metadata)

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
            found = rows.object(COMPLETION, completion_id, o.created, is_locked=True)
            if found is None:
                return None
            of_completion = (labels.c.owner == owner, labels.c.completion == completion_id)
            rows.connection.execute(labels.delete().where(*of_completion))
            _label(rows, completion_id, found.created, metadata)
            return rows.give_metadata(COMPLETION, completion_id, metadata)

        return self._change(owner, update)

    def delete_completion(self, owner: str, completion_id: str) -> bool:
        """See `Backend.delete_completion`."""
        return self._delete(owner, COMPLETION, completion_id)


def _page_query(rows: OwnerRows, page: Page, model: str | None, metadata: Mapping[str, str]) -> Any:
    """A query for a page of completions, and one more.

    Raises:
        UnknownCursorError: There is no completion with the id `after`, and there was none lately.
    """
    # The sum keeps databases from going by age, and from sorting all that they find so.
    query = sa.select(o.id, o.data).where(o.owner == rows.owner, o.kind == COMPLETION, o.changed + 0 > rows.horizon)
    if model is not None:
        query = query.where(o.model == model)
    created, identifier = o.created, o.id
    for index, (name, value) in enumerate(metadata.items()):
        label = labels.alias().c
        has_label = (label.owner == rows.owner, label.completion == o.id, label.name == name, label.value == value)
        if index:
            query = query.where(sa.exists().where(*has_label))
        else:
            # They have their order in an index, however few they are.
            query = query.where(*has_label)
            created, identifier = label.created, label.completion
    if page.after is not None:
        own = (o.owner == rows.owner, o.kind == COMPLETION, o.id == page.after)
        after = rows.connection.scalar(sa.select(o.created).where(*own))
        if after is None:
            after = rows.place_of_gone(COMPLETION, "", page.after)
        cursor = sa.tuple_(created, identifier)
        at = sa.tuple_(sa.literal(after, sa.BigInteger), sa.literal(page.after, o.id.type))
        query = query.where(cursor > at if page.order == "asc" else cursor < at)
    by = (created, identifier) if page.order == "asc" else (created.desc(), identifier.desc())
    return query.order_by(*by).limit(page.limit + 1)


def _label(rows: OwnerRows, completion_id: str, created: int, metadata: Mapping[str, str]) -> None:
    own = {"owner": rows.owner, "completion": completion_id, "created": created}
    if metadata:
        rows.connection.execute(
            labels.insert(), [{**own, "name": name, "value": value} for name, value in metadata.items()]
        )
