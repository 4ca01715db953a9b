"""The context of a frame: facts that its source knows and its body does not contain.

    scrape      labels of the target; conflict as honor_labels says      url
    push        labels of the group, which replace                       url, parameters of the content type
    lines       the database, unless a line has one                      precision of timestamps, as a parameter
    bus         stream and subject, the ids of its messages
    any         the tenant, as the label it becomes; categories of events that a mode drops

``labels`` are added to every series of the frame and, as attributes, to every event; the tenant's label replaces that
of the sender in any case. The journal stores a context as it is encoded here (``docs/format/journal.md``): a
MessagePack map in which empty fields are left out. A source that sends many frames with the same context encodes it
once.
"""

from typing import Literal

import msgspec

LABELS_MAX = 64  # of one context, the tenant's included
NAME_LABEL = "__name__"

Conflict = Literal["rename", "keep", "replace"]


class Context(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Context of one frame, given by its edge.

    labels: name to value. conflict: what happens to a label of the same name that the sender gave: ``rename`` puts
    ``exported_`` in front of its name, ``keep`` lets it stand instead, ``replace`` drops it.
    tenant: label name and value. stream: topic or stream of a bus. subject: within it. ids: of the messages of a
    delimited body, in their order, or of the only message. url: as requested. parameters: of the content type
    or the URL. dropped: categories of events that were dropped when the frame was taken.
    """

    labels: dict[str, str] = {}
    conflict: Conflict = "rename"
    tenant: tuple[str, str] | None = None
    stream: str = ""
    subject: str = ""
    ids: tuple[str, ...] = ()
    url: str = ""
    parameters: dict[str, str] = {}
    dropped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse labels that no series can have. Raises: ValueError."""
        names = [*self.labels, *(self.tenant or ())[:1]]
        if len(names) > LABELS_MAX:
            raise ValueError(f"a context with {len(names)} labels; at most {LABELS_MAX}")
        for name in names:
            if not name or name == NAME_LABEL:
                raise ValueError(f"a context cannot set the label {name!r}")

    def encode(self) -> bytes:
        """The context as a frame carries it; no bytes at all where it says nothing."""
        return b"" if self == NO_CONTEXT else msgspec.msgpack.encode(self)

    def rules(self) -> list[tuple[str, str, Conflict]]:
        """(name, value, conflict) of each label with a value that is added; the tenant's last."""
        tenant_name, tenant = self.tenant or ("", "")
        rules: list[tuple[str, str, Conflict]] = [
            (name, value, self.conflict) for name, value in self.labels.items() if value and name != tenant_name
        ]
        return [*rules, (tenant_name, tenant, "replace")] if tenant else rules


def decode_context(data: bytes) -> Context:
    """The context that ``data`` encodes; the empty one for no bytes.

    Raises: ValueError where it is none, or has fields that this version does not know.
    """
    return msgspec.msgpack.decode(data, type=Context) if data else NO_CONTEXT


NO_CONTEXT = Context()
