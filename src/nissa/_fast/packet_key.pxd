# Dedup key of a packet or a request: a keyed 128-bit hash of its parts.
#
#   packet               source, packet id
#   packet without id    source, request
#   request              epoch as 8 bytes little endian, request id
#
# Each part is hashed in a name space of its own, and the second is chained to the first.

from libc.stdint cimport uint8_t, uint64_t
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.types cimport Fingerprint, Text

cdef enum:
    DOMAIN_SOURCE = 0x41
    DOMAIN_PACKET = 0x42
    DOMAIN_EPOCH = 0x43
    DOMAIN_REQUEST = 0x44


cdef inline Fingerprint packet_key(const Secret* secret, Text source, Text packet_id) noexcept nogil:
    cdef Fingerprint key = hash_bytes(secret, source.at, source.size, DOMAIN_SOURCE)
    cdef Fingerprint part = hash_bytes(secret, packet_id.at, packet_id.size, DOMAIN_PACKET)
    chain(secret, &key, &part)
    return key


cdef inline Fingerprint request_key(const Secret* secret, uint64_t epoch, Text request_id) noexcept nogil:
    cdef Fingerprint key = hash_bytes(secret, <const uint8_t*>&epoch, sizeof(epoch), DOMAIN_EPOCH)
    cdef Fingerprint part = hash_bytes(secret, request_id.at, request_id.size, DOMAIN_REQUEST)
    chain(secret, &key, &part)
    return key


cdef inline Fingerprint nameless_key(const Secret* secret, Text source, const Fingerprint* request) noexcept nogil:
    """The key of a packet without an id: it is identified by its request."""
    cdef Fingerprint key = hash_bytes(secret, source.at, source.size, DOMAIN_SOURCE)
    chain(secret, &key, request)
    return key
