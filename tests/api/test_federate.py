"""The newest samples as text for a Prometheus that scrapes them."""

import numpy as np

from nissa.config.tree import Api
from nissa.model.columns import STALE_BITS, SampleBatch
from oracle.backend_twin import BackendTwin, regular

FIRST_MS = 1_732_190_000_000
LABELS = [
    {"__name__": "up", "job": "api", "instance": "a:1"},
    {"__name__": "a.dotted", "ö": 'q"\n\\'},
    {"__name__": "up", "job": "gone"},
    {"__name__": "huge", "job": "api"},
]
TEXT = """# TYPE {quoted} untyped
{{"a.dotted",instance="","ö"="q\\"\\n\\\\"}} 100 1732190001000
# TYPE huge untyped
huge{{instance="",job="api"}} 3e+08 1732190001000
# TYPE up untyped
up{{instance="a:1",job="api"}} 0.1 1732190001000
"""


def backend() -> BackendTwin:
    value = np.array([7.0, 0.1, 7.0, 100.0, 7.0, 0.0, 7.0, 3e8])
    value.view(np.uint64)[5] = STALE_BITS
    series = np.repeat(np.arange(4, dtype=np.uint32), 2)
    return BackendTwin(LABELS, SampleBatch(series, np.tile([FIRST_MS, FIRST_MS + 1_000], 4), value))


def test_the_newest_samples_are_written_as_text(serve):
    """By name, each series once, with an instance, without those that ended; names of other letters in quotes."""
    client = serve(backend())
    answer = client.get("/federate", params={"match[]": ['{__name__=~".+"}', "up", "down"]})
    assert answer.text == TEXT.format(quoted='"a.dotted"')
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_external_labels(serve):
    """They are added where a series does not have them."""
    client = serve(backend(), Api(external_labels={"job": "all", "site": "a"}))
    found = client.get("/federate", params={"match[]": ["up", '{__name__="a.dotted"}']}).text.splitlines()
    assert found[1].startswith('{"a.dotted",instance="",job="all",site="a","ö"=')
    assert found[3] == 'up{instance="a:1",job="api",site="a"} 0.1 1732190001000'


def test_what_cannot_be_federated_is_refused(serve):
    """A request without a selector, or over the limit of series, is refused."""
    assert serve(backend()).get("/federate").status_code == 400
    client = serve(BackendTwin([{"__name__": f"m{at}"} for at in range(9)], regular(9, 1)), Api(query_series_max=8))
    assert client.get("/federate", params={"match[]": '{__name__=~".+"}'}).status_code == 422
    assert len(client.get("/federate", params={"match[]": "m1"}).text.splitlines()) == 2
