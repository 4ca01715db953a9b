"""Rule files that come with Nissa, each with its unit tests."""
