# Lock-free publication, one writer and many readers: data written before nissa_publish is visible after nissa_observe.

cdef extern from *:
    """
    #define nissa_publish(place, number) __atomic_store_n(place, number, __ATOMIC_RELEASE)
    #define nissa_observe(place) __atomic_load_n(place, __ATOMIC_ACQUIRE)
    #define nissa_settle() __atomic_thread_fence(__ATOMIC_SEQ_CST)
    #define nissa_fetch_add(place, number) __atomic_fetch_add(place, number, __ATOMIC_RELAXED)
    #define nissa_fetch_sub(place, number) __atomic_fetch_sub(place, number, __ATOMIC_ACQ_REL)
    """
    void nissa_publish(size_t* place, size_t number) nogil
    size_t nissa_observe(size_t* place) nogil
    void nissa_settle() nogil       # reads and writes before it are done before those behind it
    # for what several threads hold: the number before
    size_t nissa_fetch_add(size_t* place, size_t number) nogil
    size_t nissa_fetch_sub(size_t* place, size_t number) nogil
