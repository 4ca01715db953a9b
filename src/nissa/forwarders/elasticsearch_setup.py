"""Makes the data stream of a sink of Elasticsearch or OpenSearch: index template, retention, stream.

    GET /                            which server, which version
    retention policy                 Elasticsearch from 8.11: in the template; older ones: ILM; OpenSearch: ISM
    PUT _index_template/STREAM       unless one is there that says the same
    PUT _data_stream/STREAM

A template or policy of that name that Nissa has not made is left alone, and reported: the sink is blocked. A server
without a way to drop old events gets a stream without retention, which the log and the status say.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog

from nissa.config.sinks import ElasticsearchSink
from nissa.forwarders.bulk_answers import error_text
from nissa.forwarders.sink_client import SinkAnswer, SinkClient
from nissa.model.quantity import Unit, write_quantity
from nissa.model.units import DAY_MS

OWNER: Final = {"managed_by": "nissa"}
PRIORITY: Final = 500  # of the template, above those that come with the servers
LIFECYCLE_SINCE: Final = (8, 11)
KEYWORD: Final = {"type": "keyword", "ignore_above": 8191}  # a longer term is refused with its event
ROLLOVER: Final = {"max_age": "1d", "max_size": "50gb"}
JSON: Final = {"Content-Type": "application/json"}
# Types of ``attributes``, the best first: one field for any number of names, or not searchable at all.
ATTRIBUTES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "elasticsearch": ({"type": "flattened", "ignore_above": 8191}, {"type": "object", "enabled": False}),
    "opensearch": ({"type": "flat_object"}, {"type": "object", "enabled": False}),
}
_REFUSED: Final = (400, 404, 405)


class SetupFailed(Exception):
    """The stream cannot be made now. blocked: a retry soon will not help."""

    def __init__(self, reason: str, *, blocked: bool, answer: SinkAnswer | None = None) -> None:
        super().__init__(reason)
        self.blocked, self.answer = blocked, answer


class StreamSetup:
    """The stream of one sink. done: it is there. server: kind and version. retention: how old events are dropped."""

    def __init__(self, config: ElasticsearchSink, client: SinkClient, setting: str) -> None:
        """setting: path of the sink in the configuration, for messages."""
        self._config, self._client, self._setting = config, client, setting
        self.lock = asyncio.Lock()
        self.done = not config.setup
        self.server = self.retention = ""
        self._kind = "elasticsearch"
        self._version = (0, 0)

    async def make(self) -> None:
        """Make the parts that are missing. Raises: SetupFailed, SinkUnreachable."""
        await self._detect()
        self.retention = "none"
        for retention in self._retentions():
            if await self._policy(retention) and await self._template(retention):
                self.retention = retention
                break
        if self.retention == "none":
            log = structlog.get_logger()
            log.warning("sink has no way to drop old events", sink=self._setting, server=self.server)
        await self._stream()
        self.done = True

    async def _detect(self) -> None:
        answer = await self._ask("GET", "", allowed=(400, 403, 404, 405))
        found = _json(answer)
        version = found.get("version")
        words = version if isinstance(version, Mapping) else {}
        number = str(words.get("number", ""))[:40]
        self._kind = "opensearch" if words.get("distribution") == "opensearch" else "elasticsearch"
        self._version = _numbers(number)
        self.server = f"{self._kind} {number}".strip()

    def _retentions(self) -> tuple[str, ...]:
        """Ways to drop old events, the best first."""
        if self._kind == "opensearch":
            return ("ism", "none")
        if (0, 0) < self._version < LIFECYCLE_SINCE:
            return ("ilm", "none")
        return ("lifecycle", "ilm", "none")

    async def _policy(self, retention: str) -> bool:
        """Make the policy that a way of retention needs; False where the server does not know it."""
        if retention == "ilm":
            return await self._ilm()
        return await self._ism() if retention == "ism" else True

    async def _ilm(self) -> bool:
        phases = {
            "hot": {"actions": {"rollover": ROLLOVER}},
            "delete": {"min_age": self._kept, "actions": {"delete": {}}},
        }
        path, wanted = f"_ilm/policy/{self._config.stream}", {"policy": {"_meta": OWNER, "phases": phases}}
        there = await self._ask("GET", path, allowed=_REFUSED)
        if there.status == 200:
            own = _json(there).get(self._config.stream)
            policy = own.get("policy") if isinstance(own, Mapping) else None
            self._check_owner(policy, f"ILM policy {self._config.stream}")
        answer = await self._ask("PUT", path, wanted, allowed=_REFUSED)
        if answer.status == 400:  # before 7.16 a policy has no owner
            answer = await self._ask("PUT", path, {"policy": {"phases": phases}}, allowed=_REFUSED)
        return answer.status == 200

    async def _ism(self) -> bool:
        path, stream = f"_plugins/_ism/policies/{self._config.stream}", self._config.stream
        there = await self._ask("GET", path, allowed=_REFUSED)
        if there.status not in (200, 404) or (there.status == 404 and b"no handler" in there.content):
            return False
        found = _json(there)
        query = ""
        if there.status == 200:
            policy = found.get("policy")
            if not isinstance(policy, Mapping) or policy.get("description") != _DESCRIPTION:
                raise self._conflict(f"ISM policy {stream}")
            if _conditions(policy) == self._age:
                return True
            query = f"?if_seq_no={found.get('_seq_no', 0)}&if_primary_term={found.get('_primary_term', 1)}"
        await self._ask("PUT", path + query, {"policy": self._ism_policy()})
        return True

    def _ism_policy(self) -> dict[str, Any]:
        rollover = {"min_index_age": ROLLOVER["max_age"], "min_size": ROLLOVER["max_size"]}
        hot = {
            "name": "hot",
            "actions": [{"rollover": rollover}],
            "transitions": [{"state_name": "delete", "conditions": self._age}],
        }
        delete = {"name": "delete", "actions": [{"delete": {}}], "transitions": []}
        template = [{"index_patterns": [f".ds-{self._config.stream}-*", self._config.stream], "priority": PRIORITY}]
        return {
            "description": _DESCRIPTION,
            "default_state": "hot",
            "states": [hot, delete],
            "ism_template": template,
        }

    @property
    def _age(self) -> dict[str, str]:
        """Age of an index to drop: its newest event is up to a day younger than itself."""
        return {"min_index_age": write_quantity(self._config.retention_ms + DAY_MS, Unit.DURATION)}

    @property
    def _kept(self) -> str:
        return write_quantity(self._config.retention_ms, Unit.DURATION)

    async def _template(self, retention: str) -> bool:
        """Make the index template; False where the server does not know this way of retention."""
        path, stream = f"_index_template/{self._config.stream}", self._config.stream
        there = await self._ask("GET", path, allowed=(404,))
        known = self._templates(there, path)
        for one in known:
            self._check_owner(one.get("index_template"), f"index template {stream}")
        for attributes in ATTRIBUTES[self._kind]:
            wanted = self._template_body(retention, attributes)
            answer = await self._ask("PUT", path, wanted, allowed=(400,))
            if answer.status != 400:
                if retention == "lifecycle" and known:  # of a stream that is there
                    kept = {"data_retention": self._kept}
                    await self._ask("PUT", f"_data_stream/{stream}/_lifecycle", kept, allowed=_REFUSED)
                return True
            if b"No handler for type" not in answer.content:
                break
        if retention == "lifecycle" and b"lifecycle" in answer.content:
            return False
        raise self._failure(answer, "PUT", path)

    def _templates(self, there: SinkAnswer, path: str) -> list[Mapping[str, Any]]:
        """The templates of an answer. One that cannot be read is no reason to replace what is there."""
        if there.status == 404:
            return []
        if not there.whole:  # those of Nissa are short
            raise self._conflict(f"index template {self._config.stream}")
        found = _json(there).get("index_templates")
        if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
            what = f"the answer to GET /{path} is not that of a server of Elasticsearch or OpenSearch"
            raise SetupFailed(f"{what} ({self._setting}.url): {there.text}", blocked=True)
        return found

    def _template_body(self, retention: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        fields = {
            "@timestamp": {"type": "date", "format": "strict_date_optional_time||epoch_millis"},
            **dict.fromkeys(("level", "source", "event_id", "packet_id"), KEYWORD),
            "description": {"type": "text"},
            "attributes": attributes,
        }
        template: dict[str, Any] = {"mappings": {"dynamic": False, "properties": fields}}
        if retention == "lifecycle":
            template["lifecycle"] = {"data_retention": self._kept}
        if retention == "ilm":
            template["settings"] = {"index.lifecycle.name": self._config.stream}
        return {
            "index_patterns": [self._config.stream],
            "data_stream": {},
            "priority": PRIORITY,
            "_meta": OWNER,
            "template": template,
        }

    async def _stream(self) -> None:
        """Make the stream; some servers make it with the first event only."""
        await self._ask("PUT", f"_data_stream/{self._config.stream}", allowed=_REFUSED)

    def _check_owner(self, found: Any, what: str) -> None:
        if not isinstance(found, Mapping) or found.get("_meta") != OWNER:
            raise self._conflict(what)

    def _conflict(self, what: str) -> SetupFailed:
        reason = f"the {what} is there and was not made by Nissa: rename it, set another {self._setting}.stream, or"
        return SetupFailed(f"{reason} set {self._setting}.setup to false", blocked=True)

    async def _ask(
        self, method: str, path: str, document: Mapping[str, Any] | None = None, allowed: tuple[int, ...] = ()
    ) -> SinkAnswer:
        """One request. allowed: statuses that are no failure. Raises: SetupFailed, SinkUnreachable."""
        body = b"" if document is None else msgspec.json.encode(document)
        url = f"{self._config.url.rstrip('/')}/{path}"
        answer = await self._client.request(method, url, body, JSON if body else {})
        if 200 <= answer.status < 300 or answer.status in allowed:
            return answer
        raise self._failure(answer, method, path)

    def _failure(self, answer: SinkAnswer, method: str, path: str) -> SetupFailed:
        if 300 <= answer.status < 400:
            return SetupFailed(f"{answer} ({method} /{path})", blocked=True, answer=answer)
        reason = error_text(_json(answer).get("error")) or answer.text
        text = f"the sink answers HTTP status {answer.status} to {method} /{path}: {reason}".removesuffix(": ")
        return SetupFailed(text, blocked=answer.status != 429 and answer.status < 500, answer=answer)


_DESCRIPTION: Final = "events of Nissa"


def _json(answer: SinkAnswer) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(answer.content)
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _conditions(policy: Mapping[str, Any]) -> Any:
    """Conditions under which an index is dropped; None where the policy does not say it as Nissa does."""
    try:
        return policy["states"][0]["transitions"][0]["conditions"]
    except (LookupError, TypeError):
        return None


def _numbers(version: str) -> tuple[int, int]:
    """Major and minor; (0, 0) where the server does not say."""
    words = version.split(".")[:2]
    return (
        (int(words[0]), int(words[1]))
        if len(words) == 2 and all(word.isascii() and word.isdigit() for word in words)
        else (0, 0)
    )
