"""Deduplication maps with expiry: packets that were received, and requests whose data has arrived."""

from nissa.dedup.frame_clock import FrameClock
from nissa.dedup.maps import CacheType, CleanupStatistics, Stored, TtlMaps

__all__ = ["CacheType", "CleanupStatistics", "FrameClock", "Stored", "TtlMaps"]
