"""The outcome of each message of a delimited frame, for sources that acknowledge messages one by one."""

from enum import IntEnum

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.refusal import Refusal

NO_REASON = 255


class MessageOutcome(IntEnum):
    """Outcome of one message."""

    TAKEN = 0  # all of its records are kept, were there before, or are of a level that settings drop
    IGNORED = 1  # it is sound and brings nothing, such as a message of another type
    PARTLY = 2  # some of its records are refused, some are kept
    REFUSED = 3  # it is sound, and limits admit none of its records
    SET_ASIDE = 4  # none of it is kept, because of its bytes: sent again, it would be the same


class MessageOutcomes(msgspec.Struct, frozen=True):
    """Outcomes of n messages in order of arrival. outcome: uint8 (n,), a ``MessageOutcome`` each.

    reason: uint8 (n,), the number of the first ``Refusal`` in it, NO_REASON where nothing is refused.
    """

    outcome: npt.NDArray[np.uint8]
    reason: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.outcome)

    def of(self, message: int) -> tuple[MessageOutcome, str]:
        """MessageOutcome of one message, and the word of the first reason; empty where nothing is refused."""
        reason = int(self.reason[message])
        return MessageOutcome(int(self.outcome[message])), "" if reason == NO_REASON else str(Refusal(reason))
