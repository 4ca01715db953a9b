"""Messages for faults in lines of text. The numbers are the Status of ``_fast/types.pxd``."""

import msgspec

TEXT_FAULTS = {
    5: "text is not UTF-8",
    13: "a timestamp does not fit 64 bits of milliseconds",
    19: "a line ends before its value",
    20: "a name is empty or holds bytes that no name holds",
    21: "labels are not of their form",
    22: "a value is not a number",
    23: "a timestamp is not a number",
    24: "a line goes on behind its end",
    25: "a HELP, TYPE, UNIT or EOF line is not of its form, or at the wrong place",
    26: "the last line is not # EOF",
    27: "a quoted string has no end",
    28: "a sample that its metric family cannot have",
}


class LineFault(msgspec.Struct, frozen=True):
    """One line of a frame that was refused, as a whole or in part.

    line: its number, from 1. offset: of its first byte, in the decompressed body. reason: word of the ``Refusal``.
    words: the fault, where its bytes are not of their form; empty otherwise. ts_ms: its time, where that is outside of
    the acceptance window. text: the line, cut.
    """

    line: int
    offset: int
    reason: str
    words: str = ""
    ts_ms: int | None = None
    text: str = ""
