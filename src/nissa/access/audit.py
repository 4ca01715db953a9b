"""The audit log: one entry per change, each with the hash of the one before it. Calls block.

    hash of entry n = SHA-256( hash of entry n-1, entry n as JSON )      the first one follows on an empty text

An entry that was altered, removed or put in between breaks the chain at its place. Removing the newest ones leaves a
chain that holds: ``nissa audit verify`` prints the count and the last hash, to be compared with a copy kept elsewhere.

Old entries are pruned on request: a checkpoint keeps number and hash of the last of them, from which the chain goes on,
and the pruning is an entry of its own with the same two.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from nissa.database.database import Database
from nissa.database.tables import audit_checkpoint, audit_entries
from nissa.model.errors import BadQuery, Damaged, Unavailable
from nissa.model.secrets import hide_secrets

TRIES_MAX: Final = 20
PRUNED: Final = "audit.prune"
TEXT_CHARACTERS_MAX: Final = 16_384
PAGE_ENTRIES: Final = 1_000


class Change(msgspec.Struct, frozen=True):
    """A change. user: ``ann``, ``token:ci``. action: ``pin.add``. outcome: ``done``, or why not."""

    at_ms: int
    user: str
    via: str
    address: str
    action: str
    target: str = ""
    outcome: str = "done"
    before: Any = None
    after: Any = None


def append(database: Database, change: Change) -> int:
    """Append an entry. Returns: its number. Raises: Unavailable; then nothing was written."""
    values = _values(change)
    failed: Unavailable | None = None
    for _ in range(TRIES_MAX):  # another process may append at the same moment: then the number is taken
        try:
            with database.begin() as connection:
                return _append(connection, values)
        except Unavailable as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
            failed = error
    raise failed or Unavailable("audit log")


def append_with(connection: Connection, changes: Sequence[Change]) -> None:
    """Append entries in a transaction that makes the changes themselves.

    Raises: IntegrityError where another process appends at the same moment; then neither is done.
    """
    if changes:
        _append(connection, *map(_values, changes))


def entries(
    database: Database, *, before_id: int = 0, limit: int = PAGE_ENTRIES, user: str = "", action: str = ""
) -> list[dict[str, Any]]:
    """Entries, the newest first. before_id: only those with smaller numbers; 0: all. action: also a part before a
    dot."""
    wanted = select(audit_entries).order_by(audit_entries.c.id.desc()).limit(limit)
    if before_id:
        wanted = wanted.where(audit_entries.c.id < before_id)
    if user:
        wanted = wanted.where(audit_entries.c.user == user)
    if action:
        column = audit_entries.c.action
        wanted = wanted.where((column == action) | column.startswith(f"{action}.", autoescape=True))
    with database.begin() as connection:
        rows = connection.execute(wanted).mappings().all()
    return [shown_entry(dict(row)) for row in rows]


def oldest_first(database: Database) -> Iterator[Mapping[str, Any]]:
    """All rows, page by page."""
    last = 0
    while True:
        wanted = select(audit_entries).where(audit_entries.c.id > last).order_by(audit_entries.c.id)
        with database.begin() as connection:
            rows = connection.execute(wanted.limit(PAGE_ENTRIES)).mappings().all()
        yield from (dict(row) for row in rows)
        if len(rows) < PAGE_ENTRIES:
            return
        last = rows[-1]["id"]


def verify(database: Database) -> tuple[int, str]:
    """Check the chain, from the checkpoint where entries were pruned.

    Returns: the number and the hash of the last entry. Raises: Damaged at the first entry at fault.
    """
    pruned = number, chained = checkpoint(database)
    confirmed = number == 0
    for row in oldest_first(database):
        if row["id"] != number + 1:
            raise Damaged("audit log", f"entry {number + 1} is missing: {row['id']} follows {number}")
        chained = _hash(chained, row)
        if chained != row["hash"]:
            raise Damaged("audit log", f"entry {row['id']} or its place was altered: its hash does not follow")
        number = row["id"]
        confirmed |= (row["action"], row["target"]) == (PRUNED, f"{pruned[0]}:{pruned[1]}")
    if not confirmed:
        raise Damaged("audit log", f"no entry {PRUNED} says that entries up to {pruned[0]} were pruned")
    return number, chained


def checkpoint(database: Database) -> tuple[int, str]:
    """Number and hash of the last entry that was pruned; 0 and empty where none was."""
    with database.begin() as connection:
        return _checkpoint(connection)


def prune(database: Database, before_ms: int, change: Change) -> int:
    """Remove entries older than ``before_ms``, up to the first that is not; returns how many.

    change: who prunes; it becomes an entry ``audit.prune`` with number and hash of the last one removed. Raises:
    Damaged where the chain does not hold, because what was altered must not vanish; Unavailable.
    """
    verify(database)
    with database.begin() as connection:
        kept = select(func.min(audit_entries.c.id)).where(audit_entries.c.at_ms >= before_ms)
        newest = connection.execute(select(func.max(audit_entries.c.id))).scalar() or 0
        first_kept = connection.execute(kept).scalar() or newest + 1
        wanted = select(audit_entries.c.id, audit_entries.c.hash).where(audit_entries.c.id == first_kept - 1)
        last = connection.execute(wanted).first()
        if last is None:
            return 0
        number, chained = int(last[0]), str(last[1])
        noted = msgspec.structs.replace(change, action=PRUNED, target=f"{number}:{chained}")
        _append(connection, _values(noted))
        removed = connection.execute(delete(audit_entries).where(audit_entries.c.id <= number)).rowcount
        connection.execute(delete(audit_checkpoint))
        connection.execute(insert(audit_checkpoint), {"id": number, "hash": chained})
        return int(removed)


def check_entry(database: Database, expected: str) -> None:
    """Raises: Damaged where an entry is not there as it was. expected: ``NUMBER:HASH``. Raises: BadQuery."""
    number, _, chained = expected.partition(":")
    if not (number.isascii() and number.isdigit() and len(number) <= 15):
        raise BadQuery(f"expected NUMBER:HASH of an entry, got {expected[:100]!r}")
    if int(number) == 0:
        return
    wanted = select(audit_entries.c.hash).where(audit_entries.c.id == int(number))
    with database.begin() as connection:
        found = connection.execute(wanted).scalar()
        pruned, last = _checkpoint(connection)
    if int(number) < pruned:
        raise BadQuery(f"entry {number} was pruned: the oldest that can be expected is {pruned}")
    found = last if int(number) == pruned else found
    if found != chained:
        raise Damaged("audit log", f"entry {number} is not the one expected: its hash is {found or 'missing'}")


def shown_entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as the API and the export give it."""
    named = {str(name): value for name, value in row.items()}
    return {**named, "before": _read(row["before"]), "after": _read(row["after"])}


