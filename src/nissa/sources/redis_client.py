"""Redis as the sources use it: commands in, answers as Redis gives them, no retries of its own.

The library's own readings of answers are switched off: they make an object per field, and the hot path needs ids and
payloads only. A connection that breaks in the middle of a command is thrown away with it, so that no answer is taken
for that of another command.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from nissa.model.errors import ConfigInvalid

Command = Sequence[Any]

__all__ = ["Command", "RedisClient", "RedisError", "ResponseError", "without_userinfo"]


class RedisClient:
    """A pool of connections to one server. Raises: RedisError from every call that does not get its answer."""

    def __init__(self, url: str, password: str, timeout_s: float, block_s: float, setting: str) -> None:
        """password: instead of that in the URL, where it is not empty. timeout_s: for a connection, and for an answer.
        block_s: how long a command may block beyond that. setting: path of the URL in the configuration.

        Raises: ConfigInvalid for a URL that cannot be read.
        """
        self._place = without_userinfo(url)
        options: dict[str, Any] = {"password": password} if password else {}
        try:
            self._redis: Any = Redis.from_url(
                url,
                protocol=2,
                socket_timeout=timeout_s + block_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                **options,
            )
        except ValueError as error:
            raise ConfigInvalid(setting, str(error)) from None
        self._redis.response_callbacks.clear()

    async def call(self, *command: Any) -> Any:
        """The answer to one command."""
        return await self._redis.execute_command(*command)

    async def call_all(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        """Answers to commands that are sent together; with ``transaction`` all of them are done, or none."""
        if not commands:
            return []
        async with self._redis.pipeline(transaction=transaction) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            answers: list[Any] = await pipe.execute()
        return answers

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    def described(self, error: RedisError, credentials: str) -> str:
        """A fault in words. credentials: settings to check where the server refuses them."""
        text = f"{type(error).__name__}: {error}"
        if any(word in text for word in ("NOAUTH", "WRONGPASS", "AuthenticationError", "NOPERM")):
            return f"Redis at {self._place} refuses the credentials ({text}): check {credentials}"
        return f"Redis at {self._place}: {text}"


def without_userinfo(url: str) -> str:
    """A URL without user and password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
