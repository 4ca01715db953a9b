"""Hundreds of millions of bodies through the sanitized decoders, some of them compared with twins over Google's parser.

    python tests/torture/fuzz/fuzz.py [COUNT] [TARGET …]        from the top of the tree; COUNT for all targets together

Each decoder is compiled once more, its source included in a module of its own beside ``loop.pxi``, which changes seeds
and calls it without Python in between: AddressSanitizer, UndefinedBehaviorSanitizer, Cython's bounds checks, and a
count of the pairs of basic blocks that decides which bodies are kept as seeds. After every bout the last body goes
through the decoder's public door and is compared with the twin of ``tests/oracle``, over Google's protobuf.

    COUNT ──► share per target ──► a process for each: bout of 50,000 ──► compare one ──► bout … ──► a line of figures

A report of the sanitizers ends the process of that target, and the run with it. ``NISSA_SEED`` repeats a seed.
"""

import importlib.util
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLACE = Path(__file__).resolve().parent
TOP = PLACE.parents[2]
BUILD = TOP / "build" / "fuzz"
LIBRARY = TOP / "build" / "sanitize" / "lib"
CAPTURE = TOP / "bench" / "captures" / "real-remote-write-5min.rw.zst"
BOUT = 50_000
SERIES_MAX = 20_000
SEEDS = 1_500
NOW_MS = 1_758_000_000_777

