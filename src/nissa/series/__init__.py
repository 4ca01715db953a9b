"""Series: selection, retention policies, and spilling of idle ones to disk."""
