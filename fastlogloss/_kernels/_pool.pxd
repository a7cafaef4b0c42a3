# The threads of the process, for every variant of the kernels.
ctypedef void (*pool_work)(
    void* argument, Py_ssize_t piece, int slot
) noexcept nogil

# Pieces 0 to n_pieces - 1, each by one of up to `n_threads` threads, whose slots are 0
# (the caller) to n_threads - 1.
cdef void run_pieces(
    pool_work work, void* argument, Py_ssize_t n_pieces, int n_threads
) noexcept nogil
