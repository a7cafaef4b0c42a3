# Arrays as people have them; the reasons are written in load.h.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from "load.h" nogil:
    int FLL_FLOAT64
    int FLL_FLOAT32
    int FLL_FLOAT16
    int FLL_INT8
    int FLL_UINT8
    int FLL_INT16
    int FLL_UINT16
    int FLL_INT32
    int FLL_UINT32
    int FLL_INT64
    int FLL_UINT64
    ctypedef struct View:
        const char* data
        Py_ssize_t row
        Py_ssize_t column
        int kind
        int size
        int swapped
        int aligned
        int in_place
    ctypedef struct Classes:
        const double* real
        const int64_t* whole
        Py_ssize_t n
        int is_run
        const int32_t* slots
        uint64_t mask
    int size_of_kind(int kind)
    uint64_t hash_of(uint64_t key)
    uint64_t class_key(const Classes* classes, Py_ssize_t code)
    const double* load_doubles(
        const View* view,
        Py_ssize_t first,
        Py_ssize_t m,
        Py_ssize_t k,
        double* items,
        double* buffer,
    )
    View one_column(const View* view, Py_ssize_t column)
    void fetch_column(
        const View* view, Py_ssize_t first, Py_ssize_t n, Py_ssize_t column
    )
    const double* load_each(
        const View* view,
        Py_ssize_t first,
        Py_ssize_t n,
        const Py_ssize_t* column,
        double* items,
        double* buffer,
    )
    int load_bits(
        const View* view,
        Py_ssize_t first,
        Py_ssize_t n,
        const Classes* classes,
        double* items,
        double* buffer,
        uint8_t* out,
    )
    const double* load_labels(
        const View* view,
        Py_ssize_t first,
        Py_ssize_t n,
        const Classes* classes,
        double* items,
        double* buffer,
        uint64_t* neither,
    )
    const int64_t* load_whole(
        const View* view,
        Py_ssize_t first,
        Py_ssize_t n,
        void* items,
        int64_t* buffer,
    )
    int load_codes(
        const View* view,
        Py_ssize_t first,
        Py_ssize_t n,
        Py_ssize_t n_classes,
        const Classes* classes,
        double* items,
        double* buffer,
        Py_ssize_t* code,
    )
    int first_two(
        const View* view,
        Py_ssize_t n,
        double* items,
        double* buffer,
        double* real,
        int64_t* whole,
    )
    void store_items(
        const void* items,
        Py_ssize_t m,
        Py_ssize_t k,
        const View* out,
        Py_ssize_t first,
    )
