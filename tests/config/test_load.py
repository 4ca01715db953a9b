"""Settings: precedence, and refusal of everything unknown or absurd with the path that is wrong."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid
from nissa.model.ladder import Tier

BAD = [
    ("storage: {durabilty: os}", "storage.durabilty", "did you mean storage.durability"),
    ("storag: {durability: os}", "storag", "did you mean storage"),
    ("series: {active_max: many}", "series.active_max", "'many'"),
    ("series: {active_max: -1}", "series.active_max", "expected 1 to"),
    ("series: {active_max: 0}", "series.active_max", "expected 1 to"),
    ("series: {active_max: 1e400}", "series.active_max", "out of range"),
    ("series: {active_max: 99999999999999999999999}", "series.active_max", ""),
    ("series: {active_max: [1]}", "series.active_max", "a list"),
    ("series: 7", "series", "'7'"),
    ("ingest: {listen: nowhere}", "ingest.listen", "HOST:PORT"),
    ("ingest: {listen: 'a b:1'}", "ingest.listen", "HOST:PORT"),
    ("ingest: {listen: '127.0.0.1:70000'}", "ingest.listen", "65535"),
    ("ingest: {listen: 'h:1'}\napi: {listen: 'h:1'}", "api.listen", "already taken"),
    ("storage: {durability: sometimes}", "storage.durability", "interval:50ms"),
    ("storage: {durability: 'interval:0'}", "storage.durability", "outside 1ms to"),
    ("storage: {durability: 'interval:x'}", "storage.durability", "interval:50ms"),
    ("storage: {data_dir: ' '}", "storage.data_dir", "directory"),
    ("storage: {segment_size: 1MB}", "ingest.body_size_max", "storage.segment_size"),
    ("ingest: {queue_size_max: 1MB}", "ingest.body_size_max", "ingest.queue_size_max"),
    ("storage: {seal_samples: 500000000}", "storage.seal_samples", "storage.head_samples_max"),
]


def write(directory: Path, text: str) -> Path:
    """A settings file with ``text``."""
    path = directory / "nissa.yaml"
    path.write_text(text)
    return path


def test_no_layer_gives_the_defaults_and_they_pass_their_own_check() -> None:
    """With nothing written, the defaults of the tree are in force."""
    assert load_config() == Config()


def test_later_layers_win(tmp_path: Path) -> None:
    """File over defaults, environment over file, command line over environment."""
    path = write(tmp_path, "storage: {seal_samples: 11, durability: os}\napi: {query_timeout: 12ms}\n")
    environ = {"NISSA_STORAGE__SEAL_SAMPLES": "21", "NISSA_API__LISTEN": ":0", "NISSA_BUILD": "sanitize", "HOME": "/"}
    config = load_config(path, environ, {"api.listen": "[::1]:22"})
    assert (config.storage.seal_samples, config.storage.durability) == (21, "os")
    assert (config.api.query_timeout_ms, config.api.listen) == (12, "[::1]:22")


def test_a_section_whose_lines_are_commented_out_is_empty(tmp_path: Path) -> None:
    """``storage:`` with nothing under it means the defaults of the section."""
    assert load_config(write(tmp_path, "storage:\n  # durability: os\n")) == Config()


@pytest.mark.parametrize(("text", "path", "words"), BAD)
def test_unknown_keys_and_absurd_values_are_refused_by_path(tmp_path: Path, text: str, path: str, words: str) -> None:
    """The error carries the dotted path and says what was expected."""
    with pytest.raises(ConfigInvalid) as caught:
        load_config(write(tmp_path, text))
    assert caught.value.path == path
    assert words in str(caught.value)


def test_an_unknown_variable_is_refused_like_an_unknown_key() -> None:
    """A misspelt environment variable does not pass in silence."""
    with pytest.raises(ConfigInvalid, match=r"storage\.durabilty: unknown setting"):
        load_config(environ={"NISSA_STORAGE__DURABILTY": "os"})


def test_a_variable_below_a_value_is_refused(tmp_path: Path) -> None:
    """A value has no settings under it."""
    path = write(tmp_path, "storage: {seal_samples: 5}")
    with pytest.raises(ConfigInvalid, match="is a value, not a section"):
        load_config(path, {"NISSA_STORAGE__SEAL_SAMPLES__X": "1"})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file is the operator's error, not a start with defaults."""
    with pytest.raises(ConfigInvalid, match=r"absent\.yaml"):
        load_config(tmp_path / "absent.yaml")


YAML_ISH = st.text(alphabet="abz_:{}[]&*!|>-?,'\"#% \n\t019\x00é", max_size=80)


@settings(max_examples=300, deadline=None)
@given(st.one_of(YAML_ISH.map(str.encode), st.binary(max_size=120)))
def test_any_bytes_give_settings_or_config_invalid(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    """No file, however broken, ends in anything but settings or ConfigInvalid."""
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(body)
    try:
        assert isinstance(load_config(path), Config)
    except ConfigInvalid as error:
        assert str(error)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["ingest", "api", "storage", "series", "acceptance", "telemetry", "x"]),
    st.sampled_from(["listen", "durability", "active_max", "past", "past_ms", "data_dir", "interval", "segment_size"]),
    st.one_of(st.text(max_size=20), st.integers(-(2**70), 2**70).map(str), st.floats().map(str)),
)
def test_any_variable_gives_settings_or_config_invalid(section: str, name: str, text: str) -> None:
    """The same for the environment, with names that are nearly right."""
    try:
        load_config(environ={f"NISSA_{section.upper()}__{name.upper()}": text})
    except ConfigInvalid as error:
        assert error.path.startswith(section) or f"{section}.{name}" in str(error)  # two settings may not fit together


def test_settings_that_do_not_fit_together_name_both() -> None:
    """A segment too small for a body is refused at the body's setting, and the segment's is named."""
    with pytest.raises(ConfigInvalid, match=r"ingest\.body_size_max.*storage\.segment_size"):
        load_config(environ={"NISSA_STORAGE__SEGMENT_SIZE": "64KiB"})


def test_tiers_of_the_ladder_come_from_every_layer(tmp_path: Path) -> None:
    """A list in the file, or on one line in a variable; a fault in it is named by its path."""
    path = tmp_path / "nissa.yaml"
    path.write_text("ladder:\n  tiers:\n    - {interval: 1m, retention: 1d, aggregates: [sum, last]}\n")
    assert load_config(path).ladder.tiers == (Tier(60_000, 86_400_000, ("sum", "last")),)
    line = '[{"interval":"30s","retention":"1m"}]'
    assert load_config(path, {"NISSA_LADDER__TIERS": line}).ladder.tiers == (Tier(30_000, 60_000),)
    assert load_config(path, {}, {"ladder.tiers": "[]"}).ladder.tiers == ()
    for text, wrong in (
        ('[{"interval":"30s","retention":"1ms"}]', "ladder.tiers[0].retention"),
        ('[{"interval":"30s","retention":"1m","aggregates":["median"]}]', "ladder.tiers[0].aggregates[0]"),
        ('[{"interval":"often","retention":"1m"}]', "ladder.tiers[0].interval"),
        ('[{"interval":"30s"', "ladder.tiers"),
    ):
        with pytest.raises(ConfigInvalid) as caught:
            load_config(overrides={"ladder.tiers": text})
        assert caught.value.path == wrong
    with pytest.raises(ConfigInvalid, match=r"^ladder.raw_retention: 1m is shorter"):
        load_config(overrides={"ladder.raw_retention": "1m"})
