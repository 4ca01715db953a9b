"""Words: docstrings name the thing, public names are unique, the glossary is true."""

import ast
import re

from house.plan import ROOT, SRC, cython_files, python_files, room_of, shown, tree_of

SETTINGS = "src/nissa/config/tree.py"
# Names that several files may define, each with its reason.
SHARED_NAMES = {
    "Engine": "nissa.Engine of service/ is ingest's engine with the clock and settings of a program that embeds it",
    "upgrade": "alembic calls it in each revision; database/migrate.py calls alembic",
    "decode": "each codec has one: the table of ingest/decode.py chooses by the name of the language",
    "main": "the entry point of each of the two commands",
}
# Public names that nothing in src uses, each with its reason.
UNUSED_NAMES = {
    **dict.fromkeys(
        ("bucket_indexes", "check_sketches", "number_texts", "seen_minutes_of"),
        "compiled; tests compare single steps with their twins through it",
    ),
    **dict.fromkeys(("fill_powers", "fill_escapes"), "compiled; called once when its module is imported"),
}
OPENER = re.compile(r'^\s*r?"""(What|Who|How|Whether|Where|Which|When|Why)\b')


def test_docstrings_name_the_thing() -> None:
    """No docstring opens with a question word: it names the thing or the action."""
    wrong = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in [*python_files(), *cython_files(), *SRC.rglob("*.pyi")]
        if "_pb2" not in path.name
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if OPENER.match(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_public_names_are_unique() -> None:
    """No two files define a public class or function of one name.

    Exceptions: names in ``SHARED_NAMES``; sections of the settings, which are called as in the file of settings; and
    commands and handlers of the API, which are called as their command or route.
    """
    places: dict[str, set[str]] = {}
    for path in [*python_files(), *(SRC / "_fast").glob("*.pyi")]:
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                if shown(path) == SETTINGS or (room_of(path) == "cli" and _has_typer_arguments(node)):
                    continue
                places.setdefault(node.name, set()).add(shown(path))
    wrong = [
        f"{name}: {', '.join(sorted(files))}"
        for name, files in sorted(places.items())
        if len(files) > 1 and name not in SHARED_NAMES
    ]
    assert not wrong, "\n".join(wrong)
    assert [name for name in SHARED_NAMES if len(places.get(name, ())) < 2] == []


def _has_typer_arguments(node: ast.ClassDef | ast.FunctionDef) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(part, ast.Name) and part.id in {"typer", "Annotated"}
        for argument in node.args.args
        for part in ast.walk(argument)
    )


def test_public_names_are_used() -> None:
    """A public function or class of src is named somewhere else in src; what only tests need stands in tests/oracle."""
    used: set[str] = set()
    for path in python_files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
                used.update(re.findall(r"\w+", node.value))  # names of modules loaded late, annotations in quotes
    wrong = []
    for path in [*python_files(), *(SRC / "_fast").glob("*.pyi")]:
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name not in used | UNUSED_NAMES.keys():
                is_command = room_of(path) == "cli" and bool(node.decorator_list)
                if not node.name.startswith("_") and not is_command:
                    wrong.append(f"{shown(path)}:{node.lineno}: {node.name}")
    assert not wrong, "\n".join(wrong)
    assert [name for name in UNUSED_NAMES if name in used] == [], "used meanwhile: take them off the list"


def test_names_in_the_glossary_exist() -> None:
    """A class or file in backquotes of docs/GLOSSARY.md is there."""
    classes = {
        node.name for path in python_files() for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)
    }
    gone = []
    for name in re.findall(r"`([^`]+)`", (ROOT / "docs" / "GLOSSARY.md").read_text()):
        if (re.fullmatch(r"([A-Z][a-z]+)+", name) and name not in classes) or (
            "/" in name and not name.startswith("http/") and not (SRC / name).exists()
        ):
            gone.append(name)
    assert not gone
