"""Expiring maps: which packets came before, and what became of a request."""

from nissa.ttl.frame_clock import FrameClock
from nissa.ttl.maps import CacheType, CleanupStatistics, Stored, TtlMaps

__all__ = ["CacheType", "CleanupStatistics", "FrameClock", "Stored", "TtlMaps"]
