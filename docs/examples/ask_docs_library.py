"""The documentation, and what clients add to it, searchable: what `ask_docs.py` is about. All in memory."""

import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from openai_middleware.errors import BadRequestError, NotFoundError

ROOT = Path(__file__).resolve().parents[2]
STOP_WORDS = {"and", "are", "can", "does", "for", "from", "how", "the", "was", "what", "when", "which", "with"}


class Document(NamedTuple):
    """A text that can be searched."""

    id: str
    name: str
    text: str
    created_at: int


class Passage(NamedTuple):
    """A paragraph of a document, and how well it fits a question."""

    document_id: str
    name: str
    heading: str
    text: str
    score: float


class Library:
    """All documents. Safe under threads, in which functions and FastAPI's routes run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._documents: dict[str, Document] = {}
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute(
            "CREATE VIRTUAL TABLE passages USING fts5(id UNINDEXED, name UNINDEXED, heading, text, tokenize = porter)"
        )

    def add(self, name: str, text: str) -> Document:
        """Add a document of Markdown, or of plain text."""
        document = Document(f"file-{secrets.token_hex(8)}", name, text, int(time.time()))
        rows = [(document.id, name, heading, passage) for heading, passage in read_passages(text)]
        with self._lock:
            self._documents[document.id] = document
            self._db.executemany("INSERT INTO passages VALUES (?, ?, ?, ?)", rows)
        return document

    def all(self) -> list[Document]:
        """All documents, the oldest first."""
        with self._lock:
            return list(self._documents.values())

    def find(self, id: str) -> Document:
        """The document that has an id."""
        with self._lock:
            document = self._documents.get(id)
        if document is None:
            raise NotFoundError("There is no file with this id.", param="file_id", code="not_found")
        return document

    def remove(self, id: str) -> None:
        """Remove a document."""
        document = self.find(id)
        with self._lock:
            self._documents.pop(document.id, None)
            self._db.execute("DELETE FROM passages WHERE id = ?", [id])

    def search(self, question: str, limit: int = 3) -> list[Passage]:
        """The passages that fit a question, the best first."""
        query = (
            "SELECT id, name, heading, text, -bm25(passages, 0, 0, 2, 1) FROM passages "
            "WHERE passages MATCH ? ORDER BY 5 DESC LIMIT ?"
        )
        words = set(re.findall(r"\w{3,}", question.lower())) - STOP_WORDS or {""}
        with self._lock:
            rows = self._db.execute(query, [" OR ".join(f'"{word}"' for word in words), limit]).fetchall()
        return [Passage(*row) for row in rows]


def documentation() -> Library:
    """This project's documentation."""
    library = Library()
    for file in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]:
        library.add(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))
    return library


def read_passages(markdown: str) -> Iterator[tuple[str, str]]:
    """Every paragraph of a document, with the heading of its section."""
    heading, lines, is_code = "", list[str](), False
    for line in [*markdown.splitlines(), ""]:
        is_code ^= line.startswith("```")
        if line.startswith("#") and not is_code:
            heading = line.strip("# ")
        elif line or is_code:
            lines.append(line)
        elif lines:
            text, lines = "\n".join(lines), []
            if not text.startswith(("```", "<!--", "![", ":::")):  # code, drawings and the like answer no question
                yield heading, text


def page(
    items: list[dict[str, Any]], /, *, order: str = "asc", after: str | None = None, limit: int = 20, **_: Any
) -> dict[str, Any]:
    """One page of a list that is given in ascending order; the arguments are the query parameters of OpenAI's lists."""
    if order not in ("asc", "desc"):
        raise BadRequestError("'order' is 'asc' or 'desc'.", param="order")
    if not 1 <= limit <= 100:
        raise BadRequestError("'limit' is a number from 1 to 100.", param="limit")
    if order == "desc":
        items = items[::-1]
    ids = [item["id"] for item in items]
    if after is not None and after not in ids:
        raise NotFoundError("There is no such item in this list.", param="after", code="not_found")
    start = 0 if after is None else ids.index(after) + 1
    ids = ids[start : start + limit]
    return {
        "object": "list",
        "data": items[start : start + limit],
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": start + limit < len(items),
    }
