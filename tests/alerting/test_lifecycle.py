"""The life of alerts, compared with a twin that keeps no state, and the times at which they are sent."""

from hypothesis import given
from hypothesis import strategies as st

from nissa.alerting.lifecycle import (
    RESOLVED_KEPT_MS,
    ActiveAlert,
    FoundAlert,
    Timing,
    advance,
    alerts_to_send,
    shift_clock,
    shift_restored,
)
from nissa.model.alert import AlertState
from oracle.alert_twin import state_at

FOUND = FoundAlert({"alertname": "a"}, {}, 1.0, "f")
MINUTE = 60_000


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 4)), min_size=1, max_size=25),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_states_are_those_of_the_twin(steps: list[tuple[bool, int]], hold: int, keep: int) -> None:
    """After every evaluation the state follows from the whole past; transitions lead from one state to the next."""
    alerts: dict[str, ActiveAlert] = {}
    at, times, present, state = 1_000, [], [], "inactive"
    for is_there, pause in steps:
        at += pause
        times.append(at)
        present.append(is_there)
        changes = advance(alerts, [FOUND] if is_there else [], at, Timing(hold, keep))
        alert = alerts.get("f")
        found = "inactive" if alert is None or alert.state is AlertState.RESOLVED else str(alert.state)
        assert found == state_at(present, times, hold, keep)
        for change in changes:
            before = "inactive" if state == "resolved" else state
            assert change.from_state in (state, before)
            state = change.to_state
        assert state in (found, "resolved")


def test_a_restart_at_any_step_changes_nothing() -> None:
    """An alert whose state was stored and read back between any two evaluations fires at the same time."""
    for restart in range(1, 8):
        alerts: dict[str, ActiveAlert] = {}
        states = []
        for step in range(8):
            if step == restart:
                alerts = {one.fingerprint: one for one in shift_restored(alerts.values(), step - 1, step - 1, 100)}
            advance(alerts, [FOUND] if step < 6 else [], step, Timing(3))
            states.append(str(alerts["f"].state))
        assert states == ["pending"] * 3 + ["firing"] * 3 + ["resolved"] * 2


def test_time_without_evaluations_is_not_part_of_for() -> None:
    """A pending alert goes on where it was; after a long outage it begins anew; one that fires goes on firing."""
    pending = ActiveAlert({}, {}, 1.0, 1_000, "p")
    firing = ActiveAlert({}, {}, 1.0, 1_000, "f", AlertState.FIRING, 2_000)
    kept = shift_restored([pending, firing], 5_000, 15_000, 60_000)
    assert (kept[0].active_at_ms, kept[1].active_at_ms) == (11_000, 1_000)
    assert shift_restored([pending, firing], 5_000, 90_000, 60_000) == [firing]


def test_a_restored_alert_waits_for_its_data() -> None:
    """A restored alert resolves only once its data has had time to come."""
    alerts = {"f": ActiveAlert({}, {}, 1.0, 0, "f", AlertState.FIRING, 1)}
    assert advance(alerts, [], 50, Timing(0, 0, 100)) == []
    assert [one.to_state for one in advance(alerts, [], 100, Timing(0, 0, 100))] == ["resolved"]


def test_a_clock_that_jumps_moves_all_times() -> None:
    """``for`` is neither over at once nor begun again."""
    alerts = {"f": ActiveAlert({}, {}, 1.0, 10, "f")}
    shift_clock(alerts.values(), 1_000_000)
    advance(alerts, [FOUND], 1_000_019, Timing(10))
    assert alerts["f"].state is AlertState.PENDING
    advance(alerts, [FOUND], 1_000_020, Timing(10))
    assert alerts["f"].state is AlertState.FIRING


def test_alerts_are_sent_as_prometheus_does() -> None:
    """At once when it fires, then every resend delay; resolved at once and again for 15 minutes; pending never."""
    alerts: dict[str, ActiveAlert] = {}
    sent = []
    for at in range(MINUTE, 30 * MINUTE, MINUTE // 2):
        advance(alerts, [FOUND] if at < 5 * MINUTE else [], at, Timing(MINUTE))
        for one in alerts_to_send(alerts.values(), at, MINUTE, MINUTE // 2, "http://x"):
            sent.append(
                (one.updated_at_ms / MINUTE, str(one.state), one.starts_at_ms / MINUTE, one.ends_at_ms / MINUTE)
            )
    assert sent[:3] == [(2, "firing", 2, 6), (3.5, "firing", 2, 7.5), (5, "resolved", 2, 5)]
    assert {one[1:] for one in sent[2:]} == {("resolved", 2, 5)}
    assert sent[-1][0] <= 5 + RESOLVED_KEPT_MS / MINUTE
    assert alerts == {}


def test_an_acknowledgement_is_sent_and_is_of_one_firing() -> None:
    """It is sent with the next evaluation, without the delay; an alert that fires anew is unacknowledged."""
    alerts: dict[str, ActiveAlert] = {}
    seen = []
    for at_ms, found in ((1, [FOUND]), (2, [FOUND]), (3, [FOUND]), (4, []), (5, [FOUND])):
        advance(alerts, found, at_ms, Timing())
        if at_ms == 3:
            alerts["f"].acknowledge()
        seen.append([one.acknowledged for one in alerts_to_send(alerts.values(), at_ms, MINUTE, MINUTE, "")])
    assert seen == [[False], [], [True], [True], [False]]
