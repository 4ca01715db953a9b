"""Each fault of an installation is found, and its remedy names settings and commands that exist."""

import re
from pathlib import Path
from typing import Any

import pytest

from nissa.cli import main
from nissa.cli.doctor_checks import COUNTS, REMEDIES, advise
from nissa.cli.doctor_facts import DirectoryFacts, Installation, MemoryFacts, ProcessFacts, memory_of_the_machine
from nissa.config.check import written_leaves
from nissa.config.tree import Config

SOUND: dict[str, Any] = {
    "status": {"version": "1", "mode": "ready"},
    "accounting": {"total": {"received": 10, "refused": {}, "unaccounted": 0}},
    "settings": {
        "storage.durability": "fsync",
        "ingest.listen": "127.0.0.1:9470",
        "ingest.tokens_required": "false",
        "api.listen": "[::1]:9471",
        "api.access.enabled": "false",
        "api.remote_deletion": "false",
        "storage.head_samples_max": "100",
    },
}
TIERS = {
    "1m": {"interval_ms": 60_000, "lag_ms": 7_200_000, "lag_ms_normal": 3_600_000},
    "5m": {"interval_ms": 300_000, "lag_ms": 3_600_000, "lag_ms_normal": 3_600_000},  # waits for the end of its span
}
FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"status.mode": "stalled", "status.watchdog": {"stalled": ["sealer"]}}, "mode", "no progress: sealer"),
    ({"status.mode": "read_only", "status.reason": "no space"}, "mode", "read_only: no space"),
    ({"status.safeguards": {"mode": {"mode": "emergency", "reason": "cpu"}}}, "load", "emergency mode: cpu"),
    ({"status.reload": {"successful": 0, "error": "x"}}, "settings", "the last reload failed: x"),
    ({"status.reload": {"need_restart": ["api"]}}, "settings", "not in force: api"),
    ({"status.maintenance": {"clock_in_doubt": True, "clock": "jumped"}}, "clock", "nothing is dropped by age: jumped"),
    ({"status.maintenance": {"space_low": True}}, "disk", "space is low"),
    ({"status.sources": {"nats": {"state": "failing", "error": "e"}}}, "sources.nats", "failing: e"),
    ({"status.breakers": {"oona": {"state": "open", "last_error": "e"}}}, "breaker oona", "open: e"),
    ({"status.head": {"samples": 50, "sealing": 45}}, "sealing", "95 samples are not sealed"),
    ({"status.ladder": {"tiers": TIERS}}, "ladder", "tier 1m is 7200 s behind"),
    ({"status.recovery": {"lost_labels": ["series/x"]}}, "series", "labels are lost: series/x"),
    ({"status.series": {"limit": 10, "active": 9}}, "series", "9 of 10 are active"),
    ({"status.sinks": {"a": {"state": "failing", "error": "e"}}}, "sinks.a", "failing: e"),
    ({"status.sinks": {"a": {"state": "up", "dead_letters": 3}}}, "sinks.a", "3 dead letters"),
    ({"status.sinks": {"a": {"state": "up", "lost_frames": 3}}}, "sinks.a", "3 frames never reached it"),
    ({"status.sinks": {"a": {"state": "up", "backlog_age_ms": 900_000}}}, "sinks.a", "900 s behind"),
    ({"status.version": "2"}, "version", "the daemon is of version 2, this command of 1"),
    ({"accounting.total": {"received": 4, "refused": {"too_old": 1}}}, "refused too_old", "1 of 4 records (25.00%)"),
    ({"accounting.total": {"malformed": 2}}, "malformed", "2 frames could not be read"),
    ({"accounting.total": {"unaccounted": 2}}, "accounting", "2 records are unaccounted for"),
    ({"accounting.shed_frames": {"http": {"rate": {"low": 2, "high": 1}}}}, "safeguards", "3 frames were refused"),
    ({"settings.storage.durability": "os"}, "storage.durability", "a power loss may cost"),
    ({"settings.ingest.listen": ":9470"}, "ingest.listen", "everybody who reaches :9470 can send"),
    ({"settings.api.listen": "0.0.0.0:9471"}, "api.tls", "in clear text"),
    ({"settings.api.remote_deletion": "true"}, "api.remote_deletion", "may delete series"),
    ({"settings.api.allowed_hosts": '["*"]'}, "api.allowed_hosts", "any host name"),
]


def found(**changes: Any) -> Installation:
    """A sound installation with changes, by ``status.NAME`` and the like."""
    parts = {name: dict(part) for name, part in SOUND.items()}
    rest = {}
    for path, value in changes.items():
        part, _, name = path.partition(".")
        if name:
            parts[part][name] = value
        else:
            rest[part] = value
    return Installation("http://127.0.0.1:1", **parts, **rest)


def test_a_sound_installation_needs_nothing() -> None:
    """No findings."""
    assert advise(found(), "1") == []


@pytest.mark.parametrize(("changes", "subject", "finding"), FAULTS)
def test_each_fault_is_found(changes: dict[str, Any], subject: str, finding: str) -> None:
    """Once, with what is wrong."""
    (one,) = advise(found(**changes), "1")
    assert one.subject == subject
    assert finding in one.finding
    assert one.remedy


@pytest.mark.parametrize("row", COUNTS, ids=lambda row: row[1])
def test_each_count_is_found(row: tuple[str, str, str, str]) -> None:
    """With the last error, where there is one."""
    *rooms, name = row[1].split(".")
    facts: dict[str, Any] = {name: 7, "last_error": "no space"}
    for room in reversed(rooms):
        facts = {room: facts}
    (one,) = advise(found(**{f"status.{key}": value for key, value in facts.items()}), "1")
    assert (one.level, one.finding) == (row[0], f"7 {row[2]} (the last: no space)")


