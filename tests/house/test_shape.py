"""Sizes, names and words of files and functions."""

import ast
import re

from house.plan import ROOT, SRC, TESTS, cython_files, python_files, shown, tree_of

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
COMPILED_FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 120
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "handler", "misc", "lib"}
BANNED_NAMES |= {"types_", "constants", "shared", "stuff"}
# Written so that this file does not hold what it looks for.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
MACHINE = re.compile(r"(^|[\s\"'`(=])/(work|root|home/\w+)/|\.\./shared")
_DEFINITION = re.compile(r"^(?P<indent>\s*)(?:async\s+)?(?:def|cdef|cpdef)\s[^=]*\(.*")
TEXT_SUFFIXES = {".py", ".pyx", ".pxd", ".pyi", ".md", ".toml", ".cfg", ".ini", ".proto", ".sh", ".yaml", ".yml", ""}
TEXT_SUFFIXES |= {".ts", ".tsx", ".css", ".html"}
GENERATED = {"build", "dist", ".venv", ".git", ".mypy_cache", ".ruff_cache", ".hypothesis", "nissa-data", "__pycache__"}
GENERATED |= {"node_modules", ".benchmarks", ".asv", ".tox", ".pytest_cache"}


def own_files() -> list:  # type: ignore[type-arg]
    """Every text file of the repository that is not generated."""
    found = []
    for top in sorted(ROOT.iterdir()):
        if top.name in GENERATED or top.suffix == ".egg-info":
            continue
        paths = [top] if top.is_file() else top.rglob("*")
        found += [path for path in paths if path.is_file() and path.suffix in TEXT_SUFFIXES]
    return [path for path in found if not GENERATED & set(path.parts) and "_pb2" not in path.name]


def test_files_are_of_one_noun() -> None:
    """No source file is over 500 lines: two nouns share it."""
    wrong = []
    for path in [*python_files(), *cython_files()]:
        lines = len(path.read_text().splitlines())
        if lines > FILE_LINES_MAX:
            wrong.append(f"{shown(path)}: {lines} lines")
    assert not wrong, "\n".join(wrong)


def test_functions_fit_a_screen() -> None:
    """Python functions have at most 60 lines, their docstring included."""
    wrong = []
    for path in python_files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    wrong.append(f"{shown(path)}:{node.lineno}: {node.name} has {lines} lines")
    assert not wrong, "\n".join(wrong)


def test_compiled_functions_fit_a_screen() -> None:
    """Compiled functions have at most 70 lines."""
    wrong = []
    for path in cython_files():
        for name, line, lines in compiled_functions(path.read_text().splitlines()):
            if lines > COMPILED_FUNCTION_LINES_MAX:
                wrong.append(f"{shown(path)}:{line}: {name} has {lines} lines")
    assert not wrong, "\n".join(wrong)


def compiled_functions(lines: list[str]) -> list[tuple[str, int, int]]:
    """(name, first line, length) of each function in Cython source, by indentation."""
    found = []
    for start, line in enumerate(lines):
        match = _DEFINITION.match(line)
        if match is None:
            continue
        head = start
        while head < len(lines) and not lines[head].rstrip().endswith(":") and head - start < 20:
            head += 1
        if head - start >= 20 or head >= len(lines):
            continue  # a declaration without a body
        indent = len(match["indent"])
        end = head + 1
        last = head
        while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
            last = end if lines[end].strip() else last
            end += 1
        name = re.split(r"\(", line.strip())[0].split()[-1].lstrip("*&")
        found.append((name, start + 1, last - start + 1))
    return found


def test_lines_fit() -> None:
    """No line of source is over 120 columns (ruff sees Python; this sees Cython and protobuf too)."""
    wrong = []
    for path in [*cython_files(), *sorted((ROOT / "proto").rglob("*.proto"))]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if len(line) > LINE_COLUMNS_MAX:
                wrong.append(f"{shown(path)}:{number}: {len(line)} columns")
    assert not wrong, "\n".join(wrong)


def test_names_are_nouns_of_the_domain() -> None:
    """No file or room is named after nothing."""
    paths = [*SRC.rglob("*.py"), *SRC.rglob("*.pyx"), *TESTS.rglob("*.py")]
    wrong = [shown(path) for path in paths if {path.stem.removeprefix("test_"), path.parent.name} & BANNED_NAMES]
    assert not wrong, "\n".join(wrong)


def test_files_open_with_their_theory() -> None:
    """Every source file, header and test file begins with a docstring or a comment."""
    wrong = [shown(path) for path in [*python_files(), *TESTS.rglob("*.py")] if not ast.get_docstring(tree_of(path))]
    wrong += [shown(path) for path in cython_files() if not path.read_text().lstrip().startswith(('"""', 'r"""', "#"))]
    assert not wrong, "\n".join(wrong)


def test_every_test_says_what_it_shows() -> None:
    """Each test has a docstring: one sentence of behaviour."""
    wrong = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(tree_of(path)):
            is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
            if is_test and not ast.get_docstring(node):
                wrong.append(f"{shown(path)}:{node.lineno}: {node.name}")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_for_later() -> None:
    """No file says that something is unfinished; open work belongs in an issue."""
    wrong = [
        f"{shown(path)}:{number}"
        for path in own_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_names_a_machine() -> None:
    """The repository contains no paths of a developer's machine."""
    wrong = [
        f"{shown(path)}:{number}"
        for path in own_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_rooms_open_with_a_sentence_and_no_logic() -> None:
    """A room's __init__.py has a docstring, imports and __all__, nothing else."""
    wrong = []
    for path in SRC.glob("*/__init__.py"):
        body = tree_of(path).body
        allowed = ast.Expr | ast.Import | ast.ImportFrom | ast.Assign
        if not ast.get_docstring(tree_of(path)) or not all(isinstance(node, allowed) for node in body):
            wrong.append(shown(path))
    assert not wrong, "\n".join(wrong)
