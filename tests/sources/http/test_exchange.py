"""One request and its answer."""

from sources.http.edge_rig import Rig, get, write

from nissa.model.errors import Malformed
from nissa.model.receipt import Receipt


def test_a_second_outcome_changes_nothing(rig: Rig) -> None:
    """Only the first outcome of a frame is answered."""
    rig.intake.manual = True
    with rig.connect() as client:
        client.send(write())
        rig.intake.wait(1)
        rig.intake.complete(0, Receipt(samples=1))
        rig.intake.complete(0, Malformed("no"))
        assert client.read().status == 204
        client.send(get("/-/healthy"))
        assert client.read().body == b"healthy\n"
