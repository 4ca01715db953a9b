"""Catalogues of Apache Iceberg: one in an SQLite file, and Iceberg's own REST server, which can be killed."""

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from journeys.java_servers import JavaServer
from journeys.test_prometheus import free_port
from journeys.test_sinks import wait_for

MAIN = "org.apache.iceberg.rest.RESTCatalogServer"


class SqlCatalogue:
    """A file beside the tables; Nissa and readers open it themselves."""

    def __init__(self, lake: Path) -> None:
        """lake: the warehouse, a folder."""
        self.properties = {"type": "sql", "uri": f"sqlite:///{lake}/catalogue.db"}

    def kill(self) -> None:
        """Nothing runs here."""

    def start(self) -> None:
        """Nothing runs here."""


class RestCatalogue:
    """The server of the image ``apache/iceberg-rest-fixture``, on one port and database over restarts."""

    def __init__(self, lake: Path) -> None:
        """lake: the warehouse, a folder."""
        port = free_port()
        self._lake = lake
        self._environment = {
            "CATALOG_REST_PORT": str(port),
            "CATALOG_URI": f"jdbc:sqlite:{lake}/rest.db",
            "CATALOG_WAREHOUSE": f"file://{lake}",
        }
        self.properties: dict[str, Any] = {"type": "rest", "uri": f"http://127.0.0.1:{port}"}
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._server = JavaServer(
            "iceberg-rest", [MAIN], self._lake / "server", prints=False, environment=self._environment
        )
        wait_for(self._answers)

    def kill(self) -> None:
        """SIGKILL."""
        self._server.kill()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.properties['uri']}/v1/config", timeout=60):
            return True
        return False


@contextlib.contextmanager
def catalogue(kind: str, lake: Path) -> Iterator[SqlCatalogue | RestCatalogue]:
    """A catalogue of a kind, ``sql`` or ``rest``, in a new folder."""
    lake.mkdir()
    opened = RestCatalogue(lake) if kind == "rest" else SqlCatalogue(lake)
    try:
        yield opened
    finally:
        opened.kill()
