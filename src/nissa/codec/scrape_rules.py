"""Rules of a scrape that concern single series: metric_relabel_configs, and limits on labels and samples.

They are in the context of each frame, as the parameter ``rules``, so that a replay applies the same rules. Known series
bypass them (``_fast/exposition_rules``).
"""

import threading
from collections import OrderedDict
from functools import lru_cache
from typing import Final

import msgspec

from nissa._fast.exposition_rules import DroppedForms, ExpositionRules
from nissa.model.errors import Malformed, TooLarge
from nissa.model.relabel import Relabelling, RelabelRule

RULES: Final = "rules"
RULE_SETS_MAX: Final = 256  # compiled, of each thread that decodes
NAME_SHOWN: Final = 50  # characters of a metric's name in a message


class ScrapeRules(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Rules as an entry of ``scrape_configs`` has them. Limits of 0 are none."""

    metric_relabel_configs: tuple[RelabelRule, ...] = ()
    sample_limit: int = 0
    label_limit: int = 0
    label_name_length_limit: int = 0
    label_value_length_limit: int = 0

    def encode(self) -> str:
        """The parameter of a context; empty where there is no rule."""
        return "" if self == NO_RULES else msgspec.json.encode(self).decode()


class CompiledRules:
    """Rules, applied to the labels of one series after the other. Safe from any thread."""

    def __init__(self, rules: ScrapeRules) -> None:
        """Raises: ValueError for a rule that cannot be applied."""
        self._rules = rules
        self._relabelling = Relabelling(rules.metric_relabel_configs)

    def applied(self, labels: dict[str, str]) -> dict[str, str] | None:
        """Labels as metric_relabel_configs leave them; None where they drop the series.

        Raises: TooLarge for one that passes a limit, and with it the whole scrape.
        """
        found = self._relabelling.applied(labels)
        if found is not None:
            self._check(found)
        return found

    def _check(self, labels: dict[str, str]) -> None:
        rules, metric = self._rules, labels.get("__name__", "")[:NAME_SHOWN]
        if 0 < rules.label_limit < len(labels):
            raise TooLarge(f"labels of {metric}", got=len(labels), limit=rules.label_limit, setting="label_limit")
        longest_name = max(map(_size, labels), default=0) if rules.label_name_length_limit else 0
        if longest_name > rules.label_name_length_limit:
            limit = rules.label_name_length_limit
            raise TooLarge(f"label name of {metric}", got=longest_name, limit=limit, setting="label_name_length_limit")
        longest = max(map(_size, labels.values()), default=0) if rules.label_value_length_limit else 0
        if longest > rules.label_value_length_limit:
            limit = rules.label_value_length_limit
            raise TooLarge(f"label value of {metric}", got=longest, limit=limit, setting="label_value_length_limit")

    def check_count(self, samples: int) -> None:
        """Raises: TooLarge for more samples in one scrape than sample_limit, those that are dropped not counted."""
        if 0 < self._rules.sample_limit < samples:
            raise TooLarge("samples of a scrape", got=samples, limit=self._rules.sample_limit, setting="sample_limit")


def _size(text: str) -> int:
    return len(text.encode())


class _Thread(threading.local):
    """The rules that one thread has compiled, and the raw forms that they dropped there."""

    def __init__(self) -> None:
        self.dropped = DroppedForms()
        self.rules: OrderedDict[str, ExpositionRules] = OrderedDict()


_thread = _Thread()


def exposition_rules(text: str) -> ExpositionRules | None:
    """The rules that the parameter ``text`` encodes, for the thread that asks; None where it is empty.

    Raises: Malformed where they cannot be read.
    """
    if not text:
        return None
    found = _thread.rules.get(text)
    if found is None:
        found = _thread.rules[text] = ExpositionRules(compiled_rules(text), text.encode(), _thread.dropped)
        if len(_thread.rules) > RULE_SETS_MAX:
            _thread.rules.popitem(last=False)
    else:
        _thread.rules.move_to_end(text)
    return found


@lru_cache(maxsize=RULE_SETS_MAX)
def compiled_rules(text: str) -> CompiledRules:
    """Rules out of the parameter of a context. Raises: Malformed where they cannot be read."""
    try:
        return CompiledRules(msgspec.json.decode(text, type=ScrapeRules))
    except ValueError as error:
        raise Malformed(f"rules in the context of the frame: {error}") from None


NO_RULES: Final = ScrapeRules()
