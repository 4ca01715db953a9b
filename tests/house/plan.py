"""The house as the rules see it: its files, and what its compiled and plain modules import."""

import ast
import gc
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "nissa"
TESTS = ROOT / "tests"

FLOORS = {
    "_fast": 0,
    **dict.fromkeys(("model", "config", "_proto", "files"), 1),
    **dict.fromkeys(("codec", "series", "dedup", "redaction", "journal", "safeguards"), 2),
    **dict.fromkeys(("catalogue", "database"), 3),
    **dict.fromkeys(("store", "access"), 4),
    "rollup": 5,
    **dict.fromkeys(("maintenance", "selfmetrics"), 6),
    **dict.fromkeys(("ingest", "query"), 7),
    **dict.fromkeys(("promql", "rules", "alerting", "slo", "tiers", "incidents", "backup"), 8),
    **dict.fromkeys(("sources", "forwarders", "notifiers", "api"), 9),
    **dict.fromkeys(("service", "cli", "middleware"), 10),
}
# Doors between rooms that the floors alone would close, each with its reason.
DOORS = {
    ("rules", "alerting"): "evaluating an alerting rule moves its alerts; alerts know no rule files",
    ("tiers", "slo"): "an agreement is measured by the expressions of objectives",
    ("slo", "rules"): "an objective is watched by rules that one can read",
    ("config", "model"): "settings are refused with the house's own errors",
    ("files", "model"): "damage is reported with the house's own errors",
    ("_fast", "model"): "the boundary of a compiled module raises the house's own errors",
    ("query", "promql"): "a Reader answers PromQL; the evaluator knows no reader",
    ("middleware", "service"): "the clock",
    ("cli", "service"): "a command starts the service; the service knows no command",
}
_CIMPORT = re.compile(r"^\s*(?:from\s+(nissa[\w.]*)\s+c?import\s+(.+)|c?import\s+(nissa[\w.]*))", re.MULTILINE)


def python_files() -> list[Path]:
    """Every Python file of the package that a person wrote."""
    return sorted(path for path in SRC.rglob("*.py") if not path.stem.endswith("_pb2"))


def cython_files() -> list[Path]:
    """Every compiled module and inline header."""
    return sorted([*SRC.rglob("*.pyx"), *SRC.rglob("*.pxd")])


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    tree = ast.parse(path.read_text(), str(path))
    gc.freeze()  # trees stay to the end: the garbage collector need not look through them again and again
    return tree


def room_of(path: Path) -> str:
    """The room a file stands in; empty for the package's own __init__."""
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else ""


def shown(path: Path) -> str:
    """A path as messages show it."""
    return str(path.relative_to(ROOT))


def nissa_imports(path: Path) -> list[tuple[int, str]]:
    """(line, dotted module) of everything of nissa that a file imports, at its top or inside functions."""
    if path.suffix != ".py":
        return _cython_imports(path)
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "nissa":
            modules = [node.module] if "." in node.module else [f"nissa.{alias.name}" for alias in node.names]
            found += [(node.lineno, module) for module in modules]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "nissa"]
    return found


def _cython_imports(path: Path) -> list[tuple[int, str]]:
    text = path.read_text()
    found = []
    for match in _CIMPORT.finditer(text):
        module = match[1] or match[3]
        line = text.count("\n", 0, match.start()) + 1
        found.append((line, module if "." in module else f"{module}.{(match[2] or '').split()[0].rstrip(',')}"))
    return found
