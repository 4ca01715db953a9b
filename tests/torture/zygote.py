"""Processes without the second that their imports take: one that has them loaded forks one per request.

    test ──► zygote (nissa imported, one thread) ──fork──► nissa-ingest, main() as from the command line
         ◄── process id, its standard output through a FIFO

``Zygote().start`` stands where ``subprocess.Popen`` does; what it returns has of ``Popen`` what the rig uses. A kill is
the same kill; only the interpreter's start is left out, so that thousands of them fit into an hour.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self


class ForkedProcess:
    """One forked process. stdout: what it prints."""

    def __init__(self, zygote: "Zygote", pid: int, stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._zygote = zygote

    def poll(self) -> int | None:
        """The exit code where it has ended."""
        if self.returncode is None:
            self.returncode = self._zygote.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit code."""
        if self.returncode is None:
            self.returncode = self._zygote.ask({"wait": self.pid})
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal it."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The process that forks. For one test at a time; ``close`` ends it."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """environment: what its processes find there besides, from the beginning on."""
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._lock = threading.Lock()
        self._started = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def ask(self, question: dict[str, Any]) -> Any:
        """One line there, one line back."""
        with self._lock:
            if self._process.stdin is None or self._process.stdout is None:
                raise RuntimeError("the zygote has no pipes")
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def start(self, command: list[str], *, stderr: IO[bytes], env: Mapping[str, str], **_: Any) -> ForkedProcess:
        """As ``subprocess.Popen`` with a command of the form: python -m MODULE …, or python FILE …"""
        module = command[1] == "-m"
        log = Path(stderr.name)
        self._started += 1
        fifo = log.with_suffix(f".{self._started}.fifo")
        os.mkfifo(fifo)
        command = command[2:] if module else command[1:]
        pid = self.ask({"command": command, "module": module, "env": dict(env), "log": str(log), "stdout": str(fifo)})
        stdout = fifo.open("rb")
        fifo.unlink()
        return ForkedProcess(self, pid, stdout)


def become(question: dict[str, Any]) -> None:
    """The child: be what the command line says."""
    os.environ.clear()
    os.environ.update(question["env"])
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(os.open(question["log"], os.O_WRONLY | os.O_APPEND), 2)
    os.dup2(os.open(question["stdout"], os.O_WRONLY), 1)
    sys.argv = list(question["command"])
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    if question["module"]:
        runpy.run_module(question["command"][0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(question["command"][0], run_name="__main__")


def child(question: dict[str, Any]) -> None:
    """``become``, and end as a process of its own would."""
    code = 1
    try:
        become(question)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    os._exit(code)


def serve() -> None:
    """Fork and wait on request, until the standard input ends."""
    for line in sys.stdin:
        question = json.loads(line)
        if "command" in question:
            answer: int | None = os.fork()
            if answer == 0:
                child(question)
        else:
            pid = question.get("wait") or question["poll"]
            found, status = os.waitpid(pid, 0 if "wait" in question else os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if found else None
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import psycopg  # noqa: F401
    import pyarrow.parquet  # noqa: F401 -- loaded before the forks
    from sqlalchemy.dialects import sqlite  # noqa: F401
    from torture import sender, workload  # noqa: F401

    from nissa.database import database  # noqa: F401
    from nissa.notifiers import dispatcher  # noqa: F401
    from nissa.service import daemon  # noqa: F401

    serve()
