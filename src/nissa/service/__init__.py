"""Wiring, daemon, clock: the only place where rooms are put together."""
