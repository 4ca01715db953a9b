"""The commands nissa and nissa-ingest."""
