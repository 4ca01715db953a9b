# Keyed 128-bit hashing of bytes, inline.
#
# Two lanes of multiply-and-fold (the product of two 64-bit words, its halves xored) run over the same bytes under
# different words of a secret that is drawn once per data directory: who does not know it cannot make two label sets
# meet. Both lanes together are the fingerprint. Nothing here is a checksum for disk: these numbers are compared only
# under one secret.
#
#   block of 32 bytes: w0 w1 w2 w3        lane low                          lane high
#                                          a = fold(w0 ^ k0, w1 ^ a)         c = fold(w0 ^ k2, w1 ^ c)
#                                          b = fold(w2 ^ k1, w3 ^ b)         d = fold(w2 ^ k3, w3 ^ d)
#
# The last block is read so that it ends with the last byte; bytes may be read twice. Length and domain go into the end,
# as one word that no text can reach: were the domain mixed into a block, a text could cancel it and be taken for one of
# another name space.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.types cimport Fingerprint

cdef extern from *:
    """
    static inline unsigned long long nissa_fold(unsigned long long a, unsigned long long b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (unsigned long long)product ^ (unsigned long long)(product >> 64);
    }
    """
    uint64_t nissa_fold(uint64_t a, uint64_t b) nogil

cdef struct Secret:
    uint64_t word[12]  # no operand of a product is free of them: a chosen zero factor would forget the other factor


cdef inline uint64_t load64(const uint8_t* at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline uint64_t load32(const uint8_t* at) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, at, 4)
    return word


cdef inline Fingerprint hash_short(const Secret* secret, const uint8_t* at, size_t size,
                                   uint64_t domain) noexcept nogil:
    """Hash of at most 32 bytes: all of them in four words, which overlap where they must."""
    cdef uint64_t w0 = 0, w1 = 0, w2 = 0, w3 = 0
    cdef uint64_t place = size ^ (domain << 32)
    cdef Fingerprint out
    if size >= 16:
        w0 = load64(at)
        w1 = load64(at + 8)
        w2 = load64(at + size - 16)
        w3 = load64(at + size - 8)
    elif size >= 8:
        w0 = load64(at)
        w1 = load64(at + size - 8)
    elif size >= 4:
        w0 = load32(at)
        w1 = load32(at + size - 4)
    elif size > 0:
        w0 = (<uint64_t>at[0] << 16) | (<uint64_t>at[size >> 1] << 8) | at[size - 1]
    out.low = nissa_fold(w0 ^ secret.word[0], w1 ^ secret.word[8])
    out.low ^= nissa_fold(w2 ^ secret.word[1], w3 ^ secret.word[4])
    out.high = nissa_fold(w0 ^ secret.word[2], w1 ^ secret.word[9])
    out.high ^= nissa_fold(w2 ^ secret.word[3], w3 ^ secret.word[5])
    out.low = nissa_fold(out.low ^ secret.word[6], place ^ secret.word[1])
    out.high = nissa_fold(out.high ^ secret.word[7], place ^ secret.word[0])
    return out


cdef inline Fingerprint hash_bytes(const Secret* secret, const uint8_t* at, size_t size,
                                   uint64_t domain) noexcept nogil:
    """The fingerprint of size (< 2^32) bytes at `at`, in a name space of its own for each domain (< 2^32)."""
    cdef uint64_t a, b, c, d, w0, w1, w2, w3
    cdef uint64_t place = size ^ (domain << 32)
    cdef const uint8_t* last
    cdef Fingerprint out
    if size <= 32:
        return hash_short(secret, at, size, domain)
    a = secret.word[8]
    c = secret.word[9]
    b = secret.word[4]
    d = secret.word[5]
    last = at + size - 32
    while True:
        w0 = load64(at)
        w1 = load64(at + 8)
        w2 = load64(at + 16)
        w3 = load64(at + 24)
        a = nissa_fold(w0 ^ secret.word[0], w1 ^ a)
        b = nissa_fold(w2 ^ secret.word[1], w3 ^ b)
        c = nissa_fold(w0 ^ secret.word[2], w1 ^ c)
        d = nissa_fold(w2 ^ secret.word[3], w3 ^ d)
        if at == last:
            break
        at += 32
        if at > last:
            at = last
    out.low = nissa_fold(a ^ b ^ secret.word[6], place ^ secret.word[1])
    out.high = nissa_fold(c ^ d ^ secret.word[7], place ^ secret.word[0])
    return out


cdef inline void chain(const Secret* secret, Fingerprint* sum, const Fingerprint* next) noexcept nogil:
    """Append one fingerprint to a sequence of them; order counts."""
    sum.low = nissa_fold(sum.low ^ next.low, secret.word[4] ^ next.high)
    sum.high = nissa_fold(sum.high ^ next.high, secret.word[5] ^ next.low)
