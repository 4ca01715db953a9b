"""Safeguards around every door: circuit breakers, modes under load, admission by priority, rate limits. Pure: time is
an argument."""
