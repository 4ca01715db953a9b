"""A daemon that kills itself at one step of the outbox: before the step, within its transaction, or after it.

    python killed_at.py METHOD MOMENT ARGUMENTS

METHOD: of ``RoutingStore``; empty for none. MOMENT: ``before``, ``within``: all statements are made and the commit is
not, or ``after``. An hour of the hourly limits lasts a second here.
"""

import os
import runpy
import signal
import sys
import threading
from typing import Any

from sqlalchemy import Engine, event

from nissa.alerting.routing_store import RoutingStore
from nissa.model.units import SECOND_MS
from nissa.notifiers import channel

MOMENTS = ("before", "within", "after")


def die(*_: Any) -> None:
    """End the process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(method: str, moment: str) -> None:
    """Have this process killed when the method is called."""
    real = getattr(RoutingStore, method)
    here = threading.local()

    def killing(store: RoutingStore, *arguments: Any) -> Any:
        if moment == "before":
            die()
        here.now = True
        answer = real(store, *arguments)
        die()
        return answer

    def commit(_connection: Any) -> None:
        if moment == "within" and getattr(here, "now", False):
            die()

    setattr(RoutingStore, method, killing)
    event.listen(Engine, "commit", commit)


if __name__ == "__main__":
    chosen, moment = sys.argv[1:3]
    channel.HOUR_MS = SECOND_MS
    if chosen:
        kill_at(chosen, moment)
    sys.argv = ["nissa-ingest", *sys.argv[3:]]
    runpy.run_module("nissa.cli.ingest", run_name="__main__", alter_sys=True)
