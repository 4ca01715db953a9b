"""Compiled: faults of lines of a body. It has no public names; other compiled modules cimport it."""
