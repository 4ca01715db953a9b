"""The refusal of a file that settings name and that cannot be read."""

from pathlib import Path

from nissa.model.errors import ConfigInvalid


def unreadable(path: Path, error: OSError) -> ConfigInvalid:
    """The error to raise; for a relative path it says from where the file was looked for."""
    where = "" if path.is_absolute() else f" (looked for in the working directory {Path.cwd()})"
    return ConfigInvalid("", f"{path}: cannot be read: {error.strerror or error}{where}")
