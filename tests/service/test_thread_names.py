"""Names of threads as the kernel shows them."""

import threading
from pathlib import Path

from nissa.service.thread_names import name_threads


def test_threads_have_their_names() -> None:
    """Without the prefix and cut to 15 bytes; the main thread keeps the name of the process."""
    main = Path("/proc/self/comm").read_text()
    done = threading.Event()
    threads = [threading.Thread(target=done.wait, name=name) for name in ("nissa-sealer", "nissa-" + "x" * 20)]
    known: set[int] = set()
    try:
        for thread in threads:
            thread.start()
        name_threads(known)
        shown = [Path(f"/proc/self/task/{thread.native_id}/comm").read_text() for thread in threads]
        assert shown == ["sealer\n", "x" * 15 + "\n"]
        assert Path("/proc/self/comm").read_text() == main
    finally:
        done.set()
        for thread in threads:
            thread.join()
    gone = {thread.native_id for thread in threads}
    name_threads(known)
    assert not known & gone
