"""Compiled: packets and events of a body. It has no public names; other compiled modules cimport it."""
