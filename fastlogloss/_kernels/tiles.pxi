# Tiles: labels, scores and weights of 256 rows, validated (designs A, B, E). Longer
# than 300 lines for the checks of each type of codes.

cdef inline const double* weights_of(const Call* call, Tile* tile) noexcept nogil:
    if call.w.data == NULL:
        return NULL
    if call.w.in_place:  # needed only when their losses are there
        fetch(call.w.data, tile.first, tile.n, sizeof(double), 0)
    return load_doubles(&call.w, tile.first, tile.n, 1, tile.items, tile.weights)


cdef inline int kind_of_codes(const View* y) noexcept nogil:
    # That of a label_t of their size, or -1. A sign does not matter: a negative number
    # is no code if its bits are unsigned, either.
    if y.kind < FLL_INT8 or y.size == 2:
        return -1
    return FLL_UINT8 if y.size == 1 else FLL_UINT32 if y.size == 4 else FLL_INT64


cdef inline int common_codes(
    const Call* call, Tile* tile, const void** y, uint64_t* neither
) noexcept nogil:
    # (n,) codes of two classes and their kind, that of a label_t.
    if call.common_codes:
        y[0] = call.y.data + tile.first * call.y.row
        return kind_of_codes(&call.y)
    if call.as_bytes:
        y[0] = tile.labels
        neither[0] = load_bits(
            &call.y, tile.first, tile.n, &call.classes, tile.items, tile.scores,
            <uint8_t*>tile.labels,
        )
        return FLL_UINT8
    y[0] = labels_of(call, tile, neither)
    return FLL_FLOAT64


cdef inline const double* labels_of(
    const Call* call, Tile* tile, uint64_t* neither
) noexcept nogil:
    # (n,) labels of two classes as 0 and 1; those that are read in place are not looked
    # at, and `neither` is 0.
    return load_labels(
        &call.y, tile.first, tile.n, &call.classes, tile.items, tile.labels, neither
    )


cdef inline const double* scores_of(
    const Call* call, Tile* tile, Py_ssize_t k
) noexcept nogil:
    # (n, k) scores of one or two columns.
    return load_doubles(tile.p, tile.first, tile.n, k, tile.items, tile.scores)


cdef inline const double* column_of(
    Tile* tile, Py_ssize_t start, Py_ssize_t n, Py_ssize_t j, double* buffer
) noexcept nogil:
    # (n,) scores of one of several columns, from row `start` of the tile on.
    cdef View column = one_column(tile.p, j)
    return load_doubles(&column, tile.first + start, n, 1, tile.items, buffer)


cdef inline bint lies_in_columns(const View* view) noexcept nogil:
    # Fortran order and its like: a column at a time, no row is put together.
    return view.column != view.size and llabs(view.row) < llabs(view.column)


cdef inline bint codes_of(const Call* call, Tile* tile) noexcept nogil:
    # Whether all labels of the tile are classes; their codes then.
    return load_codes(
        &call.y, tile.first, tile.n, call.task.n_columns, &call.classes, tile.items,
        tile.labels, tile.code,
    )


cdef inline Py_ssize_t seen_code(
    const Call* call, Tile* tile, Py_ssize_t i
) noexcept nogil:
    cdef Py_ssize_t code = tile.code[i]
    check(0 <= code < call.task.n_columns)
    tile.seen[code] = 1
    return code


cdef inline double* area(const Call* call, Tile* tile, Py_ssize_t i) noexcept nogil:
    # One of the buffers of (group, k) numbers.
    return tile.scratch + i * call.task.group * call.task.n_columns


cdef inline const double* rows_of(
    const Call* call, Tile* tile, const View* view, Py_ssize_t start, Py_ssize_t m,
    double* buffer,
) noexcept nogil:
    # (m, k) numbers of up to a group of rows, the first of which is `start` in a tile.
    return load_doubles(
        view, tile.first + start, m, call.task.n_columns, area(call, tile, ITEMS),
        buffer,
    )


ctypedef fused label_t:
    # Codes that are common enough to be read by the loops themselves: a tenth faster.
    double
    int64_t
    uint32_t
    uint8_t


