"""K-05: what decoding again and again leaves behind: no object of Python, no byte of malloc. K-03: memcheck's opinion.

That no ``nogil`` section touches an object is the compiler's to say: Cython refuses such code.
"""

import ctypes
import gc
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torture.amount import amount, told

from nissa.model.errors import Malformed
from oracle import fuzz_remote_write, fuzz_wire, leyline, packets
from oracle.fuzz_remote_write import NOW_MS, generate
from oracle.wire import damage

pytestmark = pytest.mark.slow

BODIES, ROUNDS = 10, 4
OURS = "_5nissa_5_fast_"  # in the names of all functions of the compiled modules
CODECS = (1, 2, leyline.BUS, leyline.EVENT, leyline.PACKET, packets.PACKET, packets.COLUMNS, packets.POINT)


class Mallinfo(ctypes.Structure):
    """``struct mallinfo2``."""

    _fields_ = (("before", ctypes.c_size_t * 7), ("uordblks", ctypes.c_size_t), ("behind", ctypes.c_size_t * 2))


def bodies_of(codec: int, rng: random.Random) -> list[bytes]:
    """Half of them sound, half of them damaged."""
    if codec <= 2:
        sound = [generate(codec, rng).SerializeToString() for _ in range(BODIES)]
    else:
        twin = leyline if codec <= leyline.PACKET else packets
        sound = [twin.a_message(codec, rng).SerializeToString() for _ in range(BODIES)]
    return sound + [damage(body, rng.choice(sound), rng) for body in sound]


def decoder_of(codec: int, wire: fuzz_wire.Harness) -> Callable[[bytes], object]:
    """A function that decodes one body, as the engine does."""
    terms: Any = fuzz_remote_write.Terms(oldest_ms=NOW_MS - 1, newest_ms=NOW_MS + 1)

    def decode(body: bytes) -> None:
        try:
            if codec <= 2:
                fuzz_remote_write.answer(body, codec, wire.index, wire.batch, terms)
            else:
                wire.decode(body, codec, False)
        except Malformed:
            pass

    return decode


@pytest.mark.skipif("NISSA_SANITIZED" in os.environ, reason="the sanitizer's malloc keeps its own books")
def test_decoding_leaves_nothing_behind() -> None:
    """The same bodies over and over, sound and damaged: blocks of Python and bytes of malloc stay as many."""
    heap = ctypes.CDLL(None).mallinfo2
    heap.restype = Mallinfo
    rng = random.Random(17)
    rounds = amount("NISSA_TORTURE_LEAK_ROUNDS", quick=ROUNDS, full=200)
    decoded = 0
    for codec in CODECS:
        decode, bodies = decoder_of(codec, fuzz_wire.Harness()), bodies_of(codec, rng)
        grown = []
        for turn in range(rounds):
            gc.collect()
            before = (sys.getallocatedblocks(), heap().uordblks)
            for _ in range(4):
                for body in bodies:
                    decode(body)
            gc.collect()
            after = (sys.getallocatedblocks(), heap().uordblks)
            grown.append((after[0] - before[0], after[1] - before[1]))
            decoded += 4 * len(bodies) * (turn > 0)
        # The first turns fill caches; a leak shows in each.
        blocks, heap_bytes = (sorted(column)[rounds // 2] for column in zip(*grown[1:], (0, 0), strict=True))
        assert blocks <= 1, (codec, grown)
        assert heap_bytes == 0, (codec, grown)
    told("K-05", f"{decoded} decodings of {len(CODECS)} codecs: median growth 0 objects, 0 bytes of malloc")


@pytest.mark.timeout(0)
def test_memcheck_finds_nothing(tmp_path: Path) -> None:
    """Valgrind, on release modules: no error, nothing definitely lost with a frame of ours."""
    if shutil.which("valgrind") is None or not amount("NISSA_TORTURE_MEMCHECK", quick=0, full=1):
        pytest.skip("valgrind is not here, or this is no full run")
    log = tmp_path / "memcheck.log"
    options = ["--leak-check=full", "--show-leak-kinds=definite", "--num-callers=30", f"--log-file={log}"]
    program = "import sys; sys.path.insert(0, 'tests'); from torture.test_leaks import decode_all; decode_all()"
    subprocess.run(
        ["valgrind", *options, sys.executable, "-c", program],
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONMALLOC": "malloc"},
    )
    reports = re.split(r"^==\d+== \n", log.read_text(), flags=re.MULTILINE)
    ours = [report for report in reports if OURS in report]
    told("K-03", f"memcheck over {len(CODECS) * 2 * BODIES} bodies: {len(ours)} reports with a frame of ours")
    assert not ours, ours[0]


def decode_all() -> None:
    """Every body of every codec, once."""
    rng, wire = random.Random(18), fuzz_wire.Harness()  # one: memcheck has little address space to reserve
    for codec in CODECS:
        decode = decoder_of(codec, wire)
        for body in bodies_of(codec, rng):
            decode(body)
