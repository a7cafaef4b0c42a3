# Scalar maths of scalar.h; the reasons are written there.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "scalar.h" nogil:
    ctypedef void void_256bit "FLL_256BIT void"
    uint64_t to_bits(double x)
    double from_bits(uint64_t u)
    double absolute(double x)
    double larger(double x, double y)
    void prefetch(const void* address)
    void prefetch_l2(const void* address)
    void fetch(
        const char* array, Py_ssize_t first, Py_ssize_t n, int size, Py_ssize_t ahead
    )
    void fetch_ahead(const char* array, Py_ssize_t first, Py_ssize_t n, int size)
    void check(int condition)
    uint64_t outside(double x, uint64_t low, uint64_t high)
    uint64_t outside_unit(double x)
    double choose(uint64_t mask, double when_set, double otherwise)
    double product_error(double a, double b, double product)
    double sum_error(double a, double b, double total)
    uint64_t biased_exponent(double x)
    double mantissa(uint64_t biased)
    const double FLL_SHIFT
    const double FLL_BIAS
    const double FLL_FLOOR
    double shifted_exponent(double x, double shift)
    double exponent_rest(double x, double k)
    double exp_rest(double r)
    double times_power(double x, double shifted)
    double exp_nonpositive(double x)
    double log_normal(double x)
    double log_excess(double x)
    double log_any(double x)
    double product_of_16(const double* x, Py_ssize_t stride, double* error)
    double excess_of_16(const double* x, Py_ssize_t stride)
    double log_product(double h, double l, double e)
