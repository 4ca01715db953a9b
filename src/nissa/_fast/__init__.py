"""Compiled modules: bytes and arrays. They know no time, no file and no configuration."""
