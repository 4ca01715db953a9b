"""Deadlines on a clock that is given."""

import pytest

from nissa.model.errors import QueryTimeout
from nissa.query.limits import Deadline


def test_a_deadline_raises_once_its_time_is_over():
    """Until then nothing happens; the message names the setting. Extending begins the time anew."""
    now_s = [100.0]
    deadline = Deadline(lambda: now_s[0], 500)
    now_s[0] = 100.5
    deadline.check()
    now_s[0] = 100.6
    with pytest.raises(QueryTimeout, match="query_timeout_ms"):
        deadline.check()
    deadline.extend()
    now_s[0] = 101.0
    deadline.check()
