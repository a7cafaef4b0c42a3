# Loops over buffers of vector.h; the reasons are written there.

cdef extern from "vector.h" nogil:
    void log_array(const double* x, Py_ssize_t n, double* out)
    double tree_sum(const double* x, Py_ssize_t n)
    void exp_array(const double* x, Py_ssize_t n, double* out)
    void exp_column(
        const double* least,
        const double* shift,
        const double* most,
        Py_ssize_t n,
        double smallest,
        double* x,
        double* rest,
        double* ones,
    )
    double* new_buffer(size_t n)
    void free_buffer(double* buffer)
    void sum_compensated(
        const double* x, Py_ssize_t n, double* total, double* tail, double* size
    )
