"""Kills and power cuts while an engine recovers, takes, seals and merges; a ledger outside decides what must be there.

A-01 and A-04: SIGKILL. A-09: SIGSEGV. D0-01: power cut on a loop-mounted ext4. D0-02: part of the dirty pages was
written back before. D0-03: the cut falls into the recovery from the one before.
"""

import os
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from torture.amount import amount, told
from torture.attack import Attack, End, Score, kill
from torture.cut_disk import LOG_FLUSH, NO_LOG_FLUSH, CutDisk, why_not
from torture.zygote import Zygote

pytestmark = pytest.mark.slow

ENDS_A_ROUND = 12  # then a directory of its own, or comparing it would take longer than attacking it
RECOVERY_SHARE = 0.3


def first_seed() -> int:
    """The seed of NISSA_SEED, or a random one; it is printed."""
    seed = int(os.environ.get("NISSA_SEED", str(random.randrange(1 << 30))))
    print(f"seed {seed}")
    return seed


def crash(process: Any) -> None:
    """SIGSEGV, as of compiled code that went wrong: no handler, no core."""
    process.send_signal(signal.SIGSEGV)
    process.wait()


@pytest.mark.timeout(0)
def test_kills_anywhere_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """An engine killed while it takes, seals, merges or recovers is found again with all it acknowledged."""
    ended_again_and_again(
        tmp_path, kill, "A-01, A-04 (engine)", amount("NISSA_TORTURE_ENGINE_KILLS", quick=8, full=2_000)
    )


@pytest.mark.timeout(0)
def test_crashes_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """The same where a signal ends it that compiled code brings upon itself."""
    ended_again_and_again(tmp_path, crash, "A-09", amount("NISSA_TORTURE_CRASHES", quick=4, full=200))


def ended_again_and_again(tmp_path: Path, end: End, row: str, kills: int) -> None:
    """Directory after directory, each ended some times."""
    score, seed = Score(), first_seed()
    with Zygote() as zygote:
        while score.ends < kills:
            draw = random.Random(seed)
            outside = tmp_path / str(seed)
            outside.mkdir()
            attack = Attack(zygote, outside / "data", outside, seed, score)
            for _ in range(min(ENDS_A_ROUND, kills - score.ends)):
                attack.once(end, in_recovery=draw.random() < RECOVERY_SHARE)
            attack.once(end, in_recovery=False)
            attack.look()
            shutil.rmtree(outside)
            seed += 1
            told(f"{row} so far", str(score))
    assert score.files
    told(row, str(score))


@pytest.mark.timeout(0)
def test_power_cuts_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """A disk that loses all that was not synced gives back everything acknowledged, whatever was under way."""
    (tmp_path / "try").mkdir()
    reason = why_not(tmp_path / "try")
    if reason:
        pytest.skip(f"D0-01, D0-02, D0-03 are not shown: {reason}")
    score, seed = Score(), first_seed()
    cuts = amount("NISSA_TORTURE_CUTS", quick=12, full=3_000)
    with Zygote() as zygote:
        while score.ends < cuts:
            outside = tmp_path / str(seed)
            outside.mkdir()
            cut_round(zygote, outside, seed, score, min(ENDS_A_ROUND, cuts - score.ends))
            seed += 1
            told("D0-01, D0-02, D0-03 so far", str(score))
    assert score.files
    told("D0-01, D0-02, D0-03", str(score))


def cut_round(zygote: Zygote, outside: Path, seed: int, score: Score, cuts: int) -> None:
    """A new disk, cut again and again."""
    draw = random.Random(seed)
    disk = CutDisk(outside, draw)

    def cut(process: object) -> None:
        if draw.random() < 0.3:
            disk.write_back_some()
        disk.cut(NO_LOG_FLUSH if draw.random() < 0.8 else LOG_FLUSH)
        kill(process)
        disk.restart()

    attack = Attack(zygote, disk.directory / "data", outside, seed, score)
    try:
        for _ in range(cuts):
            attack.once(cut, in_recovery=draw.random() < RECOVERY_SHARE)
        attack.once(kill, in_recovery=False)
        attack.look()
    finally:
        disk.unmount()
    (outside / "disk.img").unlink()
