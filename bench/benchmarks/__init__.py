"""asv suites, one per compiled module: ``asv run --config bench/asv.conf.json``; they run ``bench/workloads.py``."""
