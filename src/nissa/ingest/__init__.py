"""The journey of a frame."""
