"""Nissa: an observability ingestion engine. ``nissa.open`` reads a directory; ``nissa.Engine`` embeds the engine."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nissa.query.reader import Reader as Reader
    from nissa.service.embedded import Engine as Engine
    from nissa.service.embedded import open_reader as open

__version__ = "0.1.0"
__all__ = ["Engine", "Reader", "__version__", "open"]

# Loaded at first use: importing the package must cost nothing that its user does not need.
_LAZY = {
    "Engine": ("nissa.service.embedded", "Engine"),
    "Reader": ("nissa.query.reader", "Reader"),
    "open": ("nissa.service.embedded", "open_reader"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'nissa' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)
