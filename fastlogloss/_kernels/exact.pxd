# Exact sums; the reasons are written in exact.h.
from libc.stdint cimport int64_t

cdef extern from "exact.h" nogil:
    enum:
        FLL_DIGITS
        FLL_DIGIT
        FLL_BELOW
        FLL_UNIT
        FLL_MOST
        FLL_LEAST
    void add_double(double x, int64_t* digits)
    double cutter(int exponent)
    int top_of(const double* x, Py_ssize_t n)
    int64_t add_exactly(
        const double* x,
        const double* y,
        Py_ssize_t n,
        int top,
        int64_t* digits,
        double* rest,
    )
    void settle(int64_t* digits, Py_ssize_t n)
    double rounded(const int64_t* digits, Py_ssize_t n, int low)
    void exponents(const double* x, Py_ssize_t n, int* low, int* high)
    int64_t cut_digit(double* x, double a)
    void add_quads(
        const double* x,
        Py_ssize_t n,
        int high,
        int low,
        int64_t* cells,
        const Py_ssize_t* at,
        int64_t* counts,
        int64_t one,
    )
