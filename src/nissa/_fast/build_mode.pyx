"""Which build the compiled modules are, for code that looks closer where it may be slow.

``NISSA_CHECKED`` is set in the modes checked and sanitize of ``setup.py``. There, memory that is done with is
overwritten (``codec/decompress.py``), so that whoever kept a piece of it reads nonsense and is found out.
"""

cdef extern from *:
    """
    #ifdef NISSA_CHECKED
    #define NISSA_IS_CHECKED 1
    #else
    #define NISSA_IS_CHECKED 0
    #endif
    """
    const bint NISSA_IS_CHECKED


# ---- Boundary --------------------------------------------------------------------------------------------------------

def is_checked():
    """Whether this build checks what the others trust. GIL: held. Cost: none."""
    return bool(NISSA_IS_CHECKED)
