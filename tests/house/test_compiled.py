"""Compiled modules: stubs in step, words in step, and no Python below the boundary."""

import ast
import re
from pathlib import Path

import pytest

from house.plan import ROOT, SRC, shown
from nissa.model.refusal import Refusal

FAST = SRC / "_fast"
GENERATED = ROOT / "build" / "release" / "cython" / "src" / "nissa" / "_fast"
MODULES = sorted(FAST.glob("*.pyx"))
# What generated C calls only where Python objects are touched; those of the GIL mark its release and are harmless.
_PYTHON_CALL = re.compile(
    r"\b(Py[A-Z]\w*_\w+|Py_(?:X?DECREF|X?INCREF|NewRef)|__Pyx_(?!RefNanny|pretend|MEMVIEW)\w+)\s*\("
)
_HARMLESS = re.compile(
    r"PyGILState_|PyEval_(?:Save|Restore)Thread|__Pyx_(?:FastGIL|BEGIN|END|sub_|div_|mod_|set_|INCREF|XDEC|unlikely"
    r"|memviewslice|copy_object|fits_|is_|c_|pow_|abs_|DEFAULT|NoGIL|PyGILState|UNREACHABLE|TypeCheck|CAST|add_|mul_|lshift_)"
)
_LINE_MARK = re.compile(r'/\* "(?P<file>[^"]+)":(?P<line>\d+)\n')
_NOGIL = re.compile(r"\b(noexcept\s+nogil|nogil\s+noexcept)\b[^#]*:")


@pytest.fixture(scope="session")
def generated() -> dict[Path, str]:
    """Generated C of every module of the release build, which ``make setup`` keeps up to date."""
    texts = {}
    for path in MODULES:
        translated = GENERATED / f"{path.stem}.c"
        if not translated.exists() or translated.stat().st_mtime < path.stat().st_mtime:
            pytest.fail(f"{shown(translated)} is older than {shown(path)}, or missing: run make setup", pytrace=False)
        texts[path] = translated.read_text()
    return texts


def nogil_lines(path: Path) -> dict[int, str]:
    """Line -> function, of every line inside functions declared ``noexcept nogil``."""
    lines = path.read_text().splitlines()
    inside: dict[int, str] = {}
    number = 0
    while number < len(lines):
        if not re.match(r"\s*(cdef|cpdef)\s", lines[number]) or "(" not in lines[number]:
            number += 1
            continue
        head, end = lines[number], number
        while not head.split("#")[0].rstrip().endswith(":") and end + 1 < len(lines) and end - number < 12:
            end += 1
            head += " " + lines[end]
        if not _NOGIL.search(head):
            number += 1
            continue
        indent = len(lines[number]) - len(lines[number].lstrip())
        name = lines[number].split("(")[0].split()[-1]
        body = end + 1
        while body < len(lines) and (not lines[body].strip() or len(lines[body]) - len(lines[body].lstrip()) > indent):
            inside[body + 1] = name
            body += 1
        number = body
    return inside


@pytest.mark.skipif(not MODULES, reason="no compiled modules")
def test_loops_and_steps_touch_no_python(generated: dict[Path, str]) -> None:
    """Below the boundary the annotate score is 0: functions ``noexcept nogil`` generate no call into Python."""
    wrong = []
    checked = 0
    for path, text in generated.items():
        inside = nogil_lines(path)
        checked += len(inside)
        marks = [
            (match, int(match["line"])) for match in _LINE_MARK.finditer(text) if match["file"].endswith(path.name)
        ]
        for (match, line), following in zip(marks, [*[m.start() for m, _ in marks[1:]], len(text)], strict=True):
            if line not in inside:
                continue
            code = text[match.end() : following]
            code = code[code.find("*/") + 2 :]
            calls = {found[1] for found in _PYTHON_CALL.finditer(code) if not _HARMLESS.match(found[1])}
            if calls and "function exit code" not in code:
                wrong.append(f"{shown(path)}:{line}: {inside[line]}: {', '.join(sorted(calls))}")
    assert checked > 0
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_has_its_stub(path: Path) -> None:
    """A .pyi stands beside every .pyx and names what the module offers to Python."""
    stub = path.with_suffix(".pyi")
    assert stub.exists(), f"{shown(stub)} is missing"
    offered, declared = public_names(path), stub_names(stub)
    missing = {name for name in offered - declared if not name.isupper()}  # constants may be the module's own affair
    assert not missing, f"{shown(stub)} does not name {sorted(missing)}"
    assert declared <= offered, f"{shown(stub)} names what is not there: {sorted(declared - offered)}"


_PUBLIC = re.compile(
    r"(?P<indent>\s*)(?:(?:cdef )?class (?P<class>\w+)|def (?P<def>\w+)\(|(?P<constant>[A-Z][A-Z_0-9]+)\s*=)"
)


def public_names(path: Path) -> set[str]:
    """Names without underscore that a module defines for Python: functions, classes and their methods, constants."""
    names: set[str] = set()
    owner = ""
    depth = 0
    for line in path.read_text().splitlines():
        found = _PUBLIC.match(line)
        if found is None:
            continue
        indent = len(found["indent"])
        if found["class"] and indent == 0:
            owner, depth = found["class"], indent
            names |= {owner} if not owner.startswith("_") else set()
        elif found["def"]:
            name = found["def"]
            if indent == 0:
                owner = ""
            if indent <= depth + 4 and not name.startswith("_"):
                names.add(f"{owner}.{name}" if indent and owner else name)
        elif found["constant"] and indent == 0:
            names.add(found["constant"])
    return {name for name in names if not name.split(".")[0].startswith("_")}


def stub_names(path: Path) -> set[str]:
    """The same names, of a stub."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_")
            }
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.isupper():
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def test_no_include_and_no_cpdef() -> None:
    """No include, no .pxi, no cpdef functions; directives stand in setup.py."""
    wrong = []
    for path in [*FAST.glob("*.pyx"), *FAST.glob("*.pxd")]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.match(r"\s*(include\s|cpdef\s(?!enum))", line) or line.startswith("# cython:"):
                wrong.append(f"{shown(path)}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)
    assert not list(SRC.rglob("*.pxi"))


def test_refusal_words_are_those_of_the_compiled_header() -> None:
    """model.refusal and _fast/types.pxd number the same reasons."""
    header = (FAST / "types.pxd").read_text()
    block = re.search(r"enum Refusal:(.*?)(?:\n\n\S|\n\n\n|\Z)", header, re.DOTALL)
    assert block is not None
    numbered = dict(re.findall(r"^\s+([A-Z0-9_]+)\s*=\s*(\d+)", block[1], re.MULTILINE))
    ours = {reason.name: str(int(reason)) for reason in Refusal}
    assert {name: numbered.get(name) for name in ours} == ours
