"""One evaluation of a group: what happens where the database or the receiver fails."""

from collections.abc import Sequence

from nissa.alerting.lifecycle import AlertChange
from nissa.model.alert import Alert
from nissa.model.errors import Unavailable
from nissa.promql.parse import read_expression
from nissa.rules.group import GroupEvaluation, Surroundings
from nissa.rules.queries import RecordedSample
from nissa.rules.rule_file import parse_rule_file
from nissa.service.clock import monotonic_ms
from nissa.service.rule_ground import MemoryGround
from nissa.service.rule_runner import GroupRunner, Means

RULES = b"groups: [{name: g, rules: [{alert: A, expr: x > 0}, {record: r, expr: x}, {record: twice, expr: r * 2}]}]"


class Rig:
    """A runner over samples in memory, and what it saves, sends and records."""

    def __init__(self, rules: bytes = RULES) -> None:
        self.ground = MemoryGround()
        self.saved: list[str] = []
        self.sent: list[str] = []
        self.fails: set[str] = set()
        (group,) = parse_rule_file(rules, "f", read_expression)
        means = Means(self.ground.queries, self, self, self, lambda: 0, 60_000, "http://n/graph?g0.expr=")
        self.runner = GroupRunner(GroupEvaluation(group, Surroundings(), float), means, 30_000)

    def _check(self, part: str) -> None:
        if part in self.fails:
            raise Unavailable(part)

    def record(self, samples: Sequence[RecordedSample]) -> None:
        """As ``Recorder`` says."""
        self._check("record")
        self.ground.add(samples)

    def save(self, group: str, changes: Sequence[AlertChange], pending_at_ms: int) -> None:
        """As ``SavesChanges`` says."""
        self._check("save")
        self.saved += [one.transition.to_state for one in changes]

    def put(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """As ``AlertReceiver`` says."""
        self._check("put")
        self.sent += [str(one.state) for one in alerts]

    def run(self, at_ms: int, value: float) -> None:
        """A sample, and an evaluation."""
        self.ground.add([RecordedSample({"__name__": "x"}, at_ms, value)])
        self.runner.run(at_ms)


def test_an_evaluation_that_waited_is_of_the_newest_time() -> None:
    """Times that passed while it waited for a thread are missed; the wall clock has no say."""
    runner = Rig().runner
    now_ms = monotonic_ms()
    for waited_ms, slot_ms, missed in ((0, 60_000, 0), (29_000, 60_000, 0), (61_000, 120_000, 2), (-5_000, 60_000, 2)):
        runner.run_newest(60_000, now_ms - waited_ms)
        assert (runner.slot_ms, runner.missed) == (slot_ms, missed)


def test_what_fails_is_made_up_for_by_the_next_evaluation() -> None:
    """Alerts are sent while the database fails, and saved when it answers; alerts not taken are sent again."""
    rig = Rig()
    rig.fails = {"save"}
    rig.run(1_000, 1)
    assert (rig.saved, rig.sent) == ([], ["firing"])
    rig.fails = {"put"}
    rig.run(31_000, 0)
    assert (rig.saved, rig.sent) == (["firing", "resolved"], ["firing"])
    rig.fails = set()
    rig.run(61_000, 0)
    assert rig.sent == ["firing", "resolved"]
    assert (rig.runner.save_failures, rig.runner.send_failures, rig.runner.failures) == (1, 1, 0)


def test_later_rules_see_earlier_ones() -> None:
    """A recording rule reads what one before it has made at the same time."""
    rig = Rig()
    rig.run(1_000, 21)
    assert rig.ground.queries.instant("twice", 1_000)[0].value == 42


def test_samples_that_are_not_stored_are_a_failure_of_the_rules() -> None:
    """The error is that of the rules whose samples are lost; alerts go on."""
    rig = Rig()
    rig.fails = {"record"}
    rig.run(1_000, 1)
    assert rig.sent == ["firing"]
    assert [bool(state.error) for state in rig.runner.evaluation.states] == [False, True, True]


def test_alerts_of_a_group_that_is_gone_resolve() -> None:
    """Alerts of a removed group are saved and sent as resolved, and their series end."""
    rig = Rig()
    rig.run(1_000, 1)
    rig.runner.end(2_000)
    assert (rig.saved, rig.sent) == (["firing", "resolved"], ["firing", "resolved"])
    assert rig.ground.queries.instant('{__name__=~"ALERTS|twice"}', 3_000) == []


def test_a_rule_over_the_limit_of_its_group_drops_its_alerts() -> None:
    """The alerts are not sent, their stored state is deleted once, and they begin anew when there are fewer."""
    rig = Rig(b"groups: [{name: g, limit: 1, rules: [{alert: A, expr: x > 0}, {record: r, expr: vector(1)}]}]")
    rig.run(1_000, 1)
    for at_ms in (31_000, 61_000):
        rig.ground.add([RecordedSample({"__name__": "x", "n": "2"}, at_ms, 1)])
        rig.run(at_ms, 1)
    state = rig.runner.evaluation.states[0]
    assert (state.error, state.failures, state.alerts) == ("exceeded limit of 1 with 2 alerts", 2, {})
    assert (rig.saved, rig.sent) == (["firing", "inactive"], ["firing"])
    rig.ground.add([RecordedSample({"__name__": "x", "n": "2"}, 91_000, 0)])
    rig.run(91_000, 1)
    assert (state.error, rig.saved, rig.sent) == ("", ["firing", "inactive", "firing"], ["firing", "firing"])
