"""Interface of a source other than the ingest port: it reads an outside system and sends frames to an inlet.

A source is one object with one task. ``service/source_tasks.py`` runs it, restarts it after a pause when it fails, and
cancels it at shutdown. It acknowledges upstream only frames for which ``Inlet.send`` has returned a Receipt.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


class RunningSource(Protocol):
    """One source of the configuration. Everything runs on the loop."""

    @property
    def path(self) -> str:
        """Path of its section in the configuration, such as ``sources.oona``."""

    async def run(self, connected: "Connected") -> None:
        """Receive until cancelled.

        connected: call it once the outside system answers, and again after each time it did not.
        Raises: SourceFailed for a fault of the outside; any other error counts as a fault of ours. It is run again.
        """

    def facts(self) -> Mapping[str, object]:
        """Numbers for ``/api/status``, cheap to read: lag, targets, connections. Keys are stable names.

        ``waiting_for``, where it is there: parts of the outside system that are missing, in words, for ``/-/ready``.
        """


@runtime_checkable
class WithTargets(Protocol):
    """A source that asks targets."""

    def targets(self) -> dict[str, Any]:
        """Its targets, as Prometheus' ``/api/v1/targets`` lists them."""


class Connected(Protocol):
    """Called by a source once its outside system answers: the source counts as up until ``run`` ends."""

    def __call__(self) -> None: ...
