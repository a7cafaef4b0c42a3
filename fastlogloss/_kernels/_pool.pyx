# The pool of threads, compiled once: it knows no types (pool.h has the design). OpenMP
# is asked for its number of threads alone, since that is what users and threadpoolctl
# set; where a compiler has none, no setting of it is known.
cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define FLL_HAS_OPENMP 1
    #if _OPENMP < 200805  /* that of MSVC has no limit */
    static int omp_get_thread_limit(void) { return 1 << 20; }
    #endif
    #else
    #define FLL_HAS_OPENMP 0
    static int omp_get_max_threads(void) { return 1 << 20; }
    static int omp_get_thread_limit(void) { return 1 << 20; }
    #endif
    """
    const bint FLL_HAS_OPENMP
    int omp_get_max_threads() nogil
    int omp_get_thread_limit() nogil

cdef extern from "pool.h":
    void pool_run(
        pool_work work, void* argument, Py_ssize_t n_pieces, int n_threads
    ) noexcept nogil
    int pool_helpers() noexcept nogil

HAS_OPENMP = bool(FLL_HAS_OPENMP)


cdef void run_pieces(
    pool_work work, void* argument, Py_ssize_t n_pieces, int n_threads
) noexcept nogil:
    pool_run(work, argument, n_pieces, n_threads)


def max_threads():
    """Threads that OpenMP would use for the caller; many, where there is no OpenMP.

    ``OMP_NUM_THREADS`` and threadpoolctl set it, the latter for the calling thread.
    """
    return min(omp_get_max_threads(), omp_get_thread_limit())


def n_helpers():
    """Threads that have been started in this process to help callers."""
    return pool_helpers()
