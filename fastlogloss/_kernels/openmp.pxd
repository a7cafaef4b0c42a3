# All OpenMP goes through here, guarded, so that a compiler without it builds the same
# sources into serial code.
cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define FLL_HAS_OPENMP 1
    #else
    #define FLL_HAS_OPENMP 0
    static int omp_get_max_threads(void) { return 1; }
    #endif
    """
    const bint HAS_OPENMP "FLL_HAS_OPENMP"
    int omp_get_max_threads() noexcept nogil
