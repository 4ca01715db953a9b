"""Deletion in a daemon, over HTTP and by command: after a kill deleted rows are gone, later rows are there."""

import contextlib
import time
from pathlib import Path
from urllib.parse import urlencode

from journeys.rig import BUSY, Ledger, connect, nissa_command, post, running


def test_what_was_deleted_is_gone_behind_a_kill(tmp_path: Path) -> None:
    """Sealed, merged and fresh rows are deleted and stay deleted; the same rows, sent again, are new data."""
    directory, ledger = tmp_path / "data", Ledger(7)
    doomed, ends_ms = '{job="ledger",index="3"}', ledger.time_ms(25)

    def is_doomed(labels: tuple[tuple[str, str], ...], ts_ms: int) -> bool:
        return ("index", "3") in labels and ts_ms <= ends_ms

    with running(directory, environment=BUSY) as daemon:
        with contextlib.closing(connect(daemon.ingest_url)) as link:
            for turn in range(40):
                claim = ledger.claim()
                assert post(link, ledger.body(claim)) in (200, 204)
                ledger.oblige(claim)
                if turn % 8 == 7:
                    time.sleep(0.5)  # a seal, now and then
            form = urlencode({"match[]": doomed, "end": ends_ms / 1_000})
            assert daemon.request("POST", f"/api/v1/admin/delete_series?{form}") == (204, b"")
            expected = {
                (labels, ts_ms)
                for claim in ledger.acknowledged
                for labels, ts_ms, _ in ledger.samples(claim)
                if not is_doomed(labels, ts_ms)
            }
            assert rows_of(daemon.export()) == expected
            again = ledger.body(20)  # as it was, the other series with it
            assert post(link, again) in (200, 204)
            expected |= {(labels, ts_ms) for labels, ts_ms, _ in ledger.samples(20)}
        daemon.kill()
    with running(directory, environment=BUSY) as daemon:
        assert rows_of(daemon.export()) == expected
        assert not any(daemon.unaccounted().values())
        nissa_command("delete", "--match", '{job="ledger",index="4"}', "--api", daemon.api_url)
        expected = {(labels, ts_ms) for labels, ts_ms in expected if ("index", "4") not in labels}
        assert rows_of(daemon.export()) == expected
        assert daemon.stop() == 0
    nissa_command("delete", directory, "--match", '{job="ledger",index="5"}')
    expected = {(labels, ts_ms) for labels, ts_ms in expected if ("index", "5") not in labels}
    nissa_command("verify", "--tiers", directory)
    with running(directory, environment=BUSY) as daemon:
        assert rows_of(daemon.export()) == expected
        assert not any(daemon.unaccounted().values())


def rows_of(export: dict[tuple[tuple[str, str], ...], dict[int, int]]) -> set[tuple[tuple[tuple[str, str], ...], int]]:
    """Series and time of every row."""
    return {(labels, ts_ms) for labels, series in export.items() for ts_ms in series}
