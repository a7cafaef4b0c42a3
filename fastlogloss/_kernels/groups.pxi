# Cells of groups for Python: see sinks_groups.pxi.

NEEDS_ROOM = _NEEDS_ROOM


cdef int _set_groups(
    Groups* groups,
    const Call* call,
    cnp.ndarray numbers,
    cnp.ndarray cells,
    cnp.ndarray layout,
) except -1:
    cdef Py_ssize_t i, sums, at = LANES_OF_CELL
    cdef const int64_t* window
    if not (
        _is_vector(numbers, call.n)
        and cnp.PyArray_NDIM(cells) == 2
        and cnp.PyArray_NDIM(layout) == 2
        and cnp.PyArray_DIM(layout, 0) == WINDOWS
        and cnp.PyArray_DIM(layout, 1) == 2
    ):
        raise ValueError("numbers, cells and layout do not fit together")
    for array in (numbers, cells, layout):
        if not (_kind(array) == FLL_INT64 and cnp.PyArray_ISCARRAY(array)):
            raise TypeError("numbers, cells and layout must be plain arrays of int64")
    window = <const int64_t*>cnp.PyArray_DATA(layout)
    memset(groups, 0, sizeof(Groups))
    for i in range(WINDOWS):
        groups.windows[i].low = window[2 * i]
        groups.windows[i].n = window[2 * i + 1]
        groups.windows[i].at = at
        if not (
            0 <= window[2 * i]
            and 0 <= window[2 * i + 1] <= FLL_DIGITS - window[2 * i]
        ):
            raise ValueError("a window is outside of all digits")
        sums = LANES_OF_CELL
        if i == OF_CLASSES:
            sums = call.task.n_columns if has_many_classes(call) else 0
        at += groups.windows[i].n * sums
    if at > cnp.PyArray_DIM(cells, 1):
        raise ValueError("cells have no room for their layout")
    groups.cells = <int64_t*>cnp.PyArray_DATA(cells)
    groups.size = cnp.PyArray_DIM(cells, 1)
    groups.n_groups = cnp.PyArray_DIM(cells, 0)
    groups.numbers = <const int64_t*>cnp.PyArray_DATA(numbers)
    return 0


cdef int64_t* _digits_of(
    cnp.ndarray cells, Py_ssize_t at, Py_ssize_t n, Py_ssize_t step
) except NULL:
    # Of one sum in the first cell.
    if not (
        cnp.PyArray_NDIM(cells) == 2
        and _kind(cells) == FLL_INT64
        and cnp.PyArray_ISCARRAY(cells)
        and 0 < n <= FLL_DIGITS
        and 0 <= at < cnp.PyArray_DIM(cells, 1)
        and 0 <= at + (n - 1) * step < cnp.PyArray_DIM(cells, 1)
    ):
        raise ValueError("cells must be a plain matrix of int64 that has these columns")
    return <int64_t*>cnp.PyArray_DATA(cells) + at


cdef inline void settle_digits(
    int64_t* digits, Py_ssize_t n, Py_ssize_t step
) noexcept nogil:
    cdef int64_t copy[FLL_DIGITS]
    cdef Py_ssize_t i
    for i in range(n):
        copy[i] = digits[i * step]
    settle(copy, n)
    for i in range(n):
        digits[i * step] = copy[i]


def settle_cells(
    cnp.ndarray cells not None, Py_ssize_t at, Py_ssize_t n, Py_ssize_t step
):
    """Carry in the n digits of one sum, in columns `at`, `at + step` and so on.

    The first is the lowest; a step may be negative.
    """
    cdef int64_t* first = _digits_of(cells, at, n, step)
    cdef Py_ssize_t i, size = cnp.PyArray_DIM(cells, 1)
    guard = pin_memory(cells)
    with nogil:
        for i in range(cnp.PyArray_DIM(cells, 0)):
            settle_digits(first + i * size, n, step)
    del guard


def round_cells(
    cnp.ndarray cells not None, Py_ssize_t at, Py_ssize_t n, Py_ssize_t step, int low
):
    """The sums as doubles, rounded once; digit `low` is the first.

    The other arguments are those of `settle_cells`.
    """
    cdef cnp.npy_intp n_groups = cnp.PyArray_DIM(cells, 0)
    cdef cnp.ndarray out = cnp.PyArray_EMPTY(1, &n_groups, cnp.NPY_DOUBLE, 0)
    cdef double* x = <double*>cnp.PyArray_DATA(out)
    cdef int64_t* first = _digits_of(cells, at, n, step)
    cdef int64_t copy[FLL_DIGITS]
    cdef Py_ssize_t i, j, size = cnp.PyArray_DIM(cells, 1)
    guard = pin_memory(cells)
    with nogil:
        for i in range(n_groups):
            for j in range(n):
                copy[j] = first[i * size + j * step]
            settle(copy, n)
            x[i] = rounded(copy, n, low)
    del guard
    return out
