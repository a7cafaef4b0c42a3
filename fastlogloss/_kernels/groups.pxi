# Cells of groups for Python: see sinks_groups.pxi.

NEEDS_ROOM = _NEEDS_ROOM
SMALL_CELLS = BIG_CELLS


cdef int _set_groups(
    Groups* groups,
    const Call* call,
    cnp.ndarray numbers,
    cnp.ndarray cells,
    cnp.ndarray layout,
    cnp.ndarray window,
    int64_t base,
) except -1:
    cdef Py_ssize_t i, sums, at = LANES_OF_CELL
    cdef const int64_t* digits
    if not (
        _is_vector(numbers, call.n)
        and cnp.PyArray_NDIM(cells) == 2
        and cnp.PyArray_NDIM(layout) == 2
        and cnp.PyArray_DIM(layout, 0) == WINDOWS
        and cnp.PyArray_DIM(layout, 1) == 2
    ):
        raise ValueError("numbers, cells and layout do not fit together")
    for array in (numbers, cells, layout) if window is None else (cells, layout):
        if not (_kind(array) == FLL_INT64 and cnp.PyArray_ISCARRAY(array)):
            raise TypeError("numbers, cells and layout must be plain arrays of int64")
    digits = <const int64_t*>cnp.PyArray_DATA(layout)
    memset(groups, 0, sizeof(Groups))
    for i in range(WINDOWS):
        groups.windows[i].low = digits[2 * i]
        groups.windows[i].n = digits[2 * i + 1]
        groups.windows[i].at = at
        if not (
            0 <= digits[2 * i]
            and 0 <= digits[2 * i + 1] <= FLL_DIGITS - digits[2 * i]
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
    if window is None:
        groups.numbers = <const int64_t*>cnp.PyArray_DATA(numbers)
        return 0
    if (
        not _set_view(&groups.keys, numbers, 1)
        or not FLL_INT8 <= groups.keys.kind <= FLL_INT64
        or _kind(window) != FLL_INT32
        or cnp.PyArray_NDIM(window) != 1
        or not cnp.PyArray_ISCARRAY_RO(window)
    ):
        raise TypeError("keys must be whole numbers, a window a plain array of int32")
    groups.window = <const int32_t*>cnp.PyArray_DATA(window)
    groups.base = <uint64_t>base
    groups.span = <uint64_t>cnp.PyArray_DIM(window, 0)
    return 0


cdef struct Share:
    # Some rows, which one thread adds.
    Partial part
    int slot                # of that thread
    Py_ssize_t n_done       # row up to which they have been added


cdef struct Shares:
    # What add_groups() has to say to the threads.
    const Call* call
    Slot* slots             # (n_threads,)
    Share* share
    bint is_over            # some row could not be added: nobody begins a share


cdef void add_share(void* argument, Py_ssize_t i, int slot) noexcept nogil:
    cdef Shares* shares = <Shares*>argument
    cdef const Call* call = shares.call
    cdef Groups* groups = shares.slots[slot].groups
    cdef Share* share = shares.share + i
    cdef Py_ssize_t first = i * SHARE_ROWS
    share.slot = slot
    share.n_done = first
    start(&share.part)
    if shares.is_over:
        return
    if not groups.is_begun:
        memset(groups.cells, 0, bytes_of_cells(groups))
        groups.is_begun = True
    groups.n_done = first
    score_rows(
        call, 0, first, min(first + SHARE_ROWS, call.n), &share.part,
        shares.slots + slot,
    )
    share.n_done = groups.n_done
    if share.part.status & ~_BAD_ROW_SUM:
        shares.is_over = True


cdef inline Py_ssize_t bytes_of_cells(const Groups* groups) noexcept nogil:
    return groups.n_groups * groups.size * <Py_ssize_t>sizeof(int64_t)


cdef void add_shares(
    Shares* shares, Py_ssize_t n, int n_threads, Partial* total
) noexcept nogil:
    # In the end all rows have been added; or, if one could not be, the first ones that
    # the caller has added, and no others, which are forgotten. So a helper is of use or
    # of none, but costs the caller nothing.
    cdef const Call* call = shares.call
    cdef Groups* groups = shares.slots[0].groups
    cdef Groups* other
    cdef Groups needs = groups[0]
    cdef Share* share = shares.share
    cdef Partial part
    cdef Py_ssize_t i, first = 0
    groups.is_begun = True
    run_pieces(add_share, shares, n, n_threads)
    for i in range(n):
        merge(total, &share[i].part)
        if share[i].part.status & _NEEDS_ROOM:
            needs = shares.slots[share[i].slot].groups[0]
    if not shares.is_over:
        for i in range(1, n_threads):
            other = shares.slots[i].groups
            if other.is_begun:
                add_cells(other, groups)
        groups.n_done = call.n
        return
    while share.slot == 0 and share.n_done == first + SHARE_ROWS:
        share += 1
        first += SHARE_ROWS
    needs.n_done = share.n_done if share.slot == 0 else first
    groups.sign = -groups.sign
    for i in range(first // SHARE_ROWS + 1, n):
        share = shares.share + i
        if share.slot == 0 and share.n_done > i * SHARE_ROWS:
            score_rows(
                call, 0, i * SHARE_ROWS, share.n_done, &part, shares.slots
            )
    groups.sign = -groups.sign
    groups.n_done = needs.n_done
    memcpy(groups.need_low, needs.need_low, sizeof(groups.need_low))
    memcpy(groups.need_high, needs.need_high, sizeof(groups.need_high))


cdef inline void add_cells(const Groups* groups, Groups* total) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(groups.n_groups * groups.size):
        total.cells[i] += groups.cells[i]


cdef int add_groups(const Call* call, Groups* groups, Partial* total) except -1:
    # A thread that helps has cells of its own, few enough that it is soon done with
    # them; of more groups the caller adds all rows.
    cdef Py_ssize_t size = bytes_of_cells(groups), k = call.task.n_columns, i, last
    cdef Py_ssize_t n_shares = (call.n + SHARE_ROWS - 1) // SHARE_ROWS
    cdef int n_threads = <int>max(<Py_ssize_t>1, min(
        <Py_ssize_t>call.n_threads, 1 + OWN_BYTES // max(size, <Py_ssize_t>1), n_shares
    ))
    cdef Shares shares
    cdef Partial part
    cdef Slot* slots = NULL
    cdef Groups* own = NULL
    cdef uint8_t* seen = NULL
    cdef double* scratch = NULL
    cdef double* cells = NULL
    memset(&shares, 0, sizeof(Shares))
    start(total)
    groups.n_done = 0
    try:
        slots = <Slot*>malloc(n_threads * sizeof(Slot))
        own = <Groups*>malloc(n_threads * sizeof(Groups))
        seen = <uint8_t*>calloc(n_threads, k)
        scratch = new_buffer(n_threads * call.scratch_size)
        cells = new_buffer((n_threads - 1) * size // 8)
        if n_threads > 1:
            shares.share = <Share*>malloc(n_shares * sizeof(Share))
        if (
            slots == NULL or own == NULL or seen == NULL or scratch == NULL
            or cells == NULL or (shares.share == NULL and n_threads > 1)
        ):
            raise MemoryError()
        shares.call = call
        shares.slots = slots
        for i in range(n_threads):
            set_slot(slots + i, call, i, seen, scratch, NULL)
            own[i] = groups[0]
            own[i].cells = <int64_t*>cells + (i - 1) * (size // 8)
            slots[i].groups = own + i if i else groups
        with nogil:
            if n_threads > 1:
                add_shares(&shares, n_shares, n_threads, total)
            while groups.n_done < call.n and not total.status & ~_BAD_ROW_SUM:
                last = min(groups.n_done + call.block_rows, call.n)
                score_rows(call, 0, groups.n_done, last, &part, slots)
                merge(total, &part)
    finally:
        free(slots)
        free(own)
        free(seen)
        free_buffer(scratch)
        free_buffer(cells)
        free(shares.share)
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
