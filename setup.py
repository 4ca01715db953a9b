"""Builds the compiled modules: every ``src/nissa/_fast/*.pyx`` becomes one extension. The rest is in pyproject.toml.

``NISSA_BUILD`` chooses the mode; each mode has its own directory for generated C and objects, so they never mix:

    release   what users get: no bounds checks (the cursor makes its own), C division, -O3
    sanitize  AddressSanitizer and UndefinedBehaviorSanitizer; Cython checks bounds, wraparound and integer overflow;
              released receive buffers are overwritten (NISSA_CHECKED); -O0
    trace     line tracing and profiling hooks, for coverage and profilers
    native    release for this machine's instruction set only
    none      no modules: links a source tree into an environment; its modules are built in place, apart

A build into the source tree remembers its mode and rebuilds when the next one differs.
"""

import os
import subprocess
import sys
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from Cython.Build import cythonize
from Cython.Compiler.ModuleNode import ModuleNode
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

MODES = ("release", "sanitize", "trace", "native", "none")
MODE = os.environ.get("NISSA_BUILD") or "release"
if MODE not in MODES:
    raise SystemExit(f"NISSA_BUILD: expected one of {', '.join(MODES)}, got {MODE!r}")

FAST = Path("src/nissa/_fast")
BUILD = Path("build") / MODE
INPLACE_MODE = Path("build/inplace-mode")

RELEASE = {"boundscheck": False, "wraparound": False, "initializedcheck": False, "cdivision": True}
CHECKED = {"boundscheck": True, "wraparound": True, "initializedcheck": True, "cdivision": True, "overflowcheck": True}
DIRECTIVES = {
    "release": RELEASE,
    "native": RELEASE,
    "sanitize": CHECKED,
    "trace": {**RELEASE, "linetrace": True, "profile": True},
}
MACROS: dict[str, list[tuple[str, str | None]]] = {
    "sanitize": [("NISSA_CHECKED", "1")],
    "trace": [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")],
}
# Generated C trips these three by construction: unused entry points, unused self arguments, method-table casts.
WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unused-parameter", "-Wno-cast-function-type"]
WARNINGS += ["-Wno-missing-field-initializers", "-Wno-sign-compare"]  # the same: static type tables, tuple sizes
# Checked pointer differences pass through integers.
WARNINGS += ["-Wno-int-conversion"] if MODE == "sanitize" else []
# No fused multiply-add: arm64 has it, the baseline of x86-64 has not, and results are the same to the last bit on both.
ROUNDING = ["-ffp-contract=off"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
COMPILE = {
    "release": ["-O3", "-g0"],  # Python's own flags have -g, which takes a sixth of the time and most of the size
    "sanitize": ["-O0", "-g1", *SANITIZERS],  # compiles six times faster than -O1
    "trace": ["-O2"],
    "native": ["-O3", "-march=native"],
}
LINK = {"sanitize": SANITIZERS}


class BuildModules(build_ext):
    """build_ext that keeps the modes apart and notices when the source tree holds another mode's modules."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self.parallel = 2

    def finalize_options(self) -> None:
        super().finalize_options()
        self.build_temp = str(BUILD / "objects")

    def run(self) -> None:
        self.translate()
        if not self.inplace:
            super().run()
            return
        built = INPLACE_MODE.read_text() if INPLACE_MODE.exists() else ""
        self.force = self.force or built != MODE
        INPLACE_MODE.unlink(missing_ok=True)
        super().run()
        INPLACE_MODE.parent.mkdir(parents=True, exist_ok=True)
        INPLACE_MODE.write_text(MODE)

    def translate(self) -> None:
        """Cython to C, here and not at import: pip asks this file for metadata several times before it builds."""
        leave_enums_unchecked()
        directives = {"language_level": 3, "embedsignature": True, "show_performance_hints": False, **DIRECTIVES[MODE]}
        options = {"build_dir": str(BUILD / "cython"), "include_path": ["src"], "compiler_directives": directives}
        translated = cythonize([copy(extension) for extension in self.extensions], nthreads=2, **options)
        sources = {extension.name: extension.sources for extension in translated}
        for extension in self.extensions:
            extension.sources = sources[extension.name]


class BuildPython(build_py):
    """build_py that brings the pages along; an editable install has them built by make."""

    def run(self) -> None:
        if not self.editable_mode:
            build_pages()
        super().run()


class Archive(sdist):
    """sdist with the pages built, so that a build from it needs no registry of Node's packages."""

    def run(self) -> None:
        build_pages()
        super().run()


def build_pages() -> None:
    """Build the pages from ui/ where that is newer, by the Python that runs this. A source archive has them built."""
    script = Path("scripts/build-pages")
    if script.exists():
        subprocess.run([sys.executable, str(script)], check=True)  # noqa: S603  its own script


def leave_enums_unchecked() -> None:
    """Constants of C enums stand outside of functions, where Cython (3.1 to 3.3) fails to place an overflow check."""
    generate = ModuleNode.generate_enum_definition

    def generate_unchecked(self: ModuleNode, entry: Any, code: Any) -> None:
        nodes = [value.value_node for value in entry.enum_values]
        while nodes:
            node = nodes.pop()
            if node is not None:
                node.overflow_check = node.is_temp = False
                nodes += [getattr(node, "operand1", None), getattr(node, "operand2", None), getattr(node, "arg", None)]
        generate(self, entry, code)

    ModuleNode.generate_enum_definition = generate_unchecked


def compiled_modules() -> list[Extension]:
    """One extension per .pyx; all of them depend on every header, which are few. None in mode none."""
    if MODE == "none":
        return []
    headers = sorted(str(path) for pattern in ("*.pxd", "*.h") for path in FAST.glob(pattern))
    return [
        Extension(
            f"nissa._fast.{path.stem}",
            [str(path)],
            include_dirs=[str(FAST), np.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), *MACROS.get(MODE, [])],
            extra_compile_args=[*COMPILE[MODE], *ROUNDING, *WARNINGS],
            extra_link_args=LINK.get(MODE, []),
            depends=headers,
        )
        for path in sorted(FAST.glob("*.pyx"))
    ]


if __name__ == "__main__":
    COMMANDS = {"build_ext": BuildModules, "build_py": BuildPython, "sdist": Archive}
    setup(ext_modules=compiled_modules(), cmdclass=COMMANDS)
