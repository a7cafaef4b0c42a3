# What the reader asks of arrays: codes, sums of weights, the worst row.

def encode(cnp.ndarray y not None, cnp.ndarray classes, cnp.ndarray codes not None):
    """Write the code of each label, -1 for what is no class; whether there is none.

    ``classes`` as of `Spec.run`, or the number of them alone: an array of no axes.
    ``codes`` (int64) has the length of ``y``.
    """
    cdef Call call
    cdef Task task
    cdef double items[TILE]
    cdef double buffer[TILE]
    cdef Py_ssize_t first = 0, m, n_classes
    cdef bint good = True
    n_classes = int(classes) if cnp.PyArray_NDIM(classes) == 0 else len(classes)
    memset(&call, 0, sizeof(Call))
    memset(&task, 0, sizeof(Task))
    task.n_columns = n_classes
    call.task = &task
    if not (cnp.PyArray_NDIM(y) == 1 and _set_view(&call.y, y, 1)):
        raise TypeError("labels must be numbers")
    if not (
        _is_vector(codes, cnp.PyArray_DIM(y, 0))
        and _kind(codes) == FLL_INT64
        and cnp.PyArray_ISCARRAY(codes)
    ):
        raise TypeError("codes must be a plain array of int64")
    keep = None if cnp.PyArray_NDIM(classes) == 0 else _set_classes(
        &call, classes, n_classes
    )
    while first < cnp.PyArray_DIM(y, 0):
        m = min(cnp.PyArray_DIM(y, 0) - first, <Py_ssize_t>TILE)
        good &= load_codes(
            &call.y, first, m, n_classes, &call.classes, items, buffer,
            <Py_ssize_t*>cnp.PyArray_DATA(codes) + first,
        )
        first += m
    del keep
    return good


def sum_weights(cnp.ndarray w not None):
    """Sum of weights, what it was rounded by, and the sum of sizes.

    For up to 2^14 weights the two are their sum within 2^-84 of the third.
    """
    cdef double total = 0, tail = 0, size = 0, part, part_tail, part_size
    cdef double items[TILE]
    cdef double buffer[TILE]
    cdef Py_ssize_t first = 0, m, n
    cdef const double* x
    cdef View view
    if not (cnp.PyArray_NDIM(w) == 1 and _set_view(&view, w, 1)):
        raise TypeError("weights must be a vector of numbers")
    n = cnp.PyArray_DIM(w, 0)
    while first < n:
        m = min(n - first, <Py_ssize_t>TILE)  # in place too: the same bits
        x = load_doubles(&view, first, m, 1, items, buffer)
        sum_compensated(x, m, &part, &part_tail, &part_size)
        add_compensated(&total, &tail, part)
        tail += part_tail
        size += part_size
        first += m
    return total, tail, size


def worst_row(cnp.ndarray p not None):
    """The first row of a matrix whose sum is furthest from 1, and that sum."""
    cdef Py_ssize_t row, n, k, group
    cdef double total
    cdef double* buffers = NULL
    cdef View view
    if not (cnp.PyArray_NDIM(p) == 2 and _set_view(&view, p, 2)):
        raise TypeError("p must be a matrix of numbers")
    n, k = cnp.PyArray_DIM(p, 0), cnp.PyArray_DIM(p, 1)
    group = group_rows(max(k, 1))
    buffers = new_buffer(2 * group * k)
    if buffers == NULL:
        raise MemoryError()
    guard = pin_memory(p)
    with nogil:
        worst_sum(&view, n, k, group, buffers, &row, &total)
    free_buffer(buffers)
    del guard
    return row, total


cdef object _whole(int64_t* digits):
    # The number in units of 2^-1080; digits of 5 bytes.
    cdef unsigned char text[5 * FLL_DIGITS + 8]
    cdef Py_ssize_t i, first = 0
    cdef int64_t digit
    settle(digits, FLL_DIGITS)
    while first < FLL_DIGITS and digits[first] == 0:
        first += 1
    if first == FLL_DIGITS:
        return 0
    for i in range(first, FLL_DIGITS):
        digit = digits[i]
        memcpy(text + 5 * i, &digit, 8)  # the next digit overwrites what is above
    whole = int.from_bytes(
        PyBytes_FromStringAndSize(
            <const char*>text + 5 * first, 5 * (FLL_DIGITS - first) + 3
        ),
        "little",
        signed=True,
    )
    return whole << (FLL_DIGIT * first)


cdef tuple _sums_of_ledger(Ledger* ledger, bint weighted):
    # (sums, counts), see Totals.exact.
    cdef Py_ssize_t i
    counts = ledger.n, ledger.n_zeros, ledger.n_up, ledger.n_down, ledger.n_beyond
    if weighted:
        return tuple([_whole(ledger.digits[i]) for i in range(SUMS)]), counts
    n = int(ledger.n) << FLL_BELOW
    t = _whole(ledger.digits[OF_T])
    tt = _whole(ledger.digits[OF_TT])
    ttt = _whole(ledger.digits[OF_TTT])
    return (n, t, n, t, tt, n, t, tt, ttt), counts


cdef tuple _exact_sums(Ledger* ledger, const Call* call, const Partial* total):
    # (sums, counts, sums of classes).
    cdef Py_ssize_t i, k = max(call.task.n_columns, <Py_ssize_t>2)
    cdef bint weighted = call.w.data != NULL
    cdef bint counted = not (weighted or call.task.soft or call.has_codes)
    if counted:
        class_sums(ledger, 1)[FLL_UNIT] = total.n_ones
    sums, counts = _sums_of_ledger(ledger, weighted)
    classes = [_whole(class_sums(ledger, i)) for i in range(k)]
    if k == 2:
        classes[0] = sums[OF_W] - classes[1]
    return sums, counts, tuple(classes)


def sum_exactly(cnp.ndarray losses not None, cnp.ndarray w=None):
    """`Totals.exact` of losses of rows, without the classes; None for a bad weight.

    Plain arrays of float64.
    """
    cdef Ledger ledger
    cdef double copy[TILE]
    cdef Py_ssize_t first = 0, m, n = len(losses)
    cdef const double* weights = NULL
    for array in (losses, w):
        if array is not None and not (
            _is_vector(array, n)
            and _kind(array) == FLL_FLOAT64
            and cnp.PyArray_ISCARRAY_RO(array)
        ):
            raise TypeError("losses and w must be plain arrays of float64")
    memset(&ledger, 0, sizeof(Ledger))
    while first < n:
        m = min(n - first, <Py_ssize_t>TILE)
        memcpy(copy, <double*>cnp.PyArray_DATA(losses) + first, m * sizeof(double))
        if w is not None:
            weights = <const double*>cnp.PyArray_DATA(w) + first
        if add_rows(copy, weights, m, &ledger):
            return None
        first += m
        if first % (1 << 20) == 0:
            settle_ledger(&ledger, 0)
    return _sums_of_ledger(&ledger, w is not None)
