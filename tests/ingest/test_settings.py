"""Settings in force: noted before anything is taken under them, changed only when nothing waits for a replay."""

import random
import shutil
from pathlib import Path

import pytest

from nissa.config.tree import Config
from nissa.files.lock import LOCK_NAME
from nissa.ingest.recover import open_directory
from nissa.ingest.settings import ANY_AGE_MS, SETTINGS, read_settings, settings_of, under_settings, write_settings
from nissa.model.errors import Damaged, Unavailable
from nissa.model.receipt import Receipt
from nissa.model.units import HOUR_MS
from oracle.engine import NOW_MS, ONE, BadDisk, Rig, config_of
from oracle.power_cut import PowerCut, PowerCutDisk

GOLDENS = Path(__file__).parents[1] / "goldens"
NARROW = {"acceptance": {"past_ms": HOUR_MS}, "series": {"active_max": 3}, "ingest": {"frame_series_max": 2}}


def test_written_settings_are_read(tmp_path: Path) -> None:
    """Without noted settings None is read; afterwards the last ones noted."""
    assert read_settings(tmp_path) is None
    for config in (Config(), config_of(**NARROW)):
        write_settings(tmp_path, settings_of(config))
        assert read_settings(tmp_path) == settings_of(config)


def test_no_bit_of_the_settings_is_flipped_unseen(tmp_path: Path) -> None:
    """Any flipped bit is Damaged and names the file."""
    write_settings(tmp_path, settings_of(config_of(**NARROW)))
    sound = (tmp_path / SETTINGS).read_bytes()
    for bit in range(0, 8 * len(sound), 17):
        data = bytearray(sound)
        data[bit // 8] ^= 1 << bit % 8
        (tmp_path / SETTINGS).write_bytes(data)
        with pytest.raises(Damaged, match=SETTINGS):
            read_settings(tmp_path)


def test_settings_of_older_directories_are_read(tmp_path: Path) -> None:
    """Settings without a checksum are taken as they are; settings written next have one."""
    shutil.copy(GOLDENS / "directory-2" / SETTINGS, tmp_path)
    settings = read_settings(tmp_path)
    nothing_remembered = {"event_ttl_ms": 0, "metric_ttl_ms": 0, "alert_ttl_ms": 0}
    every_time = {"event_past_ms": ANY_AGE_MS, "event_future_ms": ANY_AGE_MS, "import_past_ms": 0}
    assert settings == settings_of(config_of(ttl=nothing_remembered, acceptance=every_time))
    assert settings is not None
    write_settings(tmp_path, settings)
    assert read_settings(tmp_path) == settings
    assert b'"crc":' in (tmp_path / SETTINGS).read_bytes()


def test_what_replays_depend_on_is_taken_over(tmp_path: Path) -> None:
    """Under noted settings the rest of a configuration stays as it is; without any it is the configuration itself."""
    config, noted = config_of(), settings_of(config_of(**NARROW))
    assert under_settings(config, None) is config
    mixed = under_settings(config, noted)
    assert settings_of(mixed) == noted
    assert mixed.storage == config.storage
    assert mixed.ingest.queue_bytes_max == config.ingest.queue_bytes_max


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"series": 5}', b"\xff\xfe", b'{"a\xff": 1}'])
def test_damaged_settings_are_told(rig: Rig, content: bytes) -> None:
    """Unreadable settings are damage of the file: to guess them would be to replay frames under other rules."""
    rig.engine.close()
    (rig.path / SETTINGS).write_bytes(content)
    with pytest.raises(Damaged, match=SETTINGS):
        rig._open()
    (rig.path / SETTINGS).unlink()
    rig.engine = rig._open()


def test_frames_are_replayed_under_the_settings_they_were_taken_under(rig: Rig) -> None:
    """Narrower settings take no acknowledged samples away, and hold for later frames."""
    rig.keep([(f"m{turn}", NOW_MS - 5 * HOUR_MS, ONE) for turn in range(6)])
    rig.config = config_of(**NARROW)
    rig.crash()
    rig.check()
    late = rig.send([("m0", NOW_MS - 5 * HOUR_MS, ONE)])
    assert isinstance(late, Receipt)
    assert late.refused == {"too_old": 1}
    limited = rig.send([("new", NOW_MS, ONE)])
    assert isinstance(limited, Receipt)
    assert limited.refused == {"series_limit": 1}
    rig.refused.update(too_old=1, series_limit=1)
    rig.config = config_of()
    rig.crash()
    rig.check()
    rig.keep([("new", NOW_MS, ONE), ("m0", NOW_MS - 5 * HOUR_MS + 1, ONE)])
    rig.crash()
    rig.check()


@pytest.mark.long
def test_a_change_cut_off_anywhere_is_made_again(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever power is cut while settings change, the directory opens under the new or the old ones, nothing lost."""
    rig.keep([(f"m{turn}", NOW_MS - 5 * HOUR_MS, ONE) for turn in range(6)])
    rig.engine.close()
    left, wanted = rig.path, (config_of(**NARROW), rig.config)
    cuts = 0
    for cut_at in range(1, 200):
        rng = random.Random(cut_at)
        rig.path = tmp_path / f"cut{cut_at}"
        shutil.copytree(left, rig.path)
        with monkeypatch.context() as patch:
            disk = PowerCutDisk(patch, rng)
            disk.cut_at = cut_at
            try:
                open_directory(rig.path, wanted[0], lambda: NOW_MS).close()
            except PowerCut:
                cuts += 1
                disk.cut_at = None
                disk.forget()
                (rig.path / LOCK_NAME).unlink(missing_ok=True)  # whoever held it is gone
        rig.config = wanted[cut_at % 2]
        rig.engine = rig._open()
        rig.check()
        assert read_settings(rig.path) == settings_of(rig.config)
        rig.engine.close()
        shutil.rmtree(rig.path)
        if cuts < cut_at:
            break
    assert 10 < cuts < 199
    rig.path = left


def test_a_disk_that_refuses_the_change(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the change cannot be written the directory stays closed and as it was, and its lock is given back."""
    rig.keep([("m", NOW_MS - 5 * HOUR_MS, ONE)])
    rig.engine.close()
    old, rig.config = rig.config, config_of(**NARROW)
    disk = BadDisk(monkeypatch, "fsync")
    disk.failing = True
    for _ in range(2):
        with pytest.raises(Unavailable, match="settings cannot be changed"):
            rig._open()
    disk.failing = False
    assert read_settings(rig.path) == settings_of(old)
    rig.engine = rig._open()
    rig.check()
    assert read_settings(rig.path) == settings_of(rig.config)


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    """The file has the mode 0640, also where one with wider rights lay in its way."""
    (tmp_path / "settings.new").write_text("")
    (tmp_path / "settings.new").chmod(0o666)
    write_settings(tmp_path, settings_of(Config()))
    assert (tmp_path / "settings.json").stat().st_mode & 0o777 == 0o640
