"""The route tree: which receivers an alert goes to, and how its notifications are grouped.

    route (takes every alert)
    ├─ severity="critical"            on-call
    │   └─ team="database"            database
    └─ severity=~"warning|info"       chat

An alert goes down the tree as far as matchers hold; the first child that takes it ends the search among its
neighbours unless it says ``continue``. A node that no child takes the alert of receives it itself. What a node leaves
out is its parent's, except time intervals.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from nissa.alerting.matchers import Labels, MatcherSet, Test, checked_matcher, matcher_set, read_matchers
from nissa.config.alertmanager_file import ALL_LABELS, RouteConfig
from nissa.config.document import Fail
from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp

ROUTES_MAX: Final = 10_000


class RouteNode(msgspec.Struct, frozen=True, eq=False):
    """One node with all that holds for it. key: path of matchers from the root. by_all: each set of labels is a group.

    Times in milliseconds. test: of its matchers.
    """

    key: str
    receiver: str
    matchers: MatcherSet
    test: Test
    continues: bool
    group_by: frozenset[str]
    by_all: bool
    group_wait_ms: int
    group_interval_ms: int
    repeat_interval_ms: int
    mute_time_intervals: tuple[str, ...]
    active_time_intervals: tuple[str, ...]
    routes: tuple["RouteNode", ...]

    def match(self, labels: Labels) -> list["RouteNode"]:
        """Nodes that get an alert with these labels, in the order of the tree; at least one for a root."""
        if not self.test(labels):
            return []
        found: list[RouteNode] = []
        for child in self.routes:
            taken = child.match(labels)
            found += taken
            if taken and not child.continues:
                break
        return found or [self]

    def group_labels(self, labels: Labels) -> dict[str, str]:
        """The labels by which an alert is grouped at this node, in order of their names."""
        names = labels if self.by_all else self.group_by & labels.keys()
        return {name: labels[name] for name in sorted(names)}

    def nodes(self) -> Iterator["RouteNode"]:
        """This node and all below it."""
        yield self
        for child in self.routes:
            yield from child.nodes()


ABOVE_ROOT: Final = RouteNode(
    "", "", MatcherSet(), MatcherSet().test(), False, frozenset(), False, 30_000, 300_000, 14_400_000, (), (), ()
)


def compile_routes(config: RouteConfig, fail: Fail) -> RouteNode:
    """The tree behind what is written. Raises: what ``fail`` makes of a place and what is wrong there."""
    root = _compiled(config, ABOVE_ROOT, "route", fail)
    count = sum(1 for _ in root.nodes())
    if count > ROUTES_MAX:
        raise fail("route", f"{count} routes are over the limit of {ROUTES_MAX}")
    return root


def _compiled(config: RouteConfig, parent: RouteNode, place: str, fail: Fail) -> RouteNode:
    matchers = written_matchers(config.matchers, config.match, config.match_re, place, "", fail)
    own = RouteNode(
        f"{parent.key}/{matchers}" if parent.key else str(matchers),
        config.receiver or parent.receiver,
        matchers,
        matchers.test(),
        config.continue_,
        parent.group_by if config.group_by is None else frozenset(config.group_by) - {ALL_LABELS},
        parent.by_all if config.group_by is None else ALL_LABELS in config.group_by,
        parent.group_wait_ms if config.group_wait is None else int(config.group_wait),
        parent.group_interval_ms if config.group_interval is None else int(config.group_interval),
        parent.repeat_interval_ms if config.repeat_interval is None else int(config.repeat_interval),
        config.mute_time_intervals,
        config.active_time_intervals,
        (),
    )
    children = (_compiled(child, own, f"{place}.routes[{number}]", fail) for number, child in enumerate(config.routes))
    return msgspec.structs.replace(own, routes=tuple(children))


def written_matchers(
    texts: tuple[str, ...],
    equal: Mapping[str, str],
    fits: Mapping[str, str],
    place: str,
    prefix: str,
    fail: Fail,
) -> MatcherSet:
    """Matchers of the three fields that may hold them: ``matchers``, ``match`` and ``match_re``.

    prefix: of the names of the fields, such as ``source_``. Raises: what ``fail`` makes.
    """
    found: list[Matcher] = []
    for number, text in enumerate(texts):
        try:
            found += read_matchers(text)
        except BadQuery as error:
            raise fail(f"{place}.{prefix}matchers[{number}]", str(error)) from None
    for field, op, pairs in (("match", MatchOp.EQUAL, equal), ("match_re", MatchOp.FITS, fits)):
        for name, value in pairs.items():
            try:
                found.append(checked_matcher(name, op, value))
            except BadQuery as error:
                raise fail(f"{place}.{prefix}{field}.{name[:80]}", str(error)) from None
    return matcher_set(found)
