# The table of powers of ten that ``shortest.pxd`` reads, filled when the module is loaded.

from nissa._fast.shortest cimport POWERS, PowerOfTen

cdef PowerOfTen[POWERS] TENS