@pytest.mark.parametrize(
    ("facts", "finding"),
    [
        (DirectoryFacts("/d"), "/d is not there"),
        (DirectoryFacts("/d", True), "/d has no catalogue.sqlite"),
        (DirectoryFacts("/d", True, True, "nfs4"), "/d is on nfs4: locks"),
        (DirectoryFacts("/d", True, True, "tmpfs"), "/d is on tmpfs, in memory"),
        (DirectoryFacts("/d", True, True, "ext4", ("/d/x",)), "everybody may read /d/x"),
        (DirectoryFacts("/d", True, True, "ext4", (), 7), "belongs to user 7, the daemon runs as 8"),
    ],
)
def test_the_directory_is_judged(facts: DirectoryFacts, finding: str) -> None:
    """Checks the place of the data directory, its file system, and its permissions."""
    process = ProcessFacts(1, 8, 65_536)
    findings = [one.finding for one in advise(found(directory=facts, process=process), "1")]
    assert any(finding in one for one in findings), findings


def test_the_machine_is_judged() -> None:
    """The clock, and how many files the daemon may open; a daemon that does not answer is an error."""
    findings = advise(found(is_clock_synchronised=False, process=ProcessFacts(1, 1, 1024), error="refused"), "1")
    assert [(one.level, one.subject) for one in findings] == [
        ("error", "api"),
        ("warning", "clock"),
        ("warning", "limits"),
    ]


def test_needs_are_compared_with_the_machine() -> None:
    """Memory that limits allow, retention that no disk holds, and a disk that is nearly full."""
    queries, tiers = "settings.api.queries_memory_size_max", "settings.ladder.tiers"
    disk = DirectoryFacts("/d", False, disk_bytes=10 << 30, free_bytes=300 << 20)
    changes = {queries: "4GiB", tiers: '[{"interval":"1m","retention":"3650d"}]', "directory": disk}
    facts = found(**changes, process=ProcessFacts(1, 1, 65_536), memory=MemoryFacts(2 << 30))
    facts.status["series"] = {"active": 1000, "limit": 100_000}
    findings = {one.subject: one.finding for one in advise(facts, "1")}
    assert findings["memory"].endswith("the machine has 2.0 GiB")
    assert findings["retention"].endswith("the disk has 10.0 GiB")
    assert findings["disk"].startswith("300.0 MiB are free; ingestion stops at 256.0 MiB")


def test_limits_and_rights_of_files_are_judged() -> None:
    """The size of files that the daemon may write, and secrets that everybody may read."""
    process = ProcessFacts(1, 1, 65_536, 1 << 20)
    advice = advise(found(process=process, readable_secrets={"database.password_file": "/etc/pw"}), "1")
    assert [(one.subject, one.finding) for one in advice] == [
        ("limits", "the daemon may write 1.0 MiB to a file"),
        ("database.password_file", "everybody may read /etc/pw"),
    ]


def test_swap_is_judged() -> None:
    """Memory of the daemon in swap, and waits for memory; not a few idle pages, nor waits without swap."""
    swapping = MemoryFacts(4 << 30, 2 << 30, 7.5)
    advice = advise(found(process=ProcessFacts(1, 1, 65_536, None, 64 << 20), memory=swapping), "1")
    assert [(one.subject, one.finding) for one in advice] == [
        ("swap", "64.0 MiB of the daemon are in swap; commits and queries wait for the disk"),
        ("swap", "the machine swaps: processes waited 8 % of the last 5 minutes for memory"),
    ]
    idle = ProcessFacts(1, 1, 65_536, None, 1 << 20)
    for memory in (MemoryFacts(0, 2 << 30, 0.5), MemoryFacts(0, 2 << 30, None), MemoryFacts(0, 0, 50.0)):
        assert advise(found(process=idle, memory=memory), "1") == []


def test_memory_is_read_from_the_kernel(tmp_path: Path) -> None:
    """Swap in use, and waits, where the kernel counts them."""
    assert memory_of_the_machine(tmp_path).waits_percent is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nSwapTotal:  2048 kB\nSwapFree:   1024 kB\nHugePages_Total: 0\n")
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "memory").write_text(
        "some avg10=0.00 avg60=1.00 avg300=2.50 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.10 total=1\n"
    )
    found = memory_of_the_machine(tmp_path)
    assert (found.swap_bytes, found.waits_percent) == (1 << 20, 2.5)
    assert found.bytes == memory_of_the_machine().bytes


def test_remedies_name_what_exists() -> None:
    """Settings of docs/config.md and commands of nissa."""
    settings = set(written_leaves(Config()))
    advice = [one for changes, _, _ in FAULTS for one in advise(found(**changes), "1")]
    texts = [one.remedy for one in advice] + [row[3] for row in COUNTS] + list(REMEDIES.values())
    sections = {name.partition(".")[0] for name in settings} - {"sinks", "sources"}
    named = {name for text in texts for name in re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+\b", text)}
    unknown = [name for name in named if name.partition(".")[0] in sections and name not in settings]
    assert [name for name in unknown if not name.endswith((".md", "series.top_offenders"))] == []
    commands = {command.name for command in main.app.registered_commands} | {
        group.name for group in main.app.registered_groups
    }
    assert {word for text in texts for word in re.findall(r"\bnissa ([a-z-]+)", text)} <= commands
