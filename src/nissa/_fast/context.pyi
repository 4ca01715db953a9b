from collections.abc import Sequence

from nissa._fast.batch import Batch
from nissa.model.context import Conflict

def set_context(batch: Batch, rules: Sequence[tuple[str, str, Conflict]]) -> None: ...
