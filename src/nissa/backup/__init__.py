"""Copies of a data directory at a moment: made while it is written, and restored into an empty directory."""
