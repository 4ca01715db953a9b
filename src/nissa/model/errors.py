"""All errors, by whose fault they are.

=====================  ==========================================  =====================
error                  at fault                                    does a retry help?
=====================  ==========================================  =====================
Malformed, TooLarge    the sender of the bytes                     no
UnsupportedMedia       the sender of the headers                   with other headers
Unauthorized           the sender, which has no right              with a token
BadQuery               the author of the query                     no
QueryTimeout           the query, or a busy machine                perhaps
QueryCanceled          the client, which went away                 yes
ConfigInvalid          the operator                                after an edit
Unavailable            this machine, for now (disk, load)          yes, after retry_after_s
RateLimited            the sender, which sends too much        yes, after retry_after_s
BlocksChanged          nobody: files were replaced meanwhile       yes, with the current files
JournalFailed          the disk under the journal                  yes, once it takes writes
DirectoryLocked        another process holds the directory         after it ends
UnknownFormat          a newer Nissa wrote the directory           with that version
SourceFailed           the system a source reads, or its settings  yes; Nissa does by itself
Damaged                the disk                                    no; the rest is served
InvariantBroken        Nissa itself                                no; please report it
=====================  ==========================================  =====================

A *refusal* is not an error: it is a value with a reason inside a Receipt, and is counted.
"""


class NissaError(Exception):
    """Any error Nissa raises on purpose. Its message names what, where, expected and got."""


class Malformed(NissaError):
    """The bytes are not what their content type says. ``offset``: byte position in the decompressed body, or -1."""

    def __init__(self, what: str, offset: int = -1) -> None:
        super().__init__(what if offset < 0 else f"{what} at byte {offset}")
        self.what = what
        self.offset = offset


class TooLarge(NissaError):
    """A named limit was passed. ``setting`` is the path in the configuration that moves it."""

    def __init__(self, what: str, *, got: int, limit: int, setting: str) -> None:
        super().__init__(f"{what}: {got} is over the limit of {limit} ({setting})")
        self.got = got
        self.limit = limit
        self.setting = setting


class Unauthorized(NissaError):
    """A request without a token that admits it."""


class UnsupportedMedia(NissaError):
    """Content type or content encoding that this endpoint does not read."""


class BadQuery(NissaError):
    """A selector, time or parameter of a query that cannot be read, or that passes a limit."""


class QueryTimeout(NissaError):
    """A query took longer than it may. The same query may pass when the machine is less busy."""


class QueryCanceled(NissaError):
    """A query whose client went away before the answer."""


class ConfigInvalid(NissaError):
    """A configuration value that Nissa will not start with. ``path``: where it stands, like ``storage.durability``."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}" if path else what)
        self.path = path


class Unavailable(NissaError):
    """Temporarily unavailable: nothing was stored. Retry after ``retry_after_s`` seconds."""

    def __init__(self, reason: str, retry_after_s: int = 1) -> None:
        super().__init__(f"unavailable: {reason}; retry after {retry_after_s} s")
        self.reason = reason
        self.retry_after_s = retry_after_s


class RateLimited(Unavailable):
    """A sender is over its rate limit; nothing of the frame was stored."""


class BlocksChanged(Unavailable):
    """Files that a merge has read are not in the catalogue any more when it is to replace them; nothing was changed."""


class JournalFailed(NissaError):
    """The journal could not be made durable, on fresh files either. What was not acknowledged stays so."""


class DirectoryLocked(NissaError):
    """Another process serves this data directory."""


class UnknownFormat(NissaError):
    """The directory, or a file in it, has a format newer than this version reads. Nothing was changed."""


class Damaged(NissaError):
    """Bytes on disk that fail their checksum. ``path`` names the file."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path
        self.what = what


class SourceFailed(NissaError):
    """The system that a source reads cannot be reached, refuses, or does not answer as it should."""


class InvariantBroken(NissaError):
    """Something Nissa itself guarantees does not hold. The writer concerned stops; health shows it."""
