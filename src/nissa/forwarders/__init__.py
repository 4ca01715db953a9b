"""Passes the frames of the journal on to outside systems, each with a cursor of its own."""