cdef inline uint64_t code_bits(label_t y) noexcept nogil:
    # What counts ones, if it is summed up.
    return to_bits(y) if label_t is double else <uint64_t>y


cdef inline int64_t count_ones(uint64_t total, const label_t* tag) noexcept nogil:
    # From the sum of the bits of up to a thousand codes 0 and 1: those of 1.0 are
    # 1023 * 2^52, and 1023 = -1 modulo 1024.
    if label_t is double:
        return <int64_t>((0 - (total >> 52)) & 1023)
    else:
        return <int64_t>total


cdef inline uint64_t bad_label(label_t y) noexcept nogil:
    # Not 0 where y is neither 0 nor 1, and for -0.0: looked at again.
    if label_t is double:
        return to_bits(y * (1.0 - y))
    else:
        return <uint64_t>y & ~<uint64_t>1


cdef inline uint64_t label_sign(label_t y) noexcept nogil:
    # The sign bit for label 1, nothing for 0.
    if label_t is double:
        return to_bits(y) >> 61 << 63
    else:
        return <uint64_t>y << 63


cdef inline uint64_t sign_mask(double x) noexcept nogil:
    return 0 - (to_bits(x) >> 63)


cdef inline uint64_t is_nan(double x) noexcept nogil:
    # Bit 63 is set for NaN.
    return <uint64_t>0x7FF0000000000000 - to_bits(absolute(x))