ARGUMENTS = "const uint8_t* at, size_t size, SeriesIndex index, Batch batch, int64_t oldest_ms, int64_t newest_ms"
REMOTE_WRITE_1 = """
    batch.begin()
    batch.status = walk_request_1(&index.secret, batch, cursor_over(at, size))
    if batch.status == OK:
        batch.status = index.resolve(batch, labels_of_1, NULL, 1, 1 << 30)
    if batch.status == OK:
        batch.complete(oldest_ms, newest_ms)
    return sound(at, size, batch)
"""
REMOTE_WRITE_2 = """
    batch.begin()
    batch.status = walk_symbols(&index.secret, batch, cursor_over(at, size))
    if batch.status == OK:
        batch.status = walk_request_2(&index.secret, batch, cursor_over(at, size))
    if batch.status == OK:
        batch.status = index.resolve(batch, labels_of_2, batch.symbols, 1, 1 << 30)
    if batch.status == OK:
        batch.status = notes_of_new(batch)
    if batch.status == OK:
        batch.complete(oldest_ms, newest_ms)
    return sound(at, size, batch)
"""
WALK = """
    cdef Walk walk
    cdef Text message
    cdef int status
    message.at = at
    message.size = <uint32_t>size
    begin_walk(&walk, &index.secret, 7, batch.records_max)
    batch.begin()
    decode_body(&walk, batch, index, message, {codec}fuzz_below(8) == 0, 1, 1 << 30)
    if batch.status == OK:
        batch.complete(oldest_ms, newest_ms)
    status = sound(at, size, batch)
    if status == 0:
        touch(&walk)
    end_walk(&walk)
    return status
"""
TOUCH = """

cdef size_t touched


cdef void touch(const Walk* walk) noexcept nogil:
    # Reads every text that an event points to.
    cdef size_t event, attribute
    for event in range(walk.event_count):
        touch_text(walk.events[event].source)
        touch_text(walk.events[event].event_id)
        touch_text(walk.events[event].description)
        touch_text(walk.events[event].packet_id)
    for attribute in range(walk.attribute_count):
        touch_text(walk.attributes[attribute].name)
        touch_text(walk.attributes[attribute].value)


cdef void touch_text(Text text) noexcept nogil:
    global touched
    cdef size_t place
    for place in range(text.size):
        touched += text.at[place]
"""
WALK += TOUCH
CLAIMS = (
    WALK.replace("        touch(&walk)\n", "        touch(&walk)\n        status = come_again(batch)\n")
    + """

include "dedup_keys.pyx"
from nissa._fast.ttl cimport TtlMap
cdef TtlMap known_events = TtlMap(5000), known_metrics = TtlMap(5000), known_alerts = TtlMap(50)
cdef uint64_t last_lsn = 0
cdef int64_t clock_ms = 0


cdef int come_again(Batch batch) noexcept with gil:
    # What a frame does behind its LSN: packets that came before lose their rows, and no other does.
    global last_lsn, clock_ms
    cdef size_t rows = batch.rows
    last_lsn += 1
    clock_ms += fuzz_below(3)
    try:
        marks = dedup_packets(batch, known_events, known_metrics, known_alerts, last_lsn, clock_ms, 100, 200, 300)
    except Exception:
        return -7
    if batch.rows + batch.duplicate_rows != rows or (marks is not None and len(marks) != batch.events):
        return -8
    if fuzz_below(1000) == 0:
        for remembered in (known_events, known_metrics, known_alerts):
            remembered.forget_above(last_lsn - fuzz_below(200) if last_lsn > 200 else 0)
    return 0
"""
)
INFLUX = """
    cdef Lines lines
    lines.unit_ns = 0 if fuzz_below(2) else 1000000
    lines.now_ms = newest_ms
    lines.oldest_ms, lines.newest_ms = oldest_ms, newest_ms
    decode_lines(&lines, index, batch, at, size, 1, 1 << 30)
    return sound(at, size, batch)
"""
OTLP_METRICS = """
    cdef Export export
    cdef int status
    begin_export(&export, &index.secret, oldest_ms, newest_ms)
    export.adds_up = True
    decode_metrics(&export, index, batch, totals, at, size, 1 + <uint32_t>fuzz_below(90), 1 << 30)
    status = sound(at, size, batch)
    end_export(&export)
    return status


cdef DeltaTotals totals = DeltaTotals(1_000, 60)
"""
OTLP_LOGS = """
    cdef Logs logs
    cdef Text message
    cdef int status
    message.at, message.size = at, <uint32_t>size
    begin_logs(&logs, index, batch, 7)
    decode_logs(&logs, batch, message)
    status = sound(at, size, batch)
    if status == 0:
        touch(&logs.walk)
    end_logs(&logs)
    return status
"""
GRAPHITE = """
    cdef Paths paths
    paths.now_ms = newest_ms
    paths.oldest_ms, paths.newest_ms = oldest_ms, newest_ms
    decode_paths(&paths, index, batch, at, size, 1, 1 << 30)
    return sound(at, size, batch)
"""
EXPOSITION = """
    cdef Page page
    page.openmetrics = fuzz_below(2) == 0
    page.own_times = fuzz_below(8) != 0
    page.stale = False
    page.now_ms = newest_ms
    page.oldest_ms, page.newest_ms = oldest_ms, newest_ms
    begin_page(&page, &index.secret, batch, at, size)
    end_page(&page, index, batch, labels_of_exposition, NULL, 1, 1 << 30)
    return 1 if batch.status == ENDING_WRONG else sound(at, size, batch)
"""
STATSD = """
    cdef Cursor cursor = cursor_over(at, size)
    cdef Line line
    cdef int found = UNKNOWN
    cdef uint32_t meter
    global meters
    if meters is None:
        with gil:
            meters = Meters(bytes(range(32)), 64, 4096, 4096)
    if meters.raw.used > 2000 or meters.bucket_count > 4000 or meters.members.used > 4000:
        clear_table(&meters.raw)
        clear_table(&meters.places)
        clear_table(&meters.members)
        meters.bucket_count = 0
    meters.fault_count = 0
    while found != ADDED:
        found = walk_lines(meters, &cursor, &line)
        if found == UNKNOWN:
            meter = <uint32_t>(line.kind + 4 * fuzz_below(16))
            if meters.sums.kind[meter] == NO_KIND:
                begin_meter(&meters.sums, meter, line.kind)
            if meters.sums.kind[meter] != line.kind:
                return -7
            put(&meters.raw, line.key.low, <uint32_t>line.key.high, meter)
            add_line(meters, &line, meter)
    return 0 if meters.fault_count == 0 else 1


cdef Meters meters = None
"""
SKETCH = """
    cdef int32_t offsets[2]
    cdef const uint8_t* stopped = NULL
    cdef uint8_t again[2048]
    cdef uint8_t* end
    cdef int fault
    global held, places
    if places == NULL:
        places = <uint32_t*>malloc(8 * SIDE_PLACES)
        held = buckets_in(<uint64_t*>calloc(BUCKETS_WORDS, 8))
    offsets[0] = 0
    offsets[1] = <int32_t>size
    fault = add_sketches(&held, offsets, at, 1, False, &stopped)
    if fault == SKETCH_SOUND:  # it has one form only, so the bytes come back as they were
        end = put_sketch(&held, places, again, again + sizeof(again), False)
        if <size_t>(end - again) != size or memcmp(again, at, size) != 0:
            return -6
    clear_buckets(&held)
    return 0 if fault == SKETCH_SOUND else 1


cdef Buckets held
cdef uint32_t* places = NULL
"""
# target: (decoder, codec number, body of one())
TARGETS: dict[str, tuple[str, int, str]] = {
    "remote_write_1": ("remote_write_1", 1, REMOTE_WRITE_1),
    "remote_write_2": ("remote_write_2", 2, REMOTE_WRITE_2),
    "bus": ("leyline", 3, WALK),
    "event": ("leyline", 4, WALK),
    "packet": ("leyline", 5, WALK),
    "packet_v2": ("packets", 6, WALK),
    "columns": ("sample_columns", 7, WALK),
    "claims": ("packets", 6, CLAIMS),
    "point": ("packets", 8, WALK),
    "event_v2": ("packets", 9, WALK),
    "influx": ("influx", 14, INFLUX),
    "graphite": ("graphite", 17, GRAPHITE),
    "otlp_metrics": ("otlp_metrics", 12, OTLP_METRICS),
    "otlp_logs": ("otlp_logs", 13, OTLP_LOGS + TOUCH),
    "exposition": ("exposition", 15, EXPOSITION),
    "statsd": ("statsd", 16, STATSD),
    "sketch": ("sketch", 0, SKETCH),
}
IMPORTS = """
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, malloc
from libc.string cimport memcmp
from nissa._fast.batch cimport Batch
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport OK, SERIES_NONE, Text
"""


