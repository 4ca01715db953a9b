"""Groups of pushes: bounds, order of frame and state, and sending again after a restart."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import pytest

from nissa.config.sources import Push
from nissa.model.context import decode_context
from nissa.model.errors import Damaged, Malformed, SourceFailed, TooLarge, Unavailable
from nissa.model.frame import Codec, Frame, Source
from nissa.model.receipt import Receipt
from nissa.sources.inlet import Inlet
from nissa.sources.push_groups import PushGroups, PushRequest
from oracle.intake import Intake

NOW_MS = 1_758_000_000_000


class Store:
    """A state store in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.fails = False

    def read(self, room: str) -> dict[str, bytes]:
        assert room == "push"
        return dict(self.rows)

    def commit(self, room: str, changes: Mapping[str, bytes | None]) -> None:
        assert room == "push"
        if self.fails:
            raise Unavailable("no disk")
        for key, value in changes.items():
            self.rows.pop(key, None)
            if value is not None:
                self.rows[key] = value


def run(
    scenario: Callable[[PushGroups], Awaitable[None]],
    intake: Intake | None = None,
    store: Store | None = None,
    config: Push | None = None,
) -> None:
    """Run a scenario on groups of their own."""

    async def on_loop() -> None:
        inlet = Inlet(intake or Intake(), Source.PUSH, lambda: NOW_MS)
        await scenario(PushGroups(config or Push(), inlet, store or Store()))

    asyncio.run(on_loop())


def put(name: str, body: bytes | None, *, replaces: bool = True) -> PushRequest:
    return PushRequest({"job": name}, body, replaces)


def shown(frame: Frame) -> tuple[str, bool, list[bytes]]:
    """Job, staleness and the samples of a frame without the times of pushes."""
    context = decode_context(frame.context)
    lines = [line for line in frame.body.splitlines() if not line.startswith((b"#", b"push_"))]
    return context.labels["job"], context.parameters.get("stale") == "true", lines


def test_what_is_gone_ends_with_markers() -> None:
    """POST replaces families of a name, PUT all, DELETE ends all; times grow where the clock stands."""
    intake, store = Intake(), Store()

    async def scenario(groups: PushGroups) -> None:
        await groups.apply(put("j", b'x{a="1"} 1\nx{a="2"} 1\ny 1\n'))
        await groups.apply(put("j", b'x{a="1"} 2\n', replaces=False))
        await groups.apply(put("j", b"z 1\n"))
        await groups.apply(put("j", None))
        await groups.apply(put("j", None))
        assert groups.facts()["groups"] == 0

    run(scenario, intake, store)
    assert [shown(frame) for frame in intake.frames] == [
        ("j", False, [b'x{a="1"} 1', b'x{a="2"} 1', b"y 1"]),
        ("j", False, [b'x{a="1"} 2', b"y 1"]),
        ("j", True, [b'x{a="2"} 1']),
        ("j", False, [b"z 1"]),
        ("j", True, [b'x{a="1"} 2', b"y 1"]),
        ("j", True, [b"z 1"]),
    ]
    assert {(frame.codec, frame.source) for frame in intake.frames} == {(Codec.EXPOSITION, Source.PUSH)}
    assert [frame.received_ms - NOW_MS for frame in intake.frames] == [0, 1, 1, 2, 2, 3]
    assert b"push_time_seconds 1758000000.000\n" in intake.frames[0].body
    assert store.rows == {}


def test_a_frame_or_state_that_fails_leaves_the_group() -> None:
    """The frame comes first; nothing is acknowledged, and the group is sent as it was."""
    intake, store = Intake(), Store()

    async def scenario(groups: PushGroups) -> None:
        await groups.apply(put("j", b"x 1\n"))
        before = dict(store.rows)
        intake.outcomes = [Unavailable("no journal")]
        with pytest.raises(Unavailable):
            await groups.apply(put("j", b"x 2\n"))
        intake.outcomes = [Receipt(refused={"series_limit": 1})]
        assert (await groups.apply(put("j", b"x 3\n"))).refused == {"series_limit": 1}
        store.fails = True
        with pytest.raises(Unavailable):
            await groups.apply(put("j", None))
        store.fails = False
        assert store.rows == before
        with pytest.raises(Malformed):
            await groups.apply(put("j", b"x"))
        assert groups.facts()["pushes_refused"] == 1
        assert shown(intake.frames[-1]) == ("j", False, [b"x 1"])
        assert b"push_failure_time_seconds 1758000000.000\n" in intake.frames[-1].body

    run(scenario, intake, store)


def test_groups_are_sent_again_after_a_restart() -> None:
    """Stored groups are sent at once; a refused frame is counted, and the others go on."""
    intake, store = Intake(), Store()

    async def first(groups: PushGroups) -> None:
        for number in range(40):
            await groups.apply(put(f"j{number}", b"x 1\n"))

    async def second(groups: PushGroups) -> None:
        up = asyncio.Event()
        intake.outcomes = [TooLarge("x", got=2, limit=1, setting="a.b")]
        task = asyncio.create_task(groups.run(up.set))
        while len(intake.frames) < 40:  # noqa: ASYNC110 - the frames have no event
            await asyncio.sleep(0)
        await asyncio.wait_for(up.wait(), 60)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert (groups.facts()["groups"], groups.facts()["frames_refused"]) == (40, 1)

    run(first, None, store)
    run(second, intake, store)
    assert {shown(frame)[0] for frame in intake.frames} == {f"j{number}" for number in range(40)}


@pytest.mark.parametrize(
    ("config", "setting"),
    [
        (Push(groups_max=1), "sources.push.groups_max"),
        (Push(group_bytes_max=1_024), "sources.push.group_size_max"),
        (Push(total_bytes_max=1_024), "sources.push.total_size_max"),
    ],
)
def test_bounds(config: Push, setting: str) -> None:
    """A push beyond a limit is refused and names the setting; groups that are there stay."""

    async def scenario(groups: PushGroups) -> None:
        await groups.apply(put("a", b"x 1\n"))
        with pytest.raises(TooLarge, match=setting):
            await groups.apply(put("b", b'x{a="%b"} 1\n' % (b"y" * 1_100)))
        await groups.apply(put("a", b"x 2\n"))
        assert dict(groups.facts())["pushes_refused"] == 1

    run(scenario, config=config)


def test_state_that_cannot_be_read() -> None:
    """The source fails with the reason, and pushes are refused as long."""
    store = Store()
    store.rows["k"] = b"\xc1"

    async def scenario(groups: PushGroups) -> None:
        with pytest.raises(SourceFailed, match=r"state\.sqlite"):
            await groups.run(lambda: None)
        with pytest.raises(Damaged):
            await groups.apply(put("j", b"x 1\n"))

    run(scenario, store=store)
