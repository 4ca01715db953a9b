"""The URL of a push to the grouping key of its group.

/metrics/job/backup                             {job="backup"}
/metrics/job/backup/host/a%20b                  {job="backup", host="a b"}
/metrics/job@base64/YS9i/host@base64/=          {job="a/b", host=""}     URL-safe alphabet, padding optional
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from nissa.model.context import LABELS_MAX
from nissa.model.errors import Malformed

JOB: Final = "job"
_BASE64: Final = "@base64"
_NAME: Final = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_ALPHABET: Final = re.compile(rb"[A-Za-z0-9_-]*={0,2}")


def grouping_key(path: str) -> dict[str, str]:
    """Labels that the segments behind ``/metrics/`` name, sorted by name.

    path: of the request, from ``/metrics/job`` on, without a query.
    Raises: Malformed for a name or value that cannot be read, an empty job, a repeated name, and too many labels.
    """
    segments = path.removeprefix("/metrics/").split("/")
    if len(segments) % 2:
        raise Malformed(f"the path has {len(segments)} parts behind /metrics/; expected pairs of a label and its value")
    labels: dict[str, str] = {}
    for name, value in zip(segments[::2], segments[1::2], strict=True):
        name, encoded = name.removesuffix(_BASE64), name.endswith(_BASE64)
        if not _NAME.fullmatch(name):
            raise Malformed(f"label name {name[:40]!r} in the path: expected letters, digits and _, not beginning __")
        if name in labels:
            raise Malformed(f"label {name[:40]!r} stands twice in the path")
        labels[name] = _value(name, value, encoded=encoded)
    if not labels.get(JOB):
        raise Malformed("the path names no job: expected /metrics/job/<job>")
    if len(labels) > LABELS_MAX:
        raise Malformed(f"the path has {len(labels)} labels; at most {LABELS_MAX}")
    return dict(sorted(labels.items()))


def key_text(labels: Mapping[str, str]) -> str:
    """Text by which a group is stored: the same for the same grouping key."""
    return msgspec.json.encode(dict(sorted(labels.items()))).decode()


def _value(name: str, text: str, *, encoded: bool) -> str:
    value = unquote_to_bytes(text)
    if encoded:
        if not _ALPHABET.fullmatch(value):
            raise Malformed(f"value of {name[:40]!r} in the path is not base64 of the URL-safe alphabet")
        value = value.rstrip(b"=")
        try:
            value = base64.urlsafe_b64decode(value + b"=" * (-len(value) % 4))
        except binascii.Error as error:
            raise Malformed(f"value of {name[:40]!r} in the path is not base64: {error}") from None
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed(f"value of {name[:40]!r} in the path is not UTF-8") from None