def source_of(target: str) -> str:
    """The module of a target."""
    decoder, codec, body = TARGETS[target]
    body = body.replace("{codec}", "" if decoder == "sample_columns" else f"{codec}, ")
    return (
        f'include "{decoder}.pyx"\n{IMPORTS}\ncdef int one({ARGUMENTS}) noexcept nogil:{body}\n\ninclude "loop.pxi"\n'
    )


# ---- Building --------------------------------------------------------------------------------------------------------


def build(targets: list[str]) -> None:
    """The sanitized modules of the tree, and one for each target. Nothing is done twice."""
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build", "--build-base", "build/sanitize", "--build-lib", str(LIBRARY)],
        cwd=TOP,
        env={**os.environ, "NISSA_BUILD": "sanitize"},
        check=True,
    )
    BUILD.mkdir(parents=True, exist_ok=True)
    for target in targets:
        path = BUILD / f"fuzz_{target}.pyx"
        if not path.exists() or path.read_text() != source_of(target):
            path.write_text(source_of(target))
    subprocess.run([sys.executable, __file__, "--build", *targets], cwd=TOP, check=True)


def compile_targets(targets: list[str]) -> None:
    """Compile with the flags of setup.py's sanitize mode, and the coverage of GCC."""
    import numpy as np
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    os.environ["NISSA_BUILD"] = "sanitize"
    spec = importlib.util.spec_from_file_location("nissa_setup", TOP / "setup.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("setup.py cannot be loaded")
    rules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rules)
    rules.leave_enums_unchecked()
    fast = TOP / "src" / "nissa" / "_fast"
    headers = [*fast.glob("*.px*"), *fast.glob("*.h"), *PLACE.glob("*.pxi"), *PLACE.glob("*.h")]
    extensions = [
        Extension(
            f"fuzz_{target}",
            [str(BUILD / f"fuzz_{target}.pyx")],
            include_dirs=[str(fast), str(PLACE), np.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), *rules.MACROS["sanitize"]],
            extra_compile_args=[*rules.COMPILE["sanitize"], "-w", "-fsanitize-coverage=trace-pc"],
            extra_link_args=[*rules.SANITIZERS, "-Wl,-Bsymbolic"],
            depends=[str(path) for path in headers],
        )
        for target in targets
    ]
    directives = {"language_level": 3, "show_performance_hints": False, **rules.DIRECTIVES["sanitize"]}
    paths = [str(TOP / "src"), str(fast), str(PLACE)]
    made = cythonize(extensions, include_path=paths, compiler_directives=directives, build_dir=str(BUILD / "c"))
    distribution = Distribution({"ext_modules": made})
    command = distribution.get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(BUILD), str(BUILD / "objects")
    command.ensure_finalized()
    command.run()


