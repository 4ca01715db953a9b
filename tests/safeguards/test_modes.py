"""Modes: entered at once, left after the dwell time below the triggers, forced and released by an operator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.config.safeguards import ConservativeMode
from nissa.safeguards.load import Load
from nissa.safeguards.modes import Mode, ModeControl

SETTINGS = ConservativeMode()
CALM = Load()


def test_defaults_are_those_of_the_specification() -> None:
    """CPU 80 %, memory 85 %, errors 5 %, a dwell time of 300,000 ms, categories debug and trace."""
    own = SETTINGS
    assert (own.cpu_percent, own.memory_percent, own.error_percent, own.dwell_ms) == (80, 85, 5, 300_000)
    assert own.drop_categories == ("debug", "trace")


@pytest.mark.parametrize(
    ("load", "trigger"),
    [
        (Load(cpu_percent=81), "cpu"),
        (Load(memory_percent=86), "memory"),
        (Load(queue_percent=91), "queue"),
        (Load(error_percent=6), "errors"),
        (Load(half_open=("oona",)), "breaker"),
        (Load(burning=("ingest",)), "slo"),
    ],
)
def test_each_trigger_enters_conservative_mode(load: Load, trigger: str) -> None:
    """One value above its trigger is enough; the reason names the value and the setting."""
    control = ModeControl(SETTINGS)
    assert control.observe(CALM, 0) is None
    change = control.observe(load, 1_000)
    assert change is not None
    assert (change.before, change.after, change.trigger) == (Mode.NORMAL, Mode.CONSERVATIVE, trigger)
    assert control.reason == change.reason != ""
    assert control.observe(load, 2_000) is None
    assert control.limits.batch_max == 100


def test_half_open_breakers_can_be_left_out() -> None:
    """With the setting off, half-open breakers are no trigger."""
    control = ModeControl(ConservativeMode(half_open_breakers=False))
    assert control.observe(Load(half_open=("oona",)), 0) is None


def test_a_mode_is_left_after_the_dwell_time() -> None:
    """Not before 300,000 ms have passed, and not while a value is within the hysteresis of its trigger."""
    control = ModeControl(SETTINGS)
    control.observe(Load(cpu_percent=90), 0)
    assert control.observe(CALM, 299_999) is None
    assert control.observe(Load(cpu_percent=75), 300_000) is None
    change = control.observe(Load(cpu_percent=69), 301_000)
    assert change is not None
    assert (change.before, change.after, change.trigger) == (Mode.CONSERVATIVE, Mode.NORMAL, "clear")
    assert control.reason == ""
    assert control.changes == {"cpu": 1, "clear": 1}


def test_emergency_is_left_by_way_of_conservative_mode() -> None:
    """Memory far beyond its trigger is an emergency; each step back takes a dwell time of its own."""
    control = ModeControl(SETTINGS)
    control.observe(Load(memory_percent=90), 0)
    change = control.observe(Load(memory_percent=96), 10)
    assert change is not None
    assert change.after is Mode.EMERGENCY
    assert control.limits.batch_max == 10
    change = control.observe(CALM, 300_010)
    assert change is not None
    assert change.after is Mode.CONSERVATIVE
    assert control.observe(CALM, 600_009) is None
    assert control.observe(CALM, 600_010) is not None
    assert control.mode is Mode.NORMAL


def test_an_operator_forces_and_releases_a_mode() -> None:
    """A forced mode stays whatever the load; released, it is left as soon as the load allows."""
    control = ModeControl(SETTINGS)
    change = control.force(Mode.EMERGENCY, "drill", 0)
    assert change is not None
    assert change.reason == "forced by the operator: drill"
    assert control.observe(CALM, 10_000_000) is None
    assert control.force(Mode.EMERGENCY, "still", 1) is None
    assert control.facts(10)["forced"] is True
    assert control.force(Mode.NORMAL, "", 20) is not None
    assert control.observe(Load(cpu_percent=100), 30) is None
    assert control.force(None, "", 40) is None
    change = control.observe(Load(cpu_percent=100), 50)
    assert change is not None
    assert change.after is Mode.CONSERVATIVE


def test_a_small_trigger_can_be_left() -> None:
    """A trigger below the hysteresis is left at half of its value, for it can fall no lower than 0."""
    control = ModeControl(SETTINGS)
    control.observe(Load(error_percent=6), 0)
    assert control.observe(Load(error_percent=3), 400_000) is None
    assert control.observe(Load(error_percent=2), 400_001) is not None


@given(st.lists(st.tuples(st.integers(0, 60_000), st.floats(0, 100), st.floats(0, 100), st.booleans()), max_size=200))
def test_no_load_makes_the_mode_flap(walk: list[tuple[int, float, float, bool]]) -> None:
    """Whatever the load, a mode is left no earlier than one dwell time after it was entered, one step at a time."""
    control, now_ms, entered_ms = ModeControl(SETTINGS), 0, 0
    for pause_ms, cpu, memory, half_open in walk:
        now_ms += pause_ms
        load = Load(cpu_percent=cpu, memory_percent=memory, half_open=("oona",) if half_open else ())
        change = control.observe(load, now_ms)
        if change is None:
            continue
        if change.after < change.before:
            assert now_ms - entered_ms >= SETTINGS.dwell_ms
            assert change.before - change.after == 1
        entered_ms = now_ms
