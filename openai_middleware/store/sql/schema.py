"""The tables of the SQL store, and how they come to be in a database."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake

VERSION: Final = 2
"""The version of the schema. A database has it in the table `openai_schema`."""

# PostgreSQL compares text by the rules of a language unless it is told otherwise, which makes other orders on other
# machines.
_Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
# Of all processes that get a database ready, one at a time. Any number that nobody else uses.
_LOCK: Final = 7_096_384_023

RESPONSE, COMPLETION, CONVERSATION, ITEM = "response", "completion", "conversation", "item"

IS_NO_ITEM: Final = sa.text("kind <> 'item'")
"""What queries have to say, word by word, to go by the index that has no items."""

metadata = sa.MetaData()

schema_version = sa.Table("openai_schema", metadata, sa.Column("version", sa.Integer, nullable=False))

# Responses, chat completions, conversations and items. Times are microseconds since 1970.
objects = sa.Table(
    "openai_objects",
    metadata,
    sa.Column("owner", _Key, primary_key=True),
    sa.Column("kind", _Key, primary_key=True),
    sa.Column("id", _Key, primary_key=True),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),  # of an item: when it last became part of something
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("messages", sa.LargeBinary),  # of the request of a chat completion
    sa.Column("model", _Key),
    sa.Column("parent", _Key),
    sa.Column("weight", sa.BigInteger),  # the bytes of all items of the chain, or of the conversation
    sa.Column("version", sa.BigInteger),  # of a conversation: also the position of its next item
    sa.Column("is_deleted", sa.SmallInteger, nullable=False, server_default="0"),  # others follow it still
    sa.Index("openai_objects_by_creation", "owner", "kind", "created", "id"),
    sa.Index("openai_objects_by_age", "changed"),
    sa.Index(
        "openai_objects_by_age_without_items",
        *("owner", "changed", "id", "kind"),
        sqlite_where=IS_NO_ITEM,
        postgresql_where=IS_NO_ITEM,
    ),
    sa.Index(
        "openai_objects_by_model",
        *("owner", "kind", "model", "created", "id"),
        sqlite_where=sa.text("model IS NOT NULL"),
        postgresql_where=sa.text("model IS NOT NULL"),
    ),
    sa.Index(
        "openai_objects_by_parent",
        "owner",
        "parent",
        sqlite_where=sa.text("parent IS NOT NULL"),
        postgresql_where=sa.text("parent IS NOT NULL"),
    ),
)

# Which items a response or a conversation has, in their order.
links = sa.Table(
    "openai_links",
    metadata,
    sa.Column("owner", _Key, primary_key=True),
    sa.Column("kind", _Key, primary_key=True),
    sa.Column("holder", _Key, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("item", _Key, nullable=False),
    sa.Column("is_output", sa.SmallInteger, nullable=False),
    sa.Index("openai_links_by_item", "owner", "item", "kind", "holder"),
    sqlite_with_rowid=False,
)

# The metadata of chat completions, to list them by.
labels = sa.Table(
    "openai_labels",
    metadata,
    sa.Column("owner", _Key, primary_key=True),
    sa.Column("completion", _Key, primary_key=True),
    sa.Column("name", _Key, primary_key=True),
    sa.Column("value", _Key, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),  # the completion, to list by one label in order
    sa.Index("openai_labels_by_value", "owner", "name", "value", "created", "completion"),
    sqlite_with_rowid=False,
)

# Where entries of lists stood that have gone, for those who have read as far as there.
gone = sa.Table(
    "openai_gone",
    metadata,
    sa.Column("owner", _Key, primary_key=True),
    sa.Column("kind", _Key, primary_key=True),  # of the list: completions, or a conversation
    sa.Column("holder", _Key, primary_key=True),  # the conversation
    sa.Column("id", _Key, primary_key=True),
    sa.Column("place", sa.BigInteger, nullable=False),  # the position of an item; when a completion was created
    sa.Column("at", sa.BigInteger, nullable=False),  # when it went
    sa.Index("openai_gone_by_age", "at"),
    sqlite_with_rowid=False,
)

# How much each owner has.
owners = sa.Table(
    "openai_owners",
    metadata,
    sa.Column("owner", _Key, primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


def create(connection: Connection) -> None:
    """Create the tables where there are none, and what those of an older version lack, in a transaction that is open.

    Raises:
        ConfigurationError: They are those of a newer version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    schema_version.create(connection, checkfirst=True)
    version = connection.scalar(sa.select(sa.func.max(schema_version.c.version)))
    if version is not None and version > VERSION:
        message = f"The store's tables are of version {version}, and this openai-middleware knows {VERSION}."
        hint = "Install the version of the package that made them, or a newer one, or name another database."
        raise ConfigurationError(ConfigurationMistake("store_schema", message, version, hint, "store.url"))
    metadata.create_all(connection)
    if version is None:
        connection.execute(schema_version.insert().values(version=VERSION))
    elif version < VERSION:
        _migrate(connection)


def _migrate(connection: Connection) -> None:
    """Make version 2 of version 1, which had one column and one index else."""
    connection.exec_driver_sql("ALTER TABLE openai_objects DROP COLUMN turns")
    for index in objects.indexes:
        index.create(connection, checkfirst=True)
    connection.exec_driver_sql("DROP INDEX IF EXISTS openai_objects_by_age_of_owner")
    connection.execute(schema_version.update().values(version=VERSION))
