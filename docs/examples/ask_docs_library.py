"""The documentation, searchable, and the answers given so far: what `ask_docs.py` serves. All in one SQLite file."""

import contextlib
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openai_middleware.errors import BadRequestError, NotFoundError

ROOT = Path(__file__).resolve().parents[2]
STOP_WORDS = {"and", "are", "can", "does", "for", "from", "how", "the", "was", "what", "when", "which", "with"}
Json = dict[str, Any]


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
            if not text.startswith("```"):  # code answers no question
                yield heading, text


class Library:
    """The SQLite file. Safe under threads, in which FastAPI runs routes: one transaction at a time."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._lock = threading.RLock()
        with self._transaction() as db:
            db.execute("CREATE TABLE IF NOT EXISTS answers (id TEXT PRIMARY KEY, kind TEXT, asked TEXT, answer TEXT)")
            db.execute("DROP TABLE IF EXISTS passages")
            db.execute("CREATE VIRTUAL TABLE passages USING fts5(file UNINDEXED, heading, text, tokenize = porter)")
            passages: dict[str, tuple[str, str]] = {}
            for file in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]:
                for heading, text in read_passages(file.read_text(encoding="utf-8")):
                    passages.setdefault(text, (file.relative_to(ROOT).as_posix(), heading))
            rows = [(file, heading, text) for text, (file, heading) in passages.items()]
            db.executemany("INSERT INTO passages VALUES (?, ?, ?)", rows)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, contextlib.closing(sqlite3.connect(self._database)) as db, db:
            yield db

    def search(self, question: str) -> tuple[str, list[Json]]:
        """The best passages for a question in one text, and for each of them its place there and its source."""
        query = "SELECT * FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, 0, 2, 1) LIMIT 3"
        words = set(re.findall(r"\w{3,}", question.lower())) - STOP_WORDS or {""}
        with self._transaction() as db:
            found = db.execute(query, [" OR ".join(f'"{word}"' for word in words)]).fetchall()
        text, citations = "", []
        for file, heading, passage in found:
            start = len(text)
            text += f"{passage}\n({heading}, {file})\n\n"
            citations.append({"title": heading, "url": file, "start_index": start, "end_index": len(text) - 2})
        return text.rstrip() or "The documentation does not say.", citations

    def save(self, kind: str, asked: list[Json], answer: Json) -> None:
        """Store an answer, and the messages or items that it answers."""
        row = (answer["id"], kind, json.dumps(asked), json.dumps(answer))
        with self._transaction() as db:
            db.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", row)

    def load(self, kind: str, id: str, param: str | None = None) -> tuple[list[Json], Json]:
        """What was asked, and the answer; `param` is the request field that holds the id."""
        with self._transaction() as db:
            row = db.execute("SELECT asked, answer FROM answers WHERE kind = ? AND id = ?", [kind, id]).fetchone()
        if row is None:
            raise NotFoundError(f"There is no {kind} with this id.", param=param or f"{kind}_id", code="not_found")
        return json.loads(row[0]), json.loads(row[1])

    def all(self, kind: str) -> list[Json]:
        """All answers, the oldest first."""
        with self._transaction() as db:
            rows = db.execute("SELECT answer FROM answers WHERE kind = ? ORDER BY rowid", [kind]).fetchall()
        return [json.loads(answer) for (answer,) in rows]

    @contextlib.contextmanager
    def editing(self, kind: str, id: str) -> Iterator[Json]:
        """An answer to change: stored at the end of the `with` block, unless the block raises."""
        with self._transaction() as db:
            _, answer = self.load(kind, id)
            yield answer
            db.execute("UPDATE answers SET answer = ? WHERE id = ?", [json.dumps(answer), id])

    def delete(self, kind: str, id: str) -> None:
        self.load(kind, id)
        with self._transaction() as db:
            db.execute("DELETE FROM answers WHERE id = ?", [id])


def page(items: list[Json], /, *, order: str = "asc", after: str | None = None, limit: int = 20, **_: Any) -> Json:
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


def last_question(messages: list[Json], param: str) -> str:
    """What was asked last, in the messages or items that the request field `param` holds."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return text_of(message)
        if message.get("type") == "compaction":
            return str(message.get("encrypted_content"))
    raise BadRequestError("There is no message of a user.", param=param)


def count_tokens(messages: list[Json]) -> int:
    """As many as there are words: there is no model, and so no tokenizer."""
    return sum(len(text_of(message).split()) for message in messages)


def text_of(message: Json) -> str:
    """The text of a message, whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return content if isinstance(content, str) else ""
