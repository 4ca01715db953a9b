"""Faults planted on purpose, one at a time, to see whether the suite notices: a score of green runs means nothing else.

    python tests/torture/mutants.py [NAME …]        all of them, or those whose names begin so
    python tests/torture/mutants.py 1/2             every second of them, from the first on
    python tests/torture/mutants.py --check         whether each can still be planted

Each is a small change of the source in a copy of this tree. The tests named beside it run on that copy; the first one
that fails has caught it. Printed as a table: which were caught, by what, after how many seconds. Needs compiled modules
in ``src`` (``make setup``).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

TOP: Final = Path(__file__).parents[2]
TIMEOUT_S: Final = 600
COPIED: Final = ("src", "tests", "pyproject.toml", "docs", "proto", "README.md")
JOURNAL: Final = ("tests/journal/test_journal.py",)
RECOVERY: Final = ("tests/journal/test_recovery.py", "tests/journal/test_segment.py")
CALLS: Final = ("tests/torture/test_io_calls.py",)
CUTS: Final = ("tests/torture/test_attacks.py", "-k", "power")
KILLS: Final = ("tests/torture/test_attacks.py", "-k", "kills")
FLIPS: Final = ("tests/torture/test_flips.py",)
PACKETS: Final = ("tests/ingest/test_engine_packets.py",)
EXPIRY: Final = ("tests/ingest/test_series_expiry.py",)
CLOSELY: Final = {"NISSA_TORTURE_STRIDE": "3"}  # calls that are hit: as many as it takes to meet a small gap


class Mutant(NamedTuple):
    """One fault. path: below src/nissa. old, new: text that stands there once, and what stands there instead."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
    environment: Mapping[str, str] = {}


