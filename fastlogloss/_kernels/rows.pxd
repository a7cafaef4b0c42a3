# Several rows at a time, of rows.h.
from libc.stdint cimport uint64_t

cdef extern from "rows.h" nogil:
    double value(const void* x, int is_float, Py_ssize_t i)
    void pair_to_columns(
        const double* x, Py_ssize_t k, Py_ssize_t n, double* a, double* b
    )
    void pair_to_rows(
        const double* a,
        const double* b,
        const double* factor,
        Py_ssize_t k,
        Py_ssize_t n,
        double* x,
    )
    uint64_t sum_four_rows(
        const void* x, int is_float, Py_ssize_t k, double* total
    )
    uint64_t sum_wide_row(
        const void* x, int is_float, Py_ssize_t k, double* total
    )
    uint64_t add_columns(
        const double* x, const double* y, Py_ssize_t n, double* sum
    )
    void subtract_rows(
        const double* a,
        const double* x,
        Py_ssize_t stride,
        Py_ssize_t k,
        Py_ssize_t n,
        uint64_t low,
        uint64_t high,
        double* q,
        Py_ssize_t width,
        uint64_t* found,
    )
    void stream(const double* x, Py_ssize_t n, double* out)
    void stream_end()
