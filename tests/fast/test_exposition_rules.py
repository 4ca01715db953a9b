"""Raw forms that rules of a scrape drop; what the rules do is in tests/codec/test_scrape_rules.py."""

import pytest

from nissa._fast.exposition import decode_exposition
from nissa._fast.exposition_rules import DroppedForms, ExpositionRules
from nissa.codec.scrape_rules import CompiledRules, ScrapeRules
from nissa.model.relabel import RelabelRule
from oracle.bodies import Rig


def test_dropped_forms_are_bounded() -> None:
    """More dropped series than are remembered are judged again, with the same result."""
    dropped = DroppedForms(entries_max=2)
    assert dropped.entries_max == 2
    rules = CompiledRules(
        ScrapeRules(metric_relabel_configs=(RelabelRule(source_labels=("__name__",), regex="go_.*", action="drop"),))
    )
    rig = Rig()
    body = b"go_a 1\ngo_b 1\ngo_c 1\nup 1\n"
    terms = {"minute": 1, "admit_max": 9, "oldest_ms": 0, "newest_ms": 9, "now_ms": 5, "openmetrics": False}
    for _ in range(3):
        again = ExpositionRules(rules, b"rules", dropped)
        assert decode_exposition(body, rig.index, rig.batch, rules=again, **terms)[2] == 3
        assert len(dropped) <= 2


def test_a_fault_of_rules_leaves_nothing() -> None:
    """Whatever rules raise comes out, and the batch is empty."""

    class Faulty:
        def applied(self, labels: dict[str, str]) -> dict[str, str] | None:
            raise KeyError(labels["__name__"])

    rig = Rig()
    terms = {"minute": 1, "admit_max": 9, "oldest_ms": 0, "newest_ms": 9, "now_ms": 5, "openmetrics": False}
    with pytest.raises(KeyError, match="up"):
        decode_exposition(b"up 1", rig.index, rig.batch, rules=ExpositionRules(Faulty(), b"", DroppedForms()), **terms)
    assert (len(rig.batch), rig.index.series_count) == (0, 0)
