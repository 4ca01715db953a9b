"""Test files that reach compiled code: ``compiled`` at all; ``direct`` themselves, run by the sanitize build.

    test file ──imports──> nissa._fast, or a twin in tests/oracle that imports it           reaches it directly
    test file ──imports──> a file of src/nissa or tests/oracle ──imports──> nissa._fast     reaches it, by one step

Further steps do not count: nearly every file imports compiled code by some chain, and the file at the end of the chain
has tests of its own. A test file that is worth it all the same has the marker by itself. Tests that start processes or
drive servers run on the release build only, whatever they import.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Final

import nissa

TESTS: Final = Path(__file__).parent
SOURCES: Final = Path(nissa.__file__).parent
# Rooms whose tests start the daemon or commands, or drive the HTTP servers: release build and installed package only.
RELEASE_ONLY: Final = ("cli", "docs", "house", "journeys", "api", "scripts", "service", "sources", "torture")


@cache
def reaches_compiled(path: Path) -> bool:
    """True if a test file runs on the sanitize build."""
    if path.relative_to(TESTS).parts[0] in RELEASE_ONLY:
        return False
    imported = imported_modules(path)
    files = filter(None, map(file_of, imported))
    return any(map(is_compiled, imported)) or any(any(map(is_compiled, imported_modules(file))) for file in files)


@cache
def reaches_directly(path: Path) -> bool:
    """True if a test file, or a twin that it imports, imports compiled code: these run on the sanitize build."""
    twins = [file for file in map(file_of, imported_modules(path)) if file and TESTS in file.parents]
    return any(is_compiled(module) for file in [path, *twins] for module in imported_modules(file))


@cache
def imported_modules(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, at its top or inside functions; of ``from a import b`` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def is_compiled(module: str) -> bool:
    """True for a compiled module, or a name out of one."""
    return module.startswith("nissa._fast")


def file_of(module: str) -> Path | None:
    """The file of a module of nissa or tests; None for packages, names out of modules, and everybody else's."""
    top = SOURCES.parent if module.startswith("nissa.") else TESTS
    file = top.joinpath(*module.split(".")).with_suffix(".py")
    return file if file.is_file() else None