MUTANTS: Final = (
    Mutant(
        "no fdatasync before the acknowledgement", "journal/journal.py", "os.fdatasync(segment.fd)", "pass", JOURNAL
    ),
    Mutant(
        "the same, by power cuts at calls of the whole engine",
        "journal/journal.py",
        "os.fdatasync(segment.fd)",
        "pass",
        (*CALLS, "-k", "seed"),
        CLOSELY,
    ),
    Mutant("the same, by power cuts of a loop device", "journal/journal.py", "os.fdatasync(segment.fd)", "pass", CUTS),
    Mutant(
        "acknowledged before it is durable",
        "ingest/commit.py",
        "        try:\n            self._journal.commit()",
        "        self._complete_all(group)\n        try:\n            self._journal.commit()",
        ("tests/ingest/test_commit.py",),
    ),
    Mutant(
        "no directory sync behind a new segment",
        "journal/journal.py",
        "            if syncs:\n                self._sync_directory()",
        "            if syncs:\n                pass",
        JOURNAL,
    ),
    Mutant(
        "frames in front of a cut taken for given up",
        "journal/journal.py",
        "        after_lsn = max(self._durable_lsn, self._synced_lsn)\n",
        "        after_lsn = self._durable_lsn\n",
        JOURNAL,
    ),
    Mutant(
        "an error of fdatasync ignored",
        "journal/journal.py",
        "            os.fdatasync(segment.fd)",
        "            with contextlib.suppress(OSError):\n                os.fdatasync(segment.fd)",
        JOURNAL,
    ),
    Mutant(
        "a failed file written and synced again",
        "journal/journal.py",
        "            except OSError as error:\n                self._abandon()",
        "            except OSError as error:",
        JOURNAL,
    ),
    Mutant(
        "a short write taken for a whole one",
        "journal/aligned_writer.py",
        "        offset += written\n        data = data[written:]",
        "        return",
        ("tests/journal/test_aligned_writer.py", *JOURNAL),
    ),
    Mutant(
        "the same, by cutting every write short",
        "journal/aligned_writer.py",
        "        offset += written\n        data = data[written:]",
        "        return",
        (*CALLS, "-k", "sector"),
        CLOSELY,
    ),
    Mutant(
        "a frame's checksum not looked at",
        "journal/segment.py",
        "if len(body) != length or extend(value(head[:_CHECKED_BYTES]), body) != crc:",
        "if len(body) != length:",
        FLIPS,
    ),
    Mutant(
        "a frame's checksum over its header only",
        "journal/segment.py",
        "    crc = extend(crc, body)\n",
        "",
        FLIPS,
    ),
    Mutant(
        "a frame of another segment taken",
        "journal/segment.py",
        "if uuid is not None and fields[2] != uuid:",
        "if False:",
        RECOVERY,
    ),
    Mutant(
        "a frame in the wrong place taken",
        "journal/recovery.py",
        "    return frame.lsn == expected and (prev_crc is None or frame.prev_crc == prev_crc)",
        "    return frame.lsn >= expected",
        RECOVERY,
    ),
    Mutant(
        "frames written again counted twice",
        "journal/recovery.py",
        "            if frame.lsn > position:",
        "            if True:",
        (*RECOVERY, *JOURNAL),
    ),
    Mutant(
        "void frames of a failed segment come back",
        "journal/recovery.py",
        "        limit_lsn, again_lsn = min(limit_lsn, segment.header.after_lsn), segment.header.first_lsn",
        "        again_lsn = segment.header.first_lsn",
        JOURNAL,
    ),
    Mutant(
        "a torn tail taken for rot",
        "journal/recovery.py",
        "    witnessed = not segment.newest\n",
        "    witnessed = True\n",
        RECOVERY,
    ),
    Mutant(
        "reading ends at the first damage",
        "journal/recovery.py",
        "    resumed = _resume(file, segment, offset, expected)",
        "    resumed = None",
        RECOVERY,
    ),
    Mutant(
        "a number of the journal used twice",
        "journal/recovery.py",
        "segment.seen_lsn + 1, position + 1)",
        "position + 1)",
        (*RECOVERY, *JOURNAL),
    ),
    Mutant(
        "the journal trimmed too far",
        "journal/journal.py",
        "                if summary.last_lsn > lsn:",
        "                if summary.last_lsn > lsn + 5:",
        JOURNAL,
    ),
    Mutant(
        "the journal trimmed before the checkpoint is durable",
        "ingest/sealing.py",
        "                self._writer.write(frozen_head, ",
        "                self._journal.trim(frozen_head.lsn)\n                self._writer.write(frozen_head, ",
        (*CALLS, "-k", "killed"),
        CLOSELY,
    ),
    Mutant(
        "a block not synced before the catalogue names it",
        "files/checked_file.py",
        "        os.fsync(self._fd)\n        self._close()\n",
        "        self._close()\n",
        CUTS,
    ),
    Mutant(
        "the catalogue's commits stay in SQLite's log",
        "catalogue/sqlite_file.py",
        'db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()',
        "pass",
        ("tests/catalogue/test_catalogue.py",),
    ),
    Mutant(
        "a seal that does not know what the one before found",
        "ingest/sealing.py",
        "            self._complete(settling)\n",
        "            pass\n",
        ("tests/ingest/test_sealing.py",),
    ),
    Mutant(
        "the catalogue not synced",
        "catalogue/sqlite_file.py",
        'db.execute("PRAGMA synchronous = FULL")',
        'db.execute("PRAGMA synchronous = OFF")',
        CUTS,
    ),
    Mutant(
        "old blocks deleted before the catalogue names the merged one",
        "store/block_set.py",
        "            self._catalogue.replace_blocks(old, new)\n",
        "            self.replace(old, new)\n            self.delete_unheld()\n"
        "            self._catalogue.replace_blocks(old, new)\n",
        (*CALLS, "-k", "killed"),
        CLOSELY,
    ),
    Mutant(
        "a page's checksum not looked at",
        "files/checked_file.py",
        "            if crc != expected:",
        "            if False:",
        FLIPS,
    ),
    Mutant(
        "counters not part of the checkpoint",
        "catalogue/catalogue.py",
        "msgspec.json.encode(point.tallies).decode()",
        '"{}"',
        ("tests/ingest/test_accounting.py",),
    ),
    Mutant(
        "garbage that is none deleted at the start",
        "store/garbage.py",
        "if path not in named and path not in aside and path not in copies)",
        "if True)",
        ("tests/store/test_garbage.py",),
    ),
    Mutant(
        "two processes on one directory",
        "files/lock.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        ("tests/files/test_lock.py",),
    ),
    Mutant(
        "links followed in the journal",
        "journal/recovery.py",
        "if not entry.is_file(follow_symlinks=False):",
        "if not entry.is_file():",
        RECOVERY,
    ),
    Mutant(
        "what was refused becomes durable later",
        "journal/journal.py",
        "            self._pending = []\n            self._settled_bytes = self._appended_bytes\n",
        "            self._settled_bytes = self._appended_bytes\n",
        ("tests/ingest/test_commit.py", "tests/journal/test_journal.py", "tests/ingest/test_sealing.py"),
    ),
    Mutant(
        "given up in the journal, not in the head",
        "ingest/engine.py",
        "        self._pipeline.give_up(max(sealed_lsn, self._pipeline.head.visible_lsn))\n",
        "",
        ("tests/ingest/test_commit.py",),
    ),
    Mutant(
        "the declared size of a snappy body believed",
        "codec/decompress.py",
        "        if declared > self._bytes_max:",
        "        if False:",
        ("tests/codec/test_decompress.py",),
    ),
    Mutant(
        "the window of acceptance a millisecond too wide",
        "ingest/frame_decoder.py",
        "now_ms - past_ms, now_ms",
        "now_ms - past_ms - 1, now_ms",
        ("tests/ingest/test_pipeline.py",),
    ),
    Mutant(
        "a wall clock that jumps is believed at once",
        "maintenance/clock_guard.py",
        "        if left_ms > 0:",
        "        if False:",
        ("tests/maintenance/test_clock_guard.py",),
    ),
    Mutant(
        "late windows not written again",
        "ingest/ladder.py",
        "        if (yield from self._write_late(moment)):\n            return True\n",
        "",
        ("tests/ingest/test_ladder.py",),
    ),
    Mutant(
        "a span written before it is over",
        "ingest/ladder.py",
        "self._until_ms = moment.until_ms - self._grace_ms",
        "self._until_ms = moment.until_ms + HOUR_MS",
        ("tests/ingest/test_ladder.py",),
    ),
    Mutant(
        "late windows noted as seen before they are written",
        "ingest/ladder.py",
        "            self._commit(rows, added, (), decided)\n",
        "            self._commit(rows, [], (), decided)\n",
        ("tests/ingest/test_ladder.py",),
    ),
    Mutant(
        "the ladder's progress in a transaction of its own",
        "catalogue/catalogue.py",
        'insert_rows(db, "block", added)',
        "pass",
        ("tests/catalogue/test_catalogue.py", "tests/ingest/test_ladder.py"),
    ),
    Mutant(
        "samples dropped before the ladder is written",
        "maintenance/retention.py",
        "    if end_ms > horizon.before_ms or (",
        "    if (",
        ("tests/maintenance/test_retention.py",),
    ),
    Mutant(
        "rows dropped at the millisecond that is kept",
        "maintenance/retention.py",
        "    if newest_ms > now_ms - horizon.retention_ms:",
        "    if newest_ms > now_ms - horizon.retention_ms + 1:",
        ("tests/maintenance/test_retention.py",),
    ),
    Mutant(
        "pins not looked at",
        "maintenance/retention.py",
        "    return not any(pin.start_ms < end_ms and block.min_ms < pin.end_ms for pin in pins)",
        "    return True",
        ("tests/maintenance/test_retention.py",),
    ),
    Mutant(
        "retention by a clock that is in doubt",
        "maintenance/retainer.py",
        "        if self.clock_jump is not None:\n            self._report_clock_jump",
        "        if False:\n            self._report_clock_jump",
        ("tests/maintenance/test_retainer.py",),
    ),
    Mutant(
        "the same, on a running daemon",
        "maintenance/retainer.py",
        "        if self.clock_jump is not None:\n            self._report_clock_jump",
        "        if False:\n            self._report_clock_jump",
        ("tests/torture/test_clock.py",),
    ),
    Mutant(
        "a pin set meanwhile does not stop a drop",
        "maintenance/retainer.py",
        "            if not drop_unpinned(self._catalogue, expired, pins):\n                return",
        "            drop_unpinned(self._catalogue, expired, pins)\n            if False:\n                return",
        ("tests/maintenance/test_retainer.py", "tests/store/test_pins.py", "tests/journeys/test_maintenance.py"),
    ),
    Mutant(
        "a damaged block served on",
        "store/block_set.py",
        "            self._change((block,), () if saved is None else (saved,), row)\n",
        "",
        ("tests/maintenance/test_scrubber.py",),
    ),
    Mutant(
        "damage believed at the first reading",
        "maintenance/scrubber.py",
        "        if file.path not in self._suspects and damage != MISSING:\n"
        "            self._suspects += (file.path,)\n            return",
        "        if False:\n            return",
        ("tests/maintenance/test_scrubber.py",),
    ),
    Mutant(
        "what is in quarantine not told to readers",
        "store/block_set.py",
        "            self.quarantine += (row,)",
        "            pass",
        ("tests/maintenance/test_scrubber.py", "tests/journeys/test_maintenance.py"),
    ),
    Mutant(
        "the scrub compares lengths only",
        "maintenance/scrub.py",
        'return "" if crc == file.crc and at == size else',
        'return "" if at == size else',
        FLIPS,
    ),
    Mutant(
        "digests of the catalogue not looked at",
        "catalogue/catalogue.py",
        "    faults = list(digest_faults(db, tables, rows_max))",
        "    faults: list[str] = []",
        ("tests/catalogue/test_digests.py", "tests/catalogue/test_catalogue.py"),
    ),
    Mutant(
        "what a follower needs is deleted",
        "journal/journal.py",
        "        lsn = self._floor(lsn)\n",
        "",
        ("tests/journal/test_followers.py",),
    ),
    Mutant(
        "what is given up for a follower is not counted",
        "journal/follower.py",
        "            self.lost_frames += max(lsn + 1 - self._next_lsn, 0)\n",
        "",
        ("tests/journal/test_followers.py",),
    ),
    Mutant(
        "a row that goes is not taken out of the digest",
        "catalogue/digests.py",
        "        change[1] += sign * _crc_of(row)",
        "        change[1] += max(sign, 0) * _crc_of(row)",
        ("tests/catalogue/test_digests.py", "tests/catalogue/test_state.py"),
    ),
    Mutant(
        "the checksum of the settings not looked at",
        "ingest/settings.py",
        "        if crc != noted.crc:",
        "        if False:",
        ("tests/ingest/test_settings.py",),
    ),
    Mutant(
        "what a lost frame brought is known still",
        "ingest/pipeline.py",
        "        self.remembered.forget_above(kept_lsn)\n",
        "",
        PACKETS,
    ),
    Mutant(
        "the same, by failing calls",
        "ingest/pipeline.py",
        "        self.remembered.forget_above(kept_lsn)\n",
        "",
        (*CALLS, "-k", "while"),
        CLOSELY,
    ),
    Mutant(
        "what a lost frame brought is kept by the seal under way",
        "ingest/frozen_head.py",
        "        self.remembered.forget_above(self.head.visible_lsn)\n",
        "",
        PACKETS,
    ),
    Mutant(
        "packets of before a start not known",
        "ingest/recover.py",
        "    pipeline.remembered.restore(dedup_keys.entries, dedup_keys.frame_ms)\n",
        "",
        KILLS,
    ),
    Mutant(
        "packets known from before a start expire at once",
        "dedup/maps.py",
        "kept.lsns, kept.stored_ms + ttl_ms, now_ms)",
        "kept.lsns, kept.stored_ms, now_ms)",
        KILLS,
    ),
    Mutant(
        "what is known of packets in a transaction of its own",
        "catalogue/catalogue.py",
        "            save_dedup_keys(db, seal.dedup_keys)\n",
        '        with self.transaction("meta") as db:\n            save_dedup_keys(db, seal.dedup_keys)\n',
        (*CALLS, "-k", "killed"),
        CLOSELY,
    ),
    Mutant(
        "a packet's event taken again",
        "ingest/pipeline.py",
        "    repeated = marked if decoded.kept is None else marked[decoded.kept]\n",
        "    repeated = np.zeros(0 if decoded.events is None else len(decoded.events), np.bool_)\n",
        KILLS,
    ),
    Mutant(
        "repetitions counted as stored",
        "ingest/pipeline.py",
        "        self._count(counters, fresh)\n",
        "        self._count(counters, decoded)\n",
        KILLS,
    ),
    Mutant(
        "a packet forgotten a millisecond early",
        "dedup/maps.py",
        "return dedup_packets(batch, events, metrics, alerts, lsn, now_ms, *self._ttl_ms)",
        "return dedup_packets(batch, events, metrics, alerts, lsn, now_ms, *(one - 1 for one in self._ttl_ms))",
        ("tests/dedup/test_ttl.py", "tests/dedup/test_dedup_keys.py", *PACKETS),
    ),
    Mutant(
        "a log that fails ends who tells",
        "service/lossy_log.py",
        "        with suppress(OSError, ValueError):",
        "        with suppress(KeyError):",
        ("tests/service/test_lossy_log.py",),
    ),
    Mutant(
        "no descriptors kept for files",
        "service/descriptors.py",
        "    return hard - min(RESERVE, hard // 2)",
        "    return hard",
        ("tests/torture/test_limits.py", "-k", "leave"),
    ),
    Mutant(
        "series with rows in memory only are dropped",
        "ingest/series_expiry.py",
        "            for head in heads:",
        "            for head in heads[:0]:",
        EXPIRY,
    ),
    Mutant(
        "series are dropped though something was sealed since the blocks were looked through",
        "ingest/series_expiry.py",
        "if parts.writer.checkpoint_lsn != proposal.lsn:",
        "if parts.writer.checkpoint_lsn < proposal.lsn:",
        EXPIRY,
    ),
    Mutant(
        "series of a head that was sealed behind the look at the blocks are dropped",
        "ingest/series_expiry.py",
        "proposal = Proposal(index, lsn, bits, series)",
        "proposal = Proposal(index, checkpoint.lsn, bits, series)",
        EXPIRY,
    ),
    Mutant(
        "a tombstone is forgotten while a head is between the catalogue and the list of blocks",
        "ingest/merges.py",
        "        with self._blocks.change:  # no head is between the catalogue, where",
        "        with self._blocks.lock:  # no head is between the catalogue, where",
        ("tests/ingest/test_merges.py",),
    ),
    Mutant(
        "blocks are merged with those that the ladder has not seen",
        "ingest/merges.py",
        "or one.last_lsn <= lsn",
        "or one.last_lsn != lsn + 1",
        ("tests/ingest/test_merges.py",),
    ),
    Mutant(
        "series that the checkpoint lists as active are dropped",
        "ingest/series_expiry.py",
        "note_mentioned(bits, unpack_minutes(checkpoint.seen_minutes)[0][0])",
        "note_mentioned(bits, unpack_minutes(checkpoint.seen_minutes)[0][0][:0])",
        EXPIRY,
    ),
    Mutant(
        "series of damaged files are dropped",
        "ingest/series_expiry.py",
        "for first, last in self._held_spans():",
        "for first, last in list(self._held_spans())[:0]:",
        EXPIRY,
    ),
    Mutant(
        "series of files that snapshots hold are dropped",
        "ingest/series_expiry.py",
        "self._parts.writer.block_set.on_disk",
        "self._parts.writer.block_set.blocks",
        EXPIRY,
    ),
    Mutant(
        "a series that was dropped keeps its row",
        "store/series_merge.py",
        "return take_labels(labels, ~gone) if gone.any() else labels",
        "return labels",
        EXPIRY,
    ),
    Mutant(
        "the smaller index lacks what was not sealed",
        "ingest/series_expiry.py",
        "carry_over(fresh.index, index)",
        "carry_over(fresh.index, fresh.index)",
        EXPIRY,
    ),
)


