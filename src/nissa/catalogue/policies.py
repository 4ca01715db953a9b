"""Policies of the ladder in the catalogue, with the times from which they apply.

    meta   ladder_policies   [{"from_ms":-9223372036854775808,"policies":[]},{"from_ms":1772323200000,"policies":[…]}]

Existing windows were written under these policies, so readers need them even without the settings. An epoch begins at a
boundary of the widest tier after which no window was written, so a window and all windows it was computed from are in
one epoch.
"""

from collections.abc import Sequence

import msgspec

from nissa.catalogue.catalogue import NEVER_MS, Catalogue, TierRow
from nissa.files.names import CATALOGUE
from nissa.model.errors import Damaged
from nissa.model.ladder import Policy, PolicyEpoch, Tier

KEY = "ladder_policies"
EPOCHS_MAX = 32  # of the oldest ones the windows are taken as if the next one had been in force


def read_epochs(catalogue: Catalogue) -> tuple[PolicyEpoch, ...]:
    """All epochs, in order of time; none where there never were policies. Raises: Damaged."""
    rows = catalogue.select("SELECT value FROM meta WHERE key = ?", (KEY,))
    if not rows:
        return ()
    try:
        return msgspec.json.decode(rows[0][0], type=tuple[PolicyEpoch, ...])
    except msgspec.MsgspecError as error:
        raise Damaged(str(catalogue.directory / CATALOGUE), f"ladder policies cannot be read: {error}") from error


def note_policies(
    catalogue: Catalogue, policies: Sequence[Policy], tiers: Sequence[Tier], rows: Sequence[TierRow]
) -> tuple[PolicyEpoch, ...]:
    """The epochs with these policies in force from the next window on; written where they are new.

    tiers: the ladder of the settings. rows: how far tiers are written. Raises: Unavailable, Damaged.
    """
    epochs = read_epochs(catalogue)
    if tuple(policies) == (epochs[-1].policies if epochs else ()):
        return epochs
    wide_ms = max((tier.interval_ms for tier in tiers), default=1)
    written_ms = max((row.written_until_ms for row in rows), default=NEVER_MS)
    from_ms = NEVER_MS if written_ms == NEVER_MS else -(-written_ms // wide_ms) * wide_ms
    before = [epoch for epoch in epochs if epoch.from_ms < from_ms]  # one that has not begun yet never does
    epochs = (*before, PolicyEpoch(from_ms, tuple(policies)))[-EPOCHS_MAX:]
    with catalogue.transaction("meta") as db:
        text = msgspec.json.encode(epochs).decode()
        db.execute("REPLACE INTO meta (key, value) VALUES (?, ?)", (KEY, text))
    return epochs
