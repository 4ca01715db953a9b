"""An engine with sinks, on a loop, beside a sink that can fail."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nissa.config.safeguards import Breakers
from nissa.config.sinks import RemoteWriteSink, Sink
from nissa.forwarders.sinks import Sinks
from nissa.safeguards.breaker import BreakerSet
from oracle.engine import Rig, config_of
from oracle.sink import StubSink, stub_sink

WAIT_S = 60.0


class SinkRig(Rig):
    """An engine whose journal is followed by sinks. They run inside ``go`` only."""

    sinks: Sinks

    def __init__(self, path: Path, **sinks: Sink) -> None:
        super().__init__(path, msgspec.structs.replace(config_of(), sinks=sinks))

    def go(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the sinks, and the scenario beside them."""

        async def main() -> None:
            engine = self.engine
            breakers = BreakerSet(Breakers(timeout_ms=10))
            place = self.path, engine.followers, engine.state, engine.secret
            self.sinks = Sinks(self.config, *place, breakers.named, lambda: self.now_ms)
            self.sinks.start()
            try:
                await scenario()
            finally:
                await self.sinks.stop(WAIT_S)

        asyncio.run(main())

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(WAIT_S):
            while not done():  # noqa: ASYNC110  conditions are of several threads
                await asyncio.sleep(0.01)

    async def until_delivered(self, name: str = "s") -> None:
        """Wait until a sink has nothing to send."""
        durable = self.engine.status().facts()["journal"]["appended_lsn"]
        await self.until(lambda: (self.sinks.status()[name]["cursor_lsn"] or 0) >= durable)


def sink_config(stub: StubSink, **changes: Any) -> RemoteWriteSink:
    """Settings of a sink that sends at once."""
    return msgspec.structs.replace(RemoteWriteSink(url=stub.url, linger_ms=0), **changes)


@pytest.fixture
def stub() -> Any:
    """A sink on a free port."""
    with stub_sink() as sink:
        yield sink


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of a certificate for 127.0.0.1, which signs itself, and of its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    place = tmp_path_factory.mktemp("tls")
    found = place / "cert.pem", place / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sink.test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(found[0]), "-keyout", str(found[1])]
    subprocess.run(command, check=True, capture_output=True)
    return found
