"""Rooms stand on floors: a room imports lower floors only, never a neighbour."""

import ast

from house.plan import DOORS, FLOORS, cython_files, nissa_imports, python_files, room_of, shown, tree_of

AWAITING_FLOORS = {9, 10}
# Time comes in as an argument. The one file that reads the clock, and the calls that are reserved to it.
CLOCK = "src/nissa/service/clock.py"
CLOCK_CALLS = {
    ("time", name)
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "clock_gettime")
} | {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


def test_every_room_has_its_floor() -> None:
    """A new room is placed in the plan before anything imports it."""
    rooms = {room_of(path) for path in python_files()} - {""}
    assert rooms <= set(FLOORS), f"rooms without a floor: {sorted(rooms - set(FLOORS))}"


def test_imports_go_down() -> None:
    """No file imports its own floor's neighbours or a floor above; compiled modules import compiled modules only."""
    wrong = []
    for path in [*python_files(), *cython_files()]:
        room = room_of(path)
        if not room:
            continue  # nissa/__init__.py opens the house lazily; it is above all floors
        for line, module in nissa_imports(path):
            other = module.split(".")[1] if "." in module else ""
            if other == room or other not in FLOORS:
                continue
            if FLOORS[other] >= FLOORS[room] and (room, other) not in DOORS:
                wrong.append(f"{shown(path)}:{line}: {room} (floor {FLOORS[room]}) imports {other} ({FLOORS[other]})")
    assert not wrong, "\n".join(wrong)


def test_compiled_modules_know_only_words() -> None:
    """Of the floors above, _fast may know model's words (errors and refusal names), and only at its boundary."""
    wrong = [
        f"{shown(path)}:{line}: {module}"
        for path in cython_files()
        for line, module in nissa_imports(path)
        if module.split(".")[1] not in {"_fast", "model"}
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_edges_await() -> None:
    """async stands on the two highest floors; everything below is called and returns."""
    wrong = []
    for path in python_files():
        if FLOORS.get(room_of(path), 0) in AWAITING_FLOORS:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
                wrong.append(f"{shown(path)}:{node.lineno}")
    assert not wrong, "\n".join(wrong)


def test_one_file_reads_the_clock() -> None:
    """service/clock.py reads the time; everybody else is given it."""
    wrong = []
    for path in python_files():
        if shown(path) == CLOCK:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                if (owner, node.attr) in CLOCK_CALLS:
                    wrong.append(f"{shown(path)}:{node.lineno}: {owner}.{node.attr}")
            elif isinstance(node, ast.ImportFrom) and node.module == "time":
                names = {alias.name for alias in node.names} & {name for owner, name in CLOCK_CALLS if owner == "time"}
                wrong += [f"{shown(path)}:{node.lineno}: from time import {name}" for name in sorted(names)]
    assert not wrong, "\n".join(wrong)


def test_asserts_stay_in_tests() -> None:
    """A broken invariant raises InvariantBroken, which -O does not remove."""
    wrong = [
        f"{shown(path)}:{node.lineno}"
        for path in python_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Assert)
    ]
    for path in cython_files():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip().startswith("assert "):
                wrong.append(f"{shown(path)}:{number}")
    assert not wrong, "\n".join(wrong)


def test_except_exception_stands_at_edges_and_says_why() -> None:
    """Catching everything is for threads and edges, and each place says why in a comment on its line or the next."""
    wrong = []
    for path in python_files():
        lines = path.read_text().splitlines()
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            )
            nearby = lines[node.lineno - 1 : node.lineno + 1]
            if broad and not any("#" in line for line in nearby):
                wrong.append(f"{shown(path)}:{node.lineno}: says not why it catches everything")
    assert not wrong, "\n".join(wrong)
