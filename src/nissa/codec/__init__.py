"""Wire languages: bytes to columns and back, one file each. No sockets."""
