"""What ``nissa.Engine`` and ``nissa.open`` are: the rooms put together without sockets."""

from pathlib import Path

from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.ingest.engine import Engine as _Engine
from nissa.service.clock import wall_ms


class Engine(_Engine):
    """The engine on a data directory, in this process: ``ingest`` bodies, ``snapshot`` what is there, ``close``.

        with nissa.Engine("./nissa-data") as engine:
            receipt = engine.ingest(body, Codec.REMOTE_WRITE_1, Encoding.SNAPPY)
    """

    def __init__(self, data_dir: str | Path, config: Config | None = None) -> None:
        """Open ``data_dir`` for writing. Raises: DirectoryLocked, UnknownFormat, JournalFailed, Damaged."""
        super().__init__(Path(data_dir), config if config is not None else load_config(None, {}, {}), wall_ms)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
