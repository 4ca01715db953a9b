"""Questions to the store: selectors, reading a directory, export forms."""