def _append(connection: Connection, *entries: dict[str, Any]) -> int:
    wanted = select(audit_entries.c.id, audit_entries.c.hash).order_by(audit_entries.c.id.desc()).limit(1)
    last = connection.execute(wanted).first()
    number, chained = (0, "") if last is None else (int(last[0]), str(last[1]))
    rows = []
    for values in entries:
        number += 1
        row = {"id": number, **values}
        chained = _hash(chained, row)
        rows.append({**row, "hash": chained})
    connection.execute(insert(audit_entries), rows)
    return number


def _checkpoint(connection: Connection) -> tuple[int, str]:
    found = connection.execute(select(audit_checkpoint.c.id, audit_checkpoint.c.hash)).first()
    return (0, "") if found is None else (int(found[0]), str(found[1]))


def _values(change: Change) -> dict[str, Any]:
    values = msgspec.structs.asdict(change)
    for name in ("before", "after"):
        values[name] = _text(orjson.dumps(hide_secrets(values[name]), default=str, option=orjson.OPT_SORT_KEYS))
    return {name: _cut(value) if isinstance(value, str) else value for name, value in values.items()}


def _text(content: bytes) -> str:
    text = content.decode()
    if len(text) > TEXT_CHARACTERS_MAX:
        return orjson.dumps({"cut": text[: TEXT_CHARACTERS_MAX // 2]}).decode()
    return text


def _cut(text: str) -> str:
    """The text cut to its bound, without the zero character, which PostgreSQL does not store."""
    return text.replace("\0", "")[: 2 * TEXT_CHARACTERS_MAX]


def _hash(before: str, row: Mapping[str, Any]) -> str:
    content = {str(name): value for name, value in row.items() if name != "hash"}
    return hashlib.sha256(before.encode() + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _read(text: str) -> Any:
    return orjson.loads(text)
