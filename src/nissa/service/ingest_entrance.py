"""The entrance of the ingest port and of OTLP over gRPC: certificates of ``ingest.tls``, tokens, the door."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from nissa.access.certificates import Certificates
from nissa.config.tree import Ingest
from nissa.safeguards.door import Door
from nissa.service.ingest_tokens import started_tokens
from nissa.sources.entrance import Entrance

if TYPE_CHECKING:
    from nissa.database.database import Database

TLS: Final = "ingest.tls"
LOOK_INTERVAL_S: Final = 1.0


async def started_entrance(
    ingest: Ingest, database: "Callable[[], Database]", door: Door, now_ms: Callable[[], int]
) -> Entrance:
    """The entrance, with tokens that are read. Raises: ConfigInvalid for certificates that cannot be used."""
    tokens = await started_tokens(ingest, database, now_ms)
    return Entrance(ingest_certificates(ingest), tokens, door)


def ingest_certificates(ingest: Ingest) -> Certificates | None:
    """Certificates of the settings; None without TLS. Raises: ConfigInvalid."""
    return Certificates(ingest.tls, TLS) if ingest.tls.certificate_file else None


async def watch_certificates(entrance: Entrance) -> None:
    """Read certificates again when their files change, until cancelled."""
    while entrance.certificates is not None:
        await asyncio.to_thread(entrance.certificates.read_again)
        await asyncio.sleep(LOOK_INTERVAL_S)
