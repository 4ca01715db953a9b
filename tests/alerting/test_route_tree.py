"""The route tree, alone and against amtool."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.alerting.route_tree import RouteNode, compile_routes
from nissa.alerting.routing import read_routing_file
from nissa.config.alertmanager_file import RouteConfig
from nissa.config.scrape_configs import Milliseconds
from nissa.model.errors import ConfigInvalid

RECEIVERS = ("default", "one", "two", "three")
NAMES, VALUES = ("severity", "team", "cluster"), ("a", "b", "ab")


def fail(place: str, what: str) -> ConfigInvalid:
    return ConfigInvalid(place, what)


def test_what_a_node_leaves_out_is_its_parents() -> None:
    """Receiver, grouping and times go down; time intervals and ``continue`` do not."""
    inner = RouteConfig(matchers=("b=2",), group_wait=Milliseconds(0))
    outer = RouteConfig("x", ("a",), matchers=("a=1",), repeat_interval=Milliseconds(5), routes=(inner,))
    outer = RouteConfig(**{name: getattr(outer, name) for name in outer.__struct_fields__} | {"continue_": True})
    root = compile_routes(RouteConfig("r", mute_time_intervals=(), routes=(outer,)), fail)
    (found,) = root.match({"a": "1", "b": "2"})
    assert (found.key, found.receiver, found.continues) == ('{}/{a="1"}/{b="2"}', "x", False)
    assert (found.group_wait_ms, found.group_interval_ms, found.repeat_interval_ms) == (0, 300_000, 5)
    assert found.group_labels({"a": "1", "b": "2"}) == {"a": "1"}


def test_all_labels_make_a_group_each() -> None:
    """``group_by: [...]`` stands for all labels, and a child may group by none again."""
    child = RouteConfig("r", (), matchers=("a=1",))
    root = compile_routes(RouteConfig("r", ("...",), routes=(child,)), fail)
    assert root.match({"b": "1"})[0].group_labels({"b": "1"}) == {"b": "1"}
    assert root.match({"a": "1"})[0].group_labels({"a": "1"}) == {}


@pytest.mark.parametrize(
    ("route", "place"),
    [
        ({"routes": [{"matchers": ["a=b", 'a=~"("']}]}, r"route.routes\[0\].matchers\[1\]"),
        ({"routes": [{}, {"match_re": {"a": "("}}]}, r"route.routes\[1\].match_re.a"),
    ],
)
def test_matchers_that_cannot_be_read_are_refused(tmp_path: Path, route: dict[str, Any], place: str) -> None:
    """The message has the file, the line and the path."""
    path = tmp_path / "alertmanager.yml"
    path.write_text(json.dumps({"route": {"receiver": "r", **route}, "receivers": [{"name": "r"}]}))
    with pytest.raises(ConfigInvalid, match=rf"alertmanager.yml, line \d+: {place}: "):
        read_routing_file(path)


matchers = st.builds(
    "{}{}{}".format,
    st.sampled_from(NAMES),
    st.sampled_from(("=", "!=", "=~", "!~")),
    st.sampled_from(('"a"', '"b"', '"a|b"', '"a.*"', '".*"', '""', "a")),
)


def routes_of(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "receiver": st.sampled_from(RECEIVERS),
            "matchers": st.lists(matchers, min_size=1, max_size=2),
            "match": st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), min_size=1, max_size=1),
            "continue": st.booleans(),
            "routes": st.lists(children, max_size=3),
        },
    )


trees = st.recursive(routes_of(st.just({})), routes_of, max_leaves=8)
alerts = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), min_size=1)


@pytest.mark.needs_debian("prometheus-alertmanager")
@settings(max_examples=25, deadline=None)
@given(st.lists(trees, min_size=1, max_size=4), st.lists(alerts, min_size=1, max_size=2))
def test_routing_equals_amtool(
    tmp_path_factory: pytest.TempPathFactory, children: list[dict[str, Any]], labels: list[dict[str, str]]
) -> None:
    """``amtool config routes test`` names the same receivers in the same order."""
    path = tmp_path_factory.mktemp("routes") / "alertmanager.yml"
    document = {
        "route": {"receiver": "default", "routes": children},
        "receivers": [{"name": name} for name in RECEIVERS],
    }
    path.write_text(json.dumps(document))
    root: RouteNode = read_routing_file(path).root
    for one in labels:
        pairs = [f"{name}={value}" for name, value in one.items()]
        command = ["amtool", "config", "routes", "test", "--config.file", str(path), *pairs]
        theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        assert ",".join(route.receiver for route in root.match(one)) == theirs, (document, one)
