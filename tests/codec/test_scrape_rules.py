"""Rules of a scrape: series rewritten, dropped and limited, compared with the rules applied to every series."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa._fast.context import set_context
from nissa.codec.exposition import RELABEL_DROPPED, decode
from nissa.codec.scrape_rules import NO_RULES, RULE_SETS_MAX, ScrapeRules, exposition_rules
from nissa.ingest.decode import decode as decode_frame
from nissa.model.context import Conflict, Context
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.relabel import Relabelling, RelabelRule
from oracle import exposition
from oracle.bodies import Rig

NOW_MS = 1_758_000_000_777
WINDOW = Window(1, 1 << 40, NOW_MS - 3_600_000, NOW_MS + 600_000)
DROP = RelabelRule(source_labels=("__name__",), regex="go_.*", action="drop")
RENAME = RelabelRule(source_labels=("path",), regex="/(\\w+).*", target_label="area")
LOSE = RelabelRule(regex="path|instance", action="labeldrop")
PAGE = b"""# TYPE go_threads gauge
go_threads 7
http_total{path="/shop/cart",job="own"} 1
http_total{path="/pay"} 2
http_total{path="/shop/list"} 3
bad{path=} 4
"""


def frame_of(body: bytes, rules: ScrapeRules, labels: dict[str, str], conflict: Conflict = "rename") -> Frame:
    """A frame as a scrape makes it."""
    encoded = rules.encode()
    context = Context(labels=labels, conflict=conflict, parameters={"rules": encoded} if encoded else {})
    return Frame(Codec.EXPOSITION, Encoding.IDENTITY, Source.SCRAPE, NOW_MS, body, context=context.encode())


def taken(rig: Rig, body: bytes, rules: ScrapeRules, **labels: str) -> Decoded:
    frame = frame_of(body, rules, labels)
    return decode_frame(frame, body, rig.index, rig.batch, WINDOW)


def test_rules_are_applied_to_labels_of_the_target_too() -> None:
    """Series are rewritten with the labels of the target in place, dropped ones are counted, and so the next time."""
    rig = Rig()
    rules = ScrapeRules(metric_relabel_configs=(DROP, RENAME, LOSE))
    for _ in range(3):
        found = taken(rig, PAGE, rules, job="shop", instance="web-1")
        assert found.refused == {RELABEL_DROPPED: 1}
        assert [(fault.line, fault.reason) for fault in found.lines] == [(6, "record_malformed")]
        assert rig.batch.refused == {"record_malformed": 1}
        assert rig.batch.rows_received == 4
        assert rig.rows() == [("http_total", NOW_MS, 1.0), ("http_total", NOW_MS, 2.0), ("http_total", NOW_MS, 3.0)]
    assert rig.labels() == [
        [("__name__", "http_total"), ("area", "shop"), ("exported_job", "own"), ("job", "shop")],
        [("__name__", "http_total"), ("area", "pay"), ("job", "shop")],
        [("__name__", "http_total"), ("area", "shop"), ("job", "shop")],
    ]
    assert rig.batch.missed == 1  # the line at fault


def test_rules_and_targets_are_told_apart() -> None:
    """The same text under other rules, or from another target, is judged anew."""
    rig = Rig()
    drop, lose = ScrapeRules(metric_relabel_configs=(DROP,)), ScrapeRules(metric_relabel_configs=(LOSE,))
    body = b"go_threads 7\nup 1\n"
    assert taken(rig, body, drop, instance="a").refused == {RELABEL_DROPPED: 1}
    assert taken(rig, body, lose, instance="a").refused == {}
    assert taken(rig, body, NO_RULES, instance="a").refused == {}
    assert taken(rig, body, drop, instance="b").refused == {RELABEL_DROPPED: 1}
    assert [dict(labels).get("instance", "") for labels in rig.labels()] == ["a", "", "", "a", "b"]


def test_metadata_and_messages_stay_right() -> None:
    """Families of kept series are described, and examples show a refused series as the body has it."""
    rig = Rig()
    rules = ScrapeRules(metric_relabel_configs=(DROP, RelabelRule(regex="x", action="labeldrop")))
    body = b"# TYPE go_a gauge\ngo_a 1\n# TYPE b gauge\nb 2\nc 3\n"
    frame = frame_of(body, rules, {"job": "j"})
    set_context(rig.batch, [("job", "j", "rename")])
    window = Window(1, 1, WINDOW.oldest_ms, WINDOW.newest_ms)
    found = decode(frame, body, rig.index, rig.batch, window)
    assert [each.name for each in found.metadata] == ["b"]
    assert rig.batch.examples["series_limit"].series == 'c{job="j"}'
    assert [(fault.line, fault.text) for fault in found.lines] == [(5, "c 3")]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (ScrapeRules(sample_limit=3), "samples of a scrape: 4 is over the limit of 3 .sample_limit"),
        (ScrapeRules(label_limit=2), "labels of http_total: 3 is over the limit of 2 .label_limit"),
        (ScrapeRules(label_name_length_limit=7), "label name of .*: 8 is over the limit of 7 .label_name_length_limit"),
        (ScrapeRules(label_value_length_limit=5), "label value of .*: 10 is over the limit of 5 .label_value_length_l"),
    ],
)
def test_limits(rules: ScrapeRules, message: str) -> None:
    """A body over a limit is refused as a whole before any of its series is new, and one within it is not."""
    rig = Rig()
    body = b"\n".join(PAGE.split(b"\n")[:5])
    for _ in range(2):
        with pytest.raises(TooLarge, match=message):
            taken(rig, body, rules)
        assert (len(rig.batch), rig.index.series_count) == (0, 0)
    wide = ScrapeRules((DROP,), sample_limit=3, label_limit=3, label_name_length_limit=8, label_value_length_limit=10)
    taken(rig, body, wide)
    assert len(rig.batch) == 3


def test_rules_that_cannot_be_read() -> None:
    """A context that no edge has made is refused."""
    for text in ("{", '{"sample_limit": "x"}', '{"metric_relabel_configs": [{"action": "replace"}]}'):
        with pytest.raises(Malformed, match="rules in the context"):
            exposition_rules(text)
    assert exposition_rules("") is None
    assert exposition_rules(ScrapeRules(sample_limit=1).encode()) is exposition_rules('{"sample_limit":1}')
    for limit in range(2, RULE_SETS_MAX + 3):
        exposition_rules(ScrapeRules(sample_limit=limit).encode())
    assert exposition_rules('{"sample_limit":1}') is not None


NAMES = st.sampled_from(("go_a", "go_b", "up", "http", "x"))
VALUES = st.sampled_from(("", "/shop/a", "/pay", "own", "ü"))
SERIES = st.builds('{}{{path="{}",job="{}"}} 1'.format, NAMES, VALUES, VALUES)
RULE = st.sampled_from(
    (
        *(DROP, RENAME, LOSE, RelabelRule(source_labels=("area",), regex="", action="drop")),
        RelabelRule(source_labels=("path",), target_label="__name__"),
        RelabelRule(source_labels=("job", "path"), target_label="shard", action="hashmod", modulus=3),
        RelabelRule(regex="(.*)ob", replacement="${1}ib", action="labelmap"),
        RelabelRule(source_labels=("job",), target_label="job", replacement="", action="replace"),
        RelabelRule(source_labels=("__name__",), regex="x", target_label="__name__", replacement=""),
    )
)


@given(st.lists(SERIES | st.just("nonsense"), max_size=8), st.lists(RULE, max_size=3), st.sampled_from(("", "t")))
def test_made_up_rules(lines: list[str], rules: list[RelabelRule], target: str) -> None:
    """Known or not, a series is what the rules make of its labels and those of the target."""
    rig = Rig()
    body = "\n".join(lines).encode()
    relabelling = Relabelling(rules)
    rows: list[tuple[tuple[str, str], ...]] = []
    dropped = 0
    for labels, _, _ in exposition.expect(body, False, NOW_MS, 0, 1 << 60).rows:
        before = dict(labels)
        if target and "job" in before:
            before["exported_job"] = before.pop("job")
        after = relabelling.applied(before | ({"job": target} if target else {}))
        dropped += after is None
        if after is not None and after.get("__name__"):
            rows.append(tuple(sorted(after.items())))
    for _ in range(2):
        found = taken(rig, body, ScrapeRules(tuple(rules)), **({"job": target} if target else {}))
        series = rig.batch.columns()[0].tolist()
        assert [tuple(rig.index.labels(one)) for one in series] == rows
        assert found.refused.get(RELABEL_DROPPED, 0) == dropped
