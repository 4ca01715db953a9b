"""Real servers with the bulk API, one node each, on one directory and port over restarts."""

import json
import shutil
import urllib.request
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from journeys.java_servers import RECIPES, JavaServer, artifacts

from oracle.ports import free_port

TRANSPORT = "transport-netty4"


class SearchServer(ABC):
    """The node. directory: of its data and its log."""

    name = ""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        directory.mkdir(parents=True)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.server = self._process()
        self.server.ready("READY")

    @abstractmethod
    def _process(self) -> JavaServer: ...

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """The answer to a request, as JSON."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}",
            json.dumps(document).encode() if document is not None else None,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def documents(self) -> list[dict[str, Any]]:
        """All documents of the shop, once everything is searchable; Nissa's own events are there too."""
        self.ask("POST", "nissa-events/_refresh")
        query = {"size": 5_000, "query": {"term": {"source": "shop"}}}
        return [hit["_source"] for hit in self.ask("POST", "nissa-events/_search", query)["hits"]["hits"]]


class OpenSearch(SearchServer):
    """OpenSearch 2. Without the plugins for retention and security."""

    name = "opensearch"

    def _process(self) -> JavaServer:
        source = str(RECIPES / "OpenSearchNode.java")
        return JavaServer(self.name, [source, str(self.directory / "home"), str(self.port)], self.directory)


class Elasticsearch(SearchServer):
    """Elasticsearch 8. Without ``GET /``, ``PUT _data_stream``, ILM and security, which are modules of their own."""

    name = "elasticsearch"

    def _process(self) -> JavaServer:
        jars = sorted(artifacts(self.name).glob("*.jar"))
        module = [jar for jar in jars if jar.name.startswith((TRANSPORT, "netty-", "elasticsearch-ssl-config"))]
        home = self.directory / "home"
        if not home.exists():
            self._make_home(home, module)
        source = str(RECIPES / "ElasticsearchNode.java")
        arguments = [f"-Des.path.home={home}", source, str(home), str(self.directory / "data"), str(self.port)]
        return JavaServer(self.name, arguments, self.directory, jars=[jar for jar in jars if jar not in module])

    def _make_home(self, home: Path, module: list[Path]) -> None:
        """The folder of an installation: the transport is a module, which has a class loader of its own."""
        for folder in ("config", "plugins", "lib"):
            (home / folder).mkdir(parents=True)
        place = home / "modules" / TRANSPORT
        place.mkdir(parents=True)
        for jar in module:
            shutil.copy(jar, place)
        (jar,) = place.glob(f"{TRANSPORT}-*.jar")
        descriptor = "plugin-descriptor.properties"
        with zipfile.ZipFile(jar) as archive:
            text = archive.read(f"META-INF/es-plugins/{TRANSPORT}/{descriptor}").decode()
        lines = [line for line in text.splitlines() if not line.startswith("modulename")]  # loaded by class path
        (place / descriptor).write_text("\n".join(lines))
