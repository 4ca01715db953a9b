"""Build mode of the compiled modules, for code that checks more where it may be slow.

``NISSA_CHECKED`` is set in the mode sanitize of ``setup.py``. There, memory that is done with is
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
    """True if this build checks what the others trust. GIL: held. Cost: none."""
    return bool(NISSA_IS_CHECKED)
