"""Keys of packets and requests for whoever is not compiled; ``packet_key.pxd`` says what they are made of."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import hashlib

import numpy as np

from nissa._fast.arrow_text cimport offsets_ascend, text_at
from nissa._fast.hash cimport Secret
from nissa._fast.packet_key cimport packet_key, request_key
from nissa._fast.types cimport Fingerprint, Text


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class Keys:
    """Keys of packets and requests under the secret of a data directory (at least 32 bytes)."""

    cdef Secret secret

    def __cinit__(self, bytes secret not None):
        cdef bytes stretched
        if len(secret) < 32:
            raise ValueError(f"secret: expected at least 32 bytes, got {len(secret)}")
        stretched = hashlib.shake_256(secret).digest(sizeof(Secret))
        memcpy(&self.secret, <const char*>stretched, sizeof(Secret))

    def of_packet(self, const uint8_t[::1] source not None, const uint8_t[::1] packet_id not None):
        """The key of the packet ``packet_id`` of ``source`` (UTF-8), as uint64 (1, 2)."""
        return one_key(packet_key(&self.secret, text_of(source), text_of(packet_id)))

    def of_request(self, uint64_t epoch, const uint8_t[::1] request_id not None):
        """The key of request ``request_id`` (UTF-8) of an epoch, as uint64 (1, 2)."""
        return one_key(request_key(&self.secret, epoch, text_of(request_id)))

    def of_packets(self, int64_t[::1] source_offsets not None, const uint8_t[::1] sources, int64_t[::1] id_offsets
                   not None, const uint8_t[::1] ids):
        """Keys of many packets, uint64 (n, 2), whose sources and ids are Arrow text. Cost: about 15 ns per packet."""
        cdef size_t count = max(id_offsets.shape[0], 1) - 1, index
        if not (offsets_ascend(source_offsets, count + 1, len(sources)) and offsets_ascend(id_offsets, 1, len(ids))):
            raise ValueError("offsets of sources and packet ids do not ascend within their data")
        out = np.empty((count, 2), np.uint64)
        cdef uint64_t[:, ::1] view = out
        cdef Fingerprint key
        for index in range(count):
            key = packet_key(&self.secret, text_at(source_offsets, sources, index), text_at(id_offsets, ids, index))
            view[index, 0] = key.low
            view[index, 1] = key.high
        return out


cdef one_key(Fingerprint key):
    return np.array([[key.low, key.high]], np.uint64)


cdef Text text_of(const uint8_t[::1] data):
    cdef Text text
    text.at = &data[0] if data.shape[0] else NULL
    text.size = <uint32_t>data.shape[0]
    return text
