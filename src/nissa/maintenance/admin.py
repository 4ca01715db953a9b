"""Administration of a running engine: pins, the clock, suspect files, the forecast of the disk."""

from nissa.maintenance.forecast import Forecast
from nissa.maintenance.retainer import Retainer
from nissa.maintenance.scrubber import Scrubber
from nissa.store.pins import Pin


class StoreAdmin:
    """Pins, the clock and suspect files. Safe from any thread."""

    def __init__(self, retainer: Retainer, scrubber: Scrubber) -> None:
        self._retainer, self._scrubber = retainer, scrubber

    def pins(self) -> list[Pin]:
        """Time ranges that retention leaves alone."""
        return self._retainer.pins()

    def add_pin(self, name: str, start_ms: int, end_ms: int) -> Pin:
        """Pin [start_ms, end_ms). name: its purpose. Raises: BadQuery."""
        return self._retainer.add_pin(name, start_ms, end_ms)

    def keep_pin(self, name: str, start_ms: int, end_ms: int) -> None:
        """Have the one pin of this name reach over [start_ms, end_ms). Raises: BadQuery; then it is as before."""
        self._retainer.keep_pin(name, start_ms, end_ms)

    def remove_pin(self, number: int) -> None:
        """Remove the pin of this number. Raises: BadQuery where there is none."""
        self._retainer.remove_pin(number)

    def forecast(self, journal_bytes: int) -> Forecast:
        """Growth of the directory and the day its disk is full; lists the directory. journal_bytes: on disk now."""
        return self._retainer.forecast(journal_bytes)

    def suspect(self, path: str) -> None:
        """A reader met damage in this file, absolute or relative to the directory: it is read back next."""
        self._scrubber.suspect(path)

    def doubts_clock(self) -> bool:
        """True while the wall clock is in doubt: nothing is done by it then that cannot be undone."""
        return self._retainer.doubts_clock()

    def confirm_clock(self) -> None:
        """The wall clock is right: it is trusted from the next run of retention on."""
        self._retainer.confirm_clock()
