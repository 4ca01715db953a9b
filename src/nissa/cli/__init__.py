"""The commands ``nissa`` and ``nissa-ingest``: text in, text out, one file per command."""
