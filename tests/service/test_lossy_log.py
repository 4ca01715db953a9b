"""The log's last step: what cannot be written is dropped."""

import io
import os

import pytest
import structlog

from nissa.service.lossy_log import lossy_loggers


def logger_to(file: object) -> structlog.PrintLogger:
    return structlog.wrap_logger(lossy_loggers(file)(), processors=[structlog.processors.LogfmtRenderer()])  # type: ignore[no-any-return]


def test_lines_are_written() -> None:
    """Each message is one line."""
    file = io.StringIO()
    logger_to(file).error("first", reason="x")
    logger_to(file).info("second")
    assert file.getvalue() == "reason=x event=first\nevent=second\n"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "exception", "critical"])
def test_what_cannot_be_written_is_no_error(level: str) -> None:
    """Whatever the level: an output that fails costs the line, and only that."""
    reader, writer = os.pipe()
    os.close(reader)
    file = os.fdopen(writer, "w")
    getattr(logger_to(file), level)("a line")
    getattr(logger_to(file), level)("and another")
    with pytest.raises(BrokenPipeError):
        print("a line", file=file, flush=True)
    with pytest.raises(BrokenPipeError):
        file.close()


def test_a_closed_file_is_no_error() -> None:
    """Writing to a closed file is no error, also at the end of the program."""
    file = io.StringIO()
    file.close()
    logger_to(file).error("too late")
