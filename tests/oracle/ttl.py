"""Slow obvious twin of ``_fast/ttl``: a dictionary, and a list of everything that was ever stored."""

from dataclasses import dataclass, field

Key = tuple[int, int]


@dataclass
class Entry:
    """One stored key."""

    key: Key
    lsn: int
    expires_ms: int
    dead: bool = False


@dataclass
class Map:
    """The twin of TtlMap, one key at a time."""

    entries_max: int
    line: list[Entry] = field(default_factory=list)
    held: dict[Key, Entry] = field(default_factory=dict)
    cursor: int = 0
    pass_end: int = 0
    evicted_total: int = 0

    def look_up(self, key: Key, now_ms: int) -> int:
        """The LSN, or 0."""
        entry = self.held.get(key)
        return entry.lsn if entry is not None and entry.expires_ms > now_ms else 0

    def claim(self, key: Key, lsn: int, now_ms: int, expires_ms: int) -> int:
        """The LSN under which the key is known, or 0: then it is stored now."""
        known = self.look_up(key, now_ms)
        if not known:
            self.store(key, lsn, expires_ms)
        return known

    def restore(self, key: Key, lsn: int, now_ms: int, expires_ms: int) -> None:
        """Remember a key that was remembered elsewhere."""
        if expires_ms > now_ms and not self.look_up(key, now_ms):
            self.store(key, lsn, expires_ms)

    def store(self, key: Key, lsn: int, expires_ms: int) -> None:
        """Remember a key that is not known."""
        entry = self.held.get(key)
        if entry is not None:
            self.drop(entry)
        if len(self.held) >= self.entries_max:
            self.drop(next(entry for entry in self.line if not entry.dead))
            self.evicted_total += 1
        self.held[key] = Entry(key, lsn, expires_ms)
        self.line.append(self.held[key])

    def drop(self, entry: Entry) -> None:
        """Forget an entry."""
        entry.dead = True
        del self.held[entry.key]

    def forget_above(self, lsn: int) -> int:
        """Forget the end of the line."""
        before = len(self.held)
        while self.line and self.line[-1].lsn > lsn:
            entry = self.line.pop()
            if not entry.dead:
                self.drop(entry)
        self.pass_end = min(self.pass_end, len(self.line))
        self.cursor = min(self.cursor, len(self.line))
        return before - len(self.held)

    def sweep(self, now_ms: int, entries_slice: int) -> tuple[int, bool]:
        """(Expired entries among the next of a pass, pass done); dead entries in front of all others are skipped."""
        if self.cursor >= self.pass_end:
            self.cursor, self.pass_end = 0, len(self.line)
        oldest = next((place for place, entry in enumerate(self.line) if not entry.dead), len(self.line))
        self.cursor = max(self.cursor, min(oldest, self.pass_end))
        removed = 0
        for entry in self.line[self.cursor : min(self.cursor + entries_slice, self.pass_end)]:
            if not entry.dead and entry.expires_ms <= now_ms:
                self.drop(entry)
                removed += 1
            self.cursor += 1
        return removed, self.cursor >= self.pass_end

    def line_above(self, above_lsn: int = 0) -> list[tuple[tuple[Key, int, int], bool]]:
        """(Stored entry, is dead), oldest first."""
        above = [entry for entry in self.line if entry.lsn > above_lsn]
        return [((entry.key, entry.lsn, entry.expires_ms), entry.dead) for entry in above]
