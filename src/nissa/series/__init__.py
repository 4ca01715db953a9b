"""Series: identity, limit, selection."""
