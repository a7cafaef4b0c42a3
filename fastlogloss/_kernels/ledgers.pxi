# Ledgers for Python: see sinks_exact.pxi.

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