# ---- Running ---------------------------------------------------------------------------------------------------------


def seeds_of(target: str, rng: random.Random) -> list[bytes]:
    """Messages made up, and for remote write 1.0 series of a real capture."""
    from oracle import fuzz_lines, fuzz_otlp, fuzz_otlp_logs, leyline, packets
    from oracle.fuzz_remote_write import generate
    from oracle.otlp import a_request

    decoder, codec, _ = TARGETS[target]
    if decoder == "sketch":
        return sketches(rng)
    if codec in fuzz_lines.CODECS:
        return [fuzz_lines.a_body(codec, rng) for _ in range(SEEDS)]
    if codec in fuzz_otlp.CODECS:
        return [a_request(rng).SerializeToString() for _ in range(SEEDS)]
    if codec in fuzz_otlp_logs.CODECS:
        return [fuzz_otlp_logs.a_request(rng).SerializeToString() for _ in range(SEEDS)]
    if codec <= 2:
        made = [generate(codec, rng).SerializeToString() for _ in range(SEEDS)]
        return made + (captured(rng) if codec == 1 else [])
    twin = leyline if codec <= leyline.PACKET else packets
    return [twin.a_message(codec, rng).SerializeToString() for _ in range(SEEDS)]


def sketches(rng: random.Random) -> list[bytes]:
    import numpy as np

    from nissa._fast.sketch import Sketch

    made = []
    for _ in range(SEEDS):
        sketch = Sketch()
        values = [rng.choice((0.0, 1.0, -1.0, 1e-300, 1e300, rng.gauss(0, 10))) for _ in range(rng.randrange(40))]
        sketch.add(np.array(values, np.float64))
        made.append(sketch.to_bytes())
    return made


def captured(rng: random.Random) -> list[bytes]:
    """Series of the capture, one to three at a time."""
    import cramjam

    from nissa._proto.remote_write_v1_pb2 import WriteRequest
    from nissa.journal.capture import read_capture

    made: list[bytes] = []
    for frame in read_capture(CAPTURE):
        request = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(frame.body)))
        for _ in range(8):
            chosen = [rng.choice(request.timeseries) for _ in range(rng.randrange(1, 4))] if request.timeseries else []
            made.append(WriteRequest(timeseries=chosen, metadata=request.metadata[:1]).SerializeToString())
        if len(made) >= SEEDS:
            break
    return made


