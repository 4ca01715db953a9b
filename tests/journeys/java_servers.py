"""Servers of the Java world, out of Maven artifacts that are fetched once; tests skip where there is no Java."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from oracle.fetching import kept

RECIPES = Path(__file__).parent / "java"
FETCH_S = 200
READY_S = 120


def artifacts(server: str) -> Path:
    """The directory with the jars of a server, fetched where they are not there. Skips where they cannot be."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        pytest.skip(f"java and mvn are missing: {server} is NOT tested (Debian: default-jre-headless, maven)")
    with kept("java", server) as place:
        jars = place / "lib"
        if (place / "complete").exists():
            return jars
        shutil.copy(RECIPES / f"{server}-pom.xml", place / "pom.xml")
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime"]
        try:
            subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=FETCH_S, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"Maven artifacts cannot be fetched: {server} is NOT tested: {str(error.stdout)[-300:]}")
        (place / "complete").touch()
        return jars


class JavaServer:
    """A process that ends with its standard input."""

    def __init__(
        self,
        server: str,
        arguments: Sequence[str],
        directory: Path,
        *,
        prints: bool = True,
        jars: Sequence[Path] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        """prints: it prints a line when it is ready. jars: of its class path; none: all of its artifacts.

        environment: variables added to its own.
        """
        directory.mkdir(parents=True, exist_ok=True)
        limits = ["-Xms256m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        path = ":".join(map(str, jars)) or f"{artifacts(server)}/*"
        command = ["java", *limits, "-cp", path, *arguments]
        with (directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if prints else log,
                stderr=log,
                text=True,
                cwd=directory,
                env={**os.environ, **(environment or {})},
            )

    def ready(self, word: str) -> str:
        """The rest of the line that begins with ``word``."""
        for line in self.process.stdout or ():
            if line.startswith(word):
                return line.removeprefix(word).strip()
        raise AssertionError("the server ended before it was ready")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
