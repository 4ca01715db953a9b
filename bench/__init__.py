"""Benchmarks, run from the repository's root as ``python -m bench.NAME``; docs/performance.md says what each shows."""

import os

# Before anything loads numpy: its BLAS threads would spin beside what is measured.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
