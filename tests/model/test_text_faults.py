"""Words for faults of text are numbered as the compiled header numbers them."""

import re

from house.plan import SRC
from nissa.model.text_faults import TEXT_FAULTS

STATUS = re.compile(r"^    ([A-Z_0-9]+) = (\d+)", re.MULTILINE)


def test_every_fault_of_a_line_has_words() -> None:
    """From LINE_INCOMPLETE to FAMILY_WRONG, the Status of the header has words for each number."""
    header = (SRC / "_fast" / "types.pxd").read_text()
    block = header[header.index("cdef enum Status:") : header.index("cdef enum Refusal:")]
    numbers = {name: int(number) for name, number in STATUS.findall(block)}
    of_lines = set(range(numbers["LINE_INCOMPLETE"], numbers["FAMILY_WRONG"] + 1))
    assert TEXT_FAULTS.keys() == of_lines | {numbers["UTF8_INVALID"], numbers["TIME_OVERFLOW"]}
