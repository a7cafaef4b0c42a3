# What the reader and D2 ask of arrays: codes, sums of weights, the worst row, how much
# weight there is of each class, and what its share costs.

cdef enum:
    FEW_CLASSES = 256       # of which sums are kept in 2^FEW_LANES lanes
    FEW_LANES = 3
    COMPARED = 4            # classes so few that each is counted by itself
    FLUSH = 64              # tiles that are added without compensation


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


def sum_by_class(
    cnp.ndarray y not None,
    cnp.ndarray classes,
    cnp.ndarray w,
    cnp.ndarray sums not None,
    double factor=1.0,
):
    """Add up the weights of each class, times a factor; whether all labels are classes.

    ``classes`` as of `Spec.run`; without weights rows are counted. ``sums`` (float64,
    2 rows) receives the sum of each class, and what it was rounded by.
    """
    cdef Call call
    cdef Task task
    cdef Py_ssize_t k
    cdef int lanes
    cdef double* parts
    cdef bint good
    memset(&call, 0, sizeof(Call))
    memset(&task, 0, sizeof(Task))
    if not (
        cnp.PyArray_NDIM(sums) == 2
        and cnp.PyArray_DIM(sums, 0) == 2
        and _kind(sums) == FLL_FLOAT64
        and cnp.PyArray_ISCARRAY(sums)
    ):
        raise TypeError("sums must be a plain array of two rows of float64")
    k = cnp.PyArray_DIM(sums, 1)
    task.n_columns = k
    keep = _set_labels(&call, &task, y, classes, w)
    lanes = FEW_LANES if k <= FEW_CLASSES else 0
    parts = new_buffer(k << lanes)
    if parts == NULL:
        raise MemoryError()
    guard = pin_memory(y, w)
    with nogil:
        memset(parts, 0, (k << lanes) * sizeof(double))
        good = add_by_class(
            &call, factor, lanes, parts, <double*>cnp.PyArray_DATA(sums),
            <double*>cnp.PyArray_DATA(sums) + k,
        )
    free_buffer(parts)
    del guard, keep
    return good


cdef object _set_labels(
    Call* call, const Task* task, cnp.ndarray y, cnp.ndarray classes, cnp.ndarray w
):
    # A call without scores. Returns what has to be kept for it.
    call.task = task
    call.n = cnp.PyArray_DIM(y, 0) if cnp.PyArray_NDIM(y) == 1 else -1
    if not (call.n >= 0 and _set_view(&call.y, y, 1)):
        raise TypeError("labels must be numbers")
    if w is not None and not (_is_vector(w, call.n) and _set_view(&call.w, w, 1)):
        raise ValueError("labels and weights do not fit together")
    return None if classes is None else _set_classes(
        call, classes, task.n_columns
    )


cdef bint add_by_class(
    const Call* call,
    double factor,
    int lanes,              # 2^lanes sums of each class, by turns
    double* parts,          # IN  0, (k, 2^lanes)
    double* total,          # OUT (k,)
    double* tail,           # OUT (k,)
) noexcept nogil:
    # Whether all labels are classes. Chains of additions to the same number are as long
    # as the processor takes to have read what it has just written.
    cdef double items[TILE]
    cdef double buffer[TILE]
    cdef double weights[TILE]
    cdef Py_ssize_t code[TILE]
    cdef Py_ssize_t k = call.task.n_columns, first = 0, mask = (1 << lanes) - 1, i, m
    cdef const double* w = weights
    memset(total, 0, k * sizeof(double))
    memset(tail, 0, k * sizeof(double))
    for i in range(TILE):
        weights[i] = 1.0
    while first < call.n:
        m = min(call.n - first, <Py_ssize_t>TILE)
        if not load_codes(
            &call.y, first, m, k, &call.classes, items, buffer, code
        ):
            return False
        if call.w.data != NULL:
            w = load_doubles(&call.w, first, m, 1, items, weights)
        for i in range(m):
            check(0 <= code[i] < k)
        if call.w.data == NULL and k <= COMPARED:
            count_few(code, m, k, total)
        else:
            for i in range(m):
                parts[(code[i] << lanes) + (i & mask)] += factor * w[i]
        first += m
        if first % (FLUSH * TILE) == 0 or first == call.n:
            for i in range(k << lanes):
                add_compensated(total + (i >> lanes), tail + (i >> lanes), parts[i])
                parts[i] = 0.0
    return True


cdef inline void count_few(
    const Py_ssize_t* code,  # IN (n,)
    Py_ssize_t n,
    Py_ssize_t k,           # COMPARED at most
    double* total,          # IN/OUT (k,)
) noexcept nogil:
    cdef Py_ssize_t i, j, count
    for j in range(k):
        count = 0
        for i in range(n):
            count += code[i] == j
        total[j] += <double>count


def loss_of_shares(
    Spec spec not None,
    cnp.ndarray y not None,
    cnp.ndarray share not None,
    cnp.ndarray w=None,
    *,
    cnp.ndarray classes=None,
    int n_threads=1,
):
    """The `Totals` that `Spec.run` has where each row of scores is ``share``.

    ``spec`` is of probabilities, with a column for each class, and clips nothing of
    ``share``: (n_columns,), float64. All bits are those of `run`: only the way from
    label to probability is shorter.
    """
    cdef Call call
    cdef Totals totals = Totals.__new__(Totals)
    cdef Py_ssize_t k = spec.task.n_columns, first = 0, m, i
    cdef const double* of_class
    cdef double* cost
    cdef cnp.ndarray values = share
    if spec.task.from_logits or spec.task.targets:
        raise ValueError("shares are probabilities of labels")
    if not (
        _is_vector(share, k)
        and _kind(share) == FLL_FLOAT64
        and cnp.PyArray_ISCARRAY(share)
    ):
        raise TypeError("share must be a plain array of float64")
    memset(&call, 0, sizeof(Call))
    keep = _set_labels(&call, &spec.task, y, classes, w)
    call.n_cells = 1
    call.in_place = True
    prepare(&call, n_threads)
    call.loss = share_loss
    if w is not None:  # a logarithm for each class, not for each row
        values = _new_like(share)
        of_class = <const double*>cnp.PyArray_DATA(share)
        cost = <double*>cnp.PyArray_DATA(values)
        while first < k:
            m = min(k - first, <Py_ssize_t>TILE)
            log_factors(&call, of_class + first, m, cost + first)
            first += m
        for i in range(k):
            cost[i] = 0.0 - cost[i]
        call.has_factor = False
        call.has_linear = True
    call.p.data = cnp.PyArray_BYTES(values)
    seen = bytearray(call.n_threads * k)
    guard = pin_memory(y, w)
    run(&call, &totals.total, <uint8_t*><char*>seen, NULL, True)
    del guard, keep
    totals.spec = spec
    totals.n_rows = call.n
    totals.weighted = w is not None
    totals.seen = bytes(k)
    return totals


cdef int share_loss(const Call* call, Tile* tile) noexcept nogil:
    # A row loss: what there is in place of scores is one number for each class.
    cdef const double* value = <const double*>tile.p.data
    cdef double* out = &tile.factor[0] if call.has_factor else &tile.linear[0]
    cdef Py_ssize_t i
    cdef double first, second
    if not codes_of(call, tile):
        return _BAD_LABEL
    for i in range(tile.n):
        check(0 <= tile.code[i] < call.task.n_columns)
    if call.task.n_columns == 2:
        first = value[0]
        second = value[1]
        for i in range(tile.n):
            out[i] = second if tile.code[i] else first
    else:
        for i in range(tile.n):
            out[i] = value[tile.code[i]]
    return 0
