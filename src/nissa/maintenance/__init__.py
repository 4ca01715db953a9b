"""Maintenance: retention, scrubbing, and the guard against jumps of the clock."""