def comparison(target: str) -> Callable[[bytes], str]:
    """A function that compares the decoder, by its public interface, with its twin for one body."""
    from oracle import fuzz_lines, fuzz_otlp, fuzz_otlp_logs, fuzz_remote_write, fuzz_wire

    _, codec, _ = TARGETS[target]
    if codec == 0:
        return lambda body: ""
    if codec in fuzz_lines.CODECS:
        return lambda body: fuzz_lines.compare(body, codec)
    if codec in fuzz_otlp.CODECS:
        return lambda body: fuzz_otlp.Harness().compare(body)
    if codec in fuzz_otlp_logs.CODECS:
        return lambda body: fuzz_otlp_logs.Harness().compare(body)
    if codec <= 2:
        remote = fuzz_remote_write.Harness()
        return lambda body: remote.compare(body, codec)
    wire = fuzz_wire.Harness()
    return lambda body: wire.compare(body, codec, False)


def run(target: str, count: int, seed: int) -> str:
    """One target, in the process that has the sanitizers. Returns: its figures."""
    for path in (TOP / "tests", BUILD):
        sys.path.insert(0, str(path))
    from nissa._fast.batch import Batch
    from nissa._fast.build_mode import is_checked
    from nissa._fast.series import SeriesIndex

    if not is_checked():
        raise RuntimeError("these modules are not sanitized")
    module: Any = importlib.import_module(f"fuzz_{target}")
    rng = random.Random(seed)
    module.begin(seeds_of(target, rng), seed)
    compare = comparison(target)
    batches = (Batch(), Batch(3, 2))  # the second has limits that small bodies meet
    windows = ((-(2**63), 2**63 - 1), (NOW_MS - 3_600_000, NOW_MS + 600_000))
    done = accepted = compared = pairs = kept = 0
    began_s, cpu_s = time.monotonic(), time.process_time()
    while done < count:
        index = SeriesIndex(bytes(range(32)), *((1_000_000,) if rng.random() < 0.9 else (50, 6, 20, 60)))
        for _ in range(8):
            batch, window = batches[rng.random() < 0.1], windows[rng.random() < 0.2]
            by_status, pairs, kept, body, _ = module.fuzz(index, batch, min(BOUT, count - done), SERIES_MAX, *window)
            done, accepted = done + sum(by_status), accepted + by_status[0]
            difference = compare(body)
            if difference:
                raise AssertionError(f"{target}, seed {seed}, body {body.hex()}: {difference}")
            compared += 1
            if done >= count or index.series_count >= SERIES_MAX:
                break
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - began_s
    return (
        f"{target}: seed {seed}, {done} executions, {accepted} accepted, {compared} compared with the twin, {pairs} "
        f"pairs of blocks, {kept} bodies kept, reports 0, differences 0, {cpu_s:.0f} cpu-s, {wall_s:.0f} s"
    )


def sanitized(target: str, count: int, seed: int) -> str:
    """``run`` in a process with the sanitizers' libraries. Raises: CalledProcessError where they reported something."""
    compiler = os.environ.get("CC", "gcc")
    libraries = ("libasan.so", "libubsan.so", "libstdc++.so.6")
    found = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in libraries
    ]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(found),
        "PYTHONPATH": f"{LIBRARY}:{TOP / 'tests'}",
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:alloc_dealloc_mismatch=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }
    command = [sys.executable, __file__, "--run", target, str(count), str(seed)]
    return subprocess.run(
        command, cwd=TOP, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def main(arguments: list[str]) -> None:
    """Build, run each target in turn, and print its figures at its end."""
    count = int(arguments[0]) if arguments else 1_000_000
    targets = arguments[1:] or list(TARGETS)
    build(targets)
    seed = int(os.environ.get("NISSA_SEED", str(random.randrange(1 << 30))))
    for target in targets:
        line = sanitized(target, -(-count // len(targets)), seed)
        print(line, flush=True)
        record = os.environ.get("NISSA_TORTURE_RECORD")
        if record:
            with Path(record).open("a") as file:
                file.write(f"K-02 {line}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        compile_targets(sys.argv[2:])
    elif sys.argv[1:2] == ["--run"]:
        print(run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    else:
        main(sys.argv[1:])
