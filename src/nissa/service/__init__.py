"""The daemon, the embedded engine and the clock: the only room that creates and connects the others."""
