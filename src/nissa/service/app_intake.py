"""Takes telemetry of applications that comes by the API, through the same path as all frames. Offers ``AppIntake``."""

from collections.abc import Callable, Sequence

from nissa.codec.delimited import varint
from nissa.config.bronze import BronzeSettings
from nissa.config.tree import Config
from nissa.model.errors import BadQuery
from nissa.model.frame import Codec, Source
from nissa.model.intake import Intake
from nissa.model.receipt import Receipt
from nissa.redaction.context import ContextRedaction
from nissa.sources.inlet import Inlet


class AppInlet:
    """Events and samples of applications. Lives on the loop."""

    def __init__(self, config: Config, intake: Intake, secret: bytes, now_ms: Callable[[], int]) -> None:
        """secret: of the directory. now_ms: wall clock. Raises: ConfigInvalid."""
        self.settings: BronzeSettings = config.bronze
        self.redaction = ContextRedaction(config.redaction, secret)
        self._inlet = Inlet(intake, Source.HTTP, now_ms)

    async def events(self, messages: Sequence[bytes]) -> None:
        """As ``AppIntake`` says."""
        body = b"".join(varint(len(message)) + message for message in messages)
        _check(await self._inlet.send(Codec.NISSA_EVENT, body, delimited=True))

    async def samples(self, body: bytes) -> None:
        """As ``AppIntake`` says."""
        _check(await self._inlet.send(Codec.REMOTE_WRITE_1, body))


def _check(receipt: Receipt) -> None:
    if receipt.refused:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(receipt.refused.items()))
        raise BadQuery(f"some of it was refused: {reasons}")
