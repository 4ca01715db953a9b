"""Decoders and encoders of wire formats, bytes to columns and back, one file per format. No sockets."""