cdef inline int exact_targets(
    const double* y, Py_ssize_t n, bint soft
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if not 0 <= y[i] <= 1:
            return _BAD_TARGET if soft else _BAD_LABEL
        if not soft and y[i] != 0 and y[i] != 1:
            return _BAD_LABEL
    return 0


cdef inline uint64_t check_codes(
    const label_t* y,       # IN  (n,)
    Py_ssize_t n,
    int64_t* n_ones,        # IN/OUT
) noexcept nogil:
    # Not 0 where some label is neither 0 nor 1.
    cdef Py_ssize_t i
    cdef uint64_t bad = 0, ones = 0
    for i in range(n):
        bad |= bad_label(y[i])
        ones += code_bits(y[i])
    n_ones[0] += count_ones(ones, y)
    if label_t is double:  # -0.0 is one
        return bad and exact_targets(y, n, False)
    else:
        return bad


cdef inline int check_labels(const Call* call, Tile* tile) noexcept nogil:
    # All that can be wrong with labels of two classes.
    cdef uint64_t bad = 0, neither = 0
    cdef const void* y
    cdef int kind = common_codes(call, tile, &y, &neither)
    cdef int64_t* n_ones = &tile.part.n_ones
    if kind == FLL_INT64:
        bad = check_codes(<const int64_t*>y, tile.n, n_ones)
    elif kind == FLL_UINT32:
        bad = check_codes(<const uint32_t*>y, tile.n, n_ones)
    elif kind == FLL_UINT8:
        bad = check_codes(<const uint8_t*>y, tile.n, n_ones)
    else:
        bad = check_codes(<const double*>y, tile.n, n_ones)
    return _BAD_LABEL if bad or neither else 0


cdef inline int check_targets(
    const double* y,        # IN  (n,) targets or labels
    Py_ssize_t n,
    bint soft,
    int64_t* n_ones,        # IN/OUT
) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint64_t bad = 0
    if not soft:
        return _BAD_LABEL if check_codes(y, n, n_ones) else 0
    for i in range(n):
        bad |= <uint64_t>(not ((y[i] >= 0) & (y[i] <= 1)))
    return exact_targets(y, n, True) if bad else 0


cdef inline void load_strip(
    const label_t* y,       # IN  (n,)
    const double* p,        # IN  (n,), with PAIRED (n, 2)
    const double* lower,    # IN  (n,) with SPLIT: the first column, p is the second
    Py_ssize_t n,
    const Task* task,
    int form,               # a literal: compiled three times
    Checks* checks,         # IN/OUT
    double* q,              # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double x, other
    cdef uint64_t label, not_label = 0, ones = 0, off = 0, saturated = 0
    cdef uint64_t low = task.inner_low, high = task.inner_high
    cdef double tolerance = task.tolerance
    cdef int sums = 1
    for i in range(n):
        not_label |= bad_label(y[i])
        ones += code_bits(y[i])
        label = to_bits(y[i]) >> 61 if label_t is double else <uint64_t>y[i]
        if form == SINGLE:
            x = p[i]
            saturated |= outside(x, low, high)
            if label_t is double:
                q[i] = absolute((1.0 - y[i]) - x)
            else:
                q[i] = choose(0 - label, x, 1.0 - x)
        else:
            x = p[2 * i + 1] if form == PAIRED else p[i]
            other = p[2 * i] if form == PAIRED else lower[i]
            off |= outside_unit(x) | outside_unit(other)
            sums &= absolute((x + other) - 1.0) <= tolerance
            q[i] = choose(0 - label, x, other)
            saturated |= outside(q[i], low, high)
    checks.not_label |= not_label
    checks.ones += ones
    checks.off |= off
    checks.saturated |= saturated
    checks.sums &= sums


cdef inline void load_strips(
    const Tile* tile,
    const label_t* y,       # IN  as of load_strip()
    const double* p,
    const double* lower,
    const Task* task,
    int form,
    Checks* checks,         # OUT
    double* q,              # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i = 0, m, k = 2 if form == PAIRED else 1
    start_checks(checks)
    while i + STRIP <= tile.n:
        load_strip(y + i, p + k * i, lower + i, STRIP, task, form, checks, q + i)
        i += STRIP
    m = tile.n - i
    if m:
        load_strip(y + i, p + k * i, lower + i, m, task, form, checks, q + i)
    checks.n_ones = count_ones(checks.ones, y)


cdef inline void load_forms(
    const Tile* tile,
    const label_t* y,       # IN  as of load_strip()
    const double* p,
    const double* lower,    # or NULL
    const Task* task,
    Checks* checks,         # OUT
    double* q,              # OUT (n,)
) noexcept nogil:
    if task.n_columns == 1:
        load_strips(tile, y, p, lower, task, SINGLE, checks, q)
    elif lower == NULL:
        load_strips(tile, y, p, lower, task, PAIRED, checks, q)
    else:
        load_strips(tile, y, p, lower, task, SPLIT, checks, q)


cdef void_256bit load_binary(
    const Call* call,
    const Tile* tile,
    int kind,               # of the codes
    const void* y,          # IN  (n,)
    const double* p,        # IN  as of load_strip()
    const double* lower,    # or NULL
    Checks* checks,         # OUT
    double* q,              # OUT (n,)
) noexcept nogil:
    cdef const Task* task = call.task
    if kind == FLL_INT64:
        load_forms(tile, <const int64_t*>y, p, lower, task, checks, q)
    elif kind == FLL_UINT32:
        load_forms(tile, <const uint32_t*>y, p, lower, task, checks, q)
    elif kind == FLL_UINT8:
        load_forms(tile, <const uint8_t*>y, p, lower, task, checks, q)
    else:
        load_forms(tile, <const double*>y, p, lower, task, checks, q)


cdef inline uint64_t sum_rows(
    const void* rows,       # IN  (n, k)
    int single,             # a literal: they are float32
    Py_ssize_t n,           # SUMMED or 1
    Py_ssize_t k,
    double* total,          # OUT (n,)
) noexcept nogil:
    # Returns what outside_unit() does, for any of the numbers.
    if n == SUMMED:
        return sum_four_rows(rows, single, k, total)
    return sum_wide_row(rows, single, k, total)


cdef inline void start_checks(Checks* checks) noexcept nogil:
    memset(checks, 0, sizeof(Checks))
    checks.sums = 1


cdef inline bint all_in_unit(const double* p, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int good = 1
    for i in range(n):
        good &= (p[i] >= 0) & (p[i] <= 1)
    return good


cdef inline void clip(double* q, Py_ssize_t n, const Task* task) noexcept nogil:
    cdef Py_ssize_t i
    cdef double low = task.low, high = task.high
    for i in range(n):
        q[i] = low if q[i] < low else q[i]
    for i in range(n):
        q[i] = high if q[i] > high else q[i]
