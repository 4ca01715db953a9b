"""Mirrors dead letters to a list of Redis, for programs that look for them there.

    dead letter written to its file ──► queue, at most ``WAITING_MAX`` ──► RPUSH, LTRIM to ``entries_max``

The files are what counts: a letter is in its file before it is here. While Redis does not answer, letters wait; beyond
the bound the oldest are left out of the list, and counted.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from nissa.config.sinks import DeadLetterRedis
from nissa.files.secret_file import SecretFile
from nissa.forwarders.dead_letters import DeadLetter
from nissa.model.errors import ConfigInvalid, NissaError
from nissa.model.units import SECOND_MS

WAITING_MAX: Final = 10_000
BATCH: Final = 500
PAUSE_S_MIN: Final = 0.5
PAUSE_S_MAX: Final = 30.0
SETTING: Final = "dead_letters_redis"

log = structlog.get_logger()


class DeadLetterList:
    """The list of all sinks. ``note`` may be called from any thread; the rest lives on the loop."""

    def __init__(self, settings: DeadLetterRedis) -> None:
        self._settings = settings
        self._waiting: deque[bytes] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self.mirrored = self.left_out = 0
        self.error = ""

    def note(self, sink: str, letters: Sequence[DeadLetter]) -> None:
        """Put letters of a sink into the list soon."""
        for letter in letters:
            if len(self._waiting) >= WAITING_MAX:
                self._waiting.popleft()
                self.left_out += 1
            self._waiting.append(msgspec.json.encode({"sink": sink, **msgspec.to_builtins(letter)}))
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop is being closed
                loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Mirror until cancelled."""
        self._loop = asyncio.get_running_loop()
        pause_s = PAUSE_S_MIN
        while True:
            self._woken.clear()
            if not self._waiting:
                await self._woken.wait()
            try:
                await self._mirror()
            except (RedisError, OSError, NissaError) as error:
                text = " ".join(str(error).split())[:300]
                if text != self.error:
                    log.warning("dead letters are not mirrored to Redis; retrying", error=text)
                self.error = text
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
            else:
                self.error, pause_s = "", PAUSE_S_MIN

    async def _mirror(self) -> None:
        """Send all that waits. Raises: RedisError, ConfigInvalid."""
        settings = self._settings
        options: dict[str, Any] = {}
        if settings.password_file:
            options["password"] = SecretFile(settings.password_file, f"{SETTING}.password_file").text
        timeout_s = settings.timeout_ms / SECOND_MS
        try:
            redis = Redis.from_url(settings.url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, **options)
        except ValueError as error:
            raise ConfigInvalid(f"{SETTING}.url", str(error)) from None
        async with redis:
            while self._waiting:
                batch = [self._waiting[place] for place in range(min(BATCH, len(self._waiting)))]
                left_out = self.left_out
                async with redis.pipeline(transaction=True) as pipe:
                    pipe.rpush(settings.list, *batch)
                    pipe.ltrim(settings.list, -settings.entries_max, -1)
                    await pipe.execute()
                self.mirrored += len(batch)
                for _ in range(len(batch) - min(self.left_out - left_out, len(batch))):
                    self._waiting.popleft()

    def facts(self) -> dict[str, object]:
        """Facts for ``/api/status``."""
        return {
            "mirrored": self.mirrored,
            "waiting": len(self._waiting),
            "left_out": self.left_out,
            "error": self.error or None,
        }
