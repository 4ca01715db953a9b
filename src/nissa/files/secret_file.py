"""A secret in a separate file instead of the configuration, read again when the file changes."""

from pathlib import Path
from typing import Final

from nissa.model.errors import ConfigInvalid

BYTES_MAX: Final = 4096


class SecretFile:
    """value: bytes of the secret without a newline at its end; empty where no file is set."""

    def __init__(self, path: str, setting: str) -> None:
        """setting: path in the configuration, for messages. Raises: ConfigInvalid where the file cannot be read."""
        self._path = Path(path) if path else None
        self._setting = setting
        self.value = self._read() if self._path is not None else b""

    @property
    def text(self) -> str:
        """The secret as text."""
        return self.value.decode("utf-8", "replace")

    def read_again(self) -> bool:
        """True where the file holds another secret now. One that cannot be read leaves the secret as it is."""
        if self._path is None:
            return False
        try:
            value = self._read()
        except ConfigInvalid:
            return False
        changed, self.value = value != self.value, value
        return changed

    def _read(self) -> bytes:
        if self._path is None:
            return b""
        try:
            with self._path.open("rb") as file:
                value = file.read(BYTES_MAX + 1).rstrip(b"\r\n")
        except OSError as error:
            raise ConfigInvalid(self._setting, f"{self._path}: {error.strerror}") from None
        if not value or len(value) > BYTES_MAX:
            raise ConfigInvalid(self._setting, f"{self._path}: expected 1 to {BYTES_MAX} bytes")
        return value