def changed(mutant: Mutant, source: str) -> str:
    """The source with the fault. Raises: ValueError where the text does not stand there exactly once."""
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its text stands {source.count(mutant.old)} times in {mutant.path}")
    return source.replace(mutant.old, mutant.new)


def check() -> int:
    """Tell which cannot be planted, because the source has changed since; 1 where there are any."""
    faults = []
    for mutant in MUTANTS:
        try:
            compile(changed(mutant, (TOP / "src" / "nissa" / mutant.path).read_text()), mutant.path, "exec")
        except (ValueError, SyntaxError) as error:
            faults.append(f"{mutant.name}: {error}")
    print("\n".join(faults) or f"all {len(MUTANTS)} can be planted")
    return int(bool(faults))


def caught_by(mutant: Mutant, place: Path) -> tuple[str, float]:
    """The first test that failed on the mutant, or an empty string; and the seconds until it had."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--basetemp", str(place / "work")]
    small = {name: value for name, value in os.environ.items() if not name.startswith("NISSA_TORTURE")}
    environment = {**small, "PYTHONPATH": str(place / "src"), **mutant.environment}
    began_s = time.monotonic()
    try:
        done = subprocess.run(
            [*command, *mutant.tests], cwd=place, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return "", time.monotonic() - began_s
    seconds = time.monotonic() - began_s
    failed = re.search(r"^(?:FAILED|ERROR) \S+?::(\w+(?:\[\S+\])?)", done.stdout, re.MULTILINE)
    if failed:
        return failed.group(1), seconds
    if done.returncode not in (0, 5):
        raise RuntimeError(f"{mutant.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return "", seconds


def planted(mutant: Mutant) -> tuple[str, float]:
    """``caught_by`` on a copy with the fault."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        place = Path(temporary)
        for name in COPIED:
            source = TOP / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, place / name)
        path = place / "src" / "nissa" / mutant.path
        path.write_text(changed(mutant, path.read_text()))
        return caught_by(mutant, place)


def main(names: list[str]) -> int:
    """Plant, run, print; 1 where one was missed."""
    share = re.fullmatch(r"(\d+)/(\d+)", names[0]) if names else None
    if share:
        chosen = list(MUTANTS[int(share[1]) - 1 :: int(share[2])])
    else:
        chosen = [one for one in MUTANTS if not names or any(one.name.startswith(name) for name in names)]
    caught = 0
    print("| planted fault | in | caught by | s |\n|---|---|---|---|", flush=True)
    for mutant in chosen:
        try:
            test, seconds = planted(mutant)
        except (ValueError, RuntimeError) as error:  # one that cannot be planted or run keeps no other from it
            print(f"| {mutant.name} | `{mutant.path}` | **not run** | - |\n{error}", flush=True)
            continue
        caught += bool(test)
        shown = f"`{test}`" if test else "**missed**"
        print(f"| {mutant.name} | `{mutant.path}` | {shown} | {seconds:.0f} |", flush=True)
    print(f"\ncaught {caught} of {len(chosen)}")
    return int(caught < len(chosen))


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1:] == ["--check"] else main(sys.argv[1:]))
