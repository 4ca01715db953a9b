"""A list of Redis that also gets dead letters of notifications, for programs that watch it.

The outbox has every dead letter first; the list is a copy. Where Redis does not take one, that is logged and counted,
and the letter stays where it is.
"""

import asyncio
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from nissa.alerting.routing_store import OutboxEntry
from nissa.config.sinks import DeadLetterRedis
from nissa.files.secret_file import SecretFile
from nissa.model.errors import NissaError
from nissa.model.secrets import hide_in_urls
from nissa.model.units import SECOND_MS
from nissa.notifiers.notifier import Message
from nissa.notifiers.webhook import webhook_body

SETTING: Final = "dead_letters_redis"

log = structlog.get_logger()


class DeadLetterMirror:
    """The list of one Redis; nothing where its address is empty. failures: letters that it did not take."""

    def __init__(self, settings: DeadLetterRedis) -> None:
        self.failures = 0
        self._settings = settings

    async def add(self, entry: OutboxEntry, external_url: str) -> None:
        """Put a dead letter at the end of the list."""
        settings = self._settings
        if not settings.url:
            return
        body = webhook_body(Message(entry.delivery_id, entry.notification, external_url))
        letter = {"id": entry.id, "channel": entry.notification.path, "reason": entry.reason, "notification": body}
        content = orjson.dumps({**letter, "attempts": entry.attempts, "at_ms": entry.died_at_ms})
        try:
            limit = asyncio.timeout(settings.timeout_ms / SECOND_MS)
            async with limit, self._client() as redis, redis.pipeline(transaction=True) as pipe:
                pipe.rpush(settings.list, content)
                pipe.ltrim(settings.list, -settings.entries_max, -1)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError, ValueError, NissaError) as error:
            self.failures += 1
            reason = hide_in_urls(f"{type(error).__name__}: {error}")[:200]
            log.warning("a dead letter is not in the list of Redis", letter=entry.id, reason=reason)

    def _client(self) -> Any:
        """A client of its own for each letter, as they are rare. Raises: ValueError, ConfigInvalid."""
        settings = self._settings
        timeout_s = settings.timeout_ms / SECOND_MS
        options: dict[str, Any] = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        if settings.password_file:
            options["password"] = SecretFile(settings.password_file, f"{SETTING}.password_file").text
        return Redis.from_url(settings.url, protocol=2, retry=Retry(NoBackoff(), 0), **options)
