"""nissa verify: sound directories pass, damage is named with its file."""

from pathlib import Path

from cli.conftest import body
from typer.testing import CliRunner

from nissa.catalogue.catalogue import Catalogue
from nissa.catalogue.policies import note_policies
from nissa.cli.main import app
from nissa.config.load import load_config
from nissa.ingest.engine import Engine
from nissa.model.frame import Codec
from nissa.model.ladder import DEFAULT_TIERS, Policy
from nissa.model.units import DAY_MS, HOUR_MS
from oracle.engine import wait_until

NOW_MS = 1_732_190_000_000

RUNNER = CliRunner()


def test_a_sound_directory_is_ok(directory: Path) -> None:
    """The exit code is 0, and the output counts what was checked."""
    result = RUNNER.invoke(app, ["verify", str(directory)])
    assert result.exit_code == 0, result.stdout
    assert result.stdout.startswith("ok: ")


def test_one_flipped_bit_in_a_block_is_found(directory: Path) -> None:
    """Exit code 1 and the block's name."""
    block = next((directory / "blocks").glob("raw-*.parquet"))
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 1
    block.write_bytes(data)
    result = RUNNER.invoke(app, ["verify", str(directory)])
    assert result.exit_code == 1
    assert block.name in result.stdout
    assert "damaged: " in result.stdout


def test_a_missing_block_is_found(directory: Path) -> None:
    """A block that the catalogue names and the disk lacks is damage."""
    next((directory / "blocks").glob("raw-*.parquet")).unlink()
    result = RUNNER.invoke(app, ["verify", str(directory)])
    assert result.exit_code == 1
    assert "missing" in result.stdout


def test_tiers_are_computed_again(tmp_path: Path) -> None:
    """Each tier with how many windows were compared; one that is missing is found out."""
    path, now_ms = tmp_path / "data", [NOW_MS // DAY_MS * DAY_MS]
    engine = Engine(path, load_config(), lambda: now_ms[0])
    for _ in range(4):
        engine.ingest(body("kitchen", 21.5, now_ms[0]), Codec.NISSA_POINT)
        engine.flush()
        wait_until(lambda: engine.status().ladder["lsn"] == engine.status().journal.checkpoint_lsn)
        now_ms[0] += HOUR_MS
    engine.close()
    result = RUNNER.invoke(app, ["verify", "--tiers", str(path)])
    assert result.exit_code == 0, result.stdout
    assert "5m: 2 windows recomputed, 0 differences" in result.stdout
    catalogue = Catalogue.open(path)
    note_policies(catalogue, (Policy("other"),), DEFAULT_TIERS, ())
    again = RUNNER.invoke(app, ["verify", "--tiers", str(path)])
    assert again.stdout == result.stdout  # policies that mean none of the series change nothing
    catalogue.commit_tiers(catalogue.tiers(), gone=catalogue.blocks("5m")[1:2])
    catalogue.close()
    result = RUNNER.invoke(app, ["verify", "--tiers", str(path)])
    assert result.exit_code == 1
    assert "5m: series 0, window 1732150800000: is not written" in result.stdout
