# Labels and probabilities: q, that of the true class, and derivatives (designs A, E).
# Longer than 300 lines: rows and columns of a matrix are summed by loops of their own.

cdef int binary_loss(const Call* call, Tile* tile) noexcept nogil:
    # One or two columns.
    cdef bint pairs = call.task.n_columns == 2
    cdef Py_ssize_t n = tile.n, i
    cdef uint64_t neither = 0
    cdef const void* y
    cdef int kind = common_codes(call, tile, &y, &neither)
    cdef const double* p
    cdef const double* lower = NULL
    cdef double* q = tile.factor
    cdef Checks checks
    if pairs and lies_in_columns(tile.p):
        lower = column_of(tile, 0, n, 0, tile.scores)
        p = column_of(tile, 0, n, 1, tile.scores + TILE)
    else:
        p = scores_of(call, tile, call.task.n_columns)
    if call.derive and not pairs:
        fetch_outputs(call, tile)
    load_binary(call, tile, kind, y, p, lower, &checks, q)
    if checks.not_label and kind == FLL_FLOAT64:
        if exact_targets(<const double*>y, n, False):
            return _BAD_LABEL
        for i in range(n):  # some label is -0.0
            tile.labels[i] = (<const double*>y)[i] + 0.0
        y = tile.labels
        load_binary(call, tile, kind, y, p, lower, &checks, q)
    if neither or checks.not_label:
        return _BAD_LABEL
    tile.part.n_ones += checks.n_ones
    if pairs:
        tile.seen[0] |= checks.n_ones < n
        tile.seen[1] |= checks.n_ones > 0
    if pairs and not checks.sums:  # of what may be a NaN, see outside_unit()
        checks.off = <uint64_t>1 << 63
    # In need of no clip is the only check of the range of one column.
    if checks.off >> 62 or (not pairs and checks.saturated >> 63):
        if not all_in_unit(p, 2 * n if pairs and lower == NULL else n):
            return _BAD_PROBA
        if lower != NULL and not all_in_unit(lower, n):
            return _BAD_PROBA
    if checks.saturated >> 63:
        clip(q, n, call.task)
    if call.derive:
        if pairs:
            for i in range(n):
                tile.code[i] = (<const double*>y)[i] != 0
            derive_true_class(call, tile)
        else:
            derive_column(call, tile, <const double*>y)
    return 0 if checks.sums else _BAD_ROW_SUM


cdef inline void derive_column(
    const Call* call, Tile* tile, const double* y
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double inverse, low = call.task.flat_low, high = call.task.flat_high
    cdef const double* q = tile.factor
    for i in range(tile.n):
        inverse = 1.0 / q[i]
        inverse = inverse if q[i] > low else 0.0
        inverse = inverse if q[i] < high else 0.0
        tile.hessian[i] = inverse * inverse
        tile.gradient[i] = from_bits(to_bits(inverse) ^ label_sign(y[i]))
    store_column(call, tile)


cdef int matrix_loss(const Call* call, Tile* tile) noexcept nogil:
    # Three columns and more.
    cdef const Task* task = call.task
    cdef Py_ssize_t i, n = tile.n
    cdef double total[TILE]
    cdef double* q = tile.factor
    cdef uint64_t off, low = task.inner_low, high = task.inner_high, saturated = 0
    cdef double tolerance = task.tolerance
    cdef int sums = 1
    cdef bint by_columns = lies_in_columns(tile.p)
    if not codes_of(call, tile):
        return _BAD_LABEL
    if by_columns:
        off = load_by_columns(call, tile, total, q)
    else:
        off = load_by_rows(call, tile, total, q)
    for i in range(n):
        sums &= absolute(total[i] - 1.0) <= tolerance
        saturated |= outside(q[i], low, high)
    if not sums:
        for i in range(n):
            off |= is_nan(total[i]) >> 63 << 63
    if off >> 62 and not all_of_tile(call, tile, by_columns):
        return _BAD_PROBA
    if saturated >> 63:
        clip(q, n, task)
    if call.derive:
        derive_true_class(call, tile)
    return 0 if sums else _BAD_ROW_SUM


cdef inline Py_ssize_t rows_at_once(const Call* call, Tile* tile) noexcept nogil:
    # What is converted stays in the cache.
    if tile.p.in_place:
        return tile.n
    return max(
        min(call.task.group, CONVERTED // call.task.n_columns // 8 * 8), <Py_ssize_t>8
    )


cdef inline uint64_t load_by_rows(
    const Call* call,
    Tile* tile,
    double* total,          # OUT (n,) sums of rows
    double* q,              # OUT (n,)
) noexcept nogil:
    # Returns what outside_unit() does, for any of the numbers.
    cdef Py_ssize_t n = tile.n, k = call.task.n_columns, start = 0
    cdef Py_ssize_t step = rows_at_once(call, tile)
    cdef const View* view = tile.p
    cdef const double* rows
    cdef uint64_t off = 0
    if (
        view.kind == FLL_FLOAT32
        and view.aligned
        and not view.swapped
        and view.column == view.size
        and view.row == k * view.size
    ):
        return load_rows(tile, view.data + tile.first * view.row, 1, 0, n, k, total, q)
    while start < n:
        step = min(step, n - start)
        rows = rows_of(call, tile, view, start, step, area(call, tile, ROWS))
        off |= load_rows(tile, rows, 0, start, start + step, k, total, q)
        start += step
    return off


cdef inline uint64_t load_rows(
    Tile* tile,
    const void* rows,       # IN  (last - first, k)
    int single,             # a literal: they are float32
    Py_ssize_t first,       # the first of them in the tile
    Py_ssize_t last,        # and the one after them
    Py_ssize_t k,
    double* total,          # OUT rows `first` to `last`
    double* q,
) noexcept nogil:
    cdef const char* p = <const char*>rows
    cdef Py_ssize_t size = sizeof(float) if single else sizeof(double)
    cdef uint64_t off = 0
    while k < WIDE and last - first >= SUMMED:
        off |= load_few(tile, p, single, SUMMED, first, k, total, q)
        first += SUMMED
        p += SUMMED * k * size
    while first < last:
        off |= load_few(tile, p, single, 1, first, k, total, q)
        first += 1
        p += k * size
    return off


cdef inline uint64_t load_few(
    Tile* tile,
    const void* rows,       # IN  (m, k)
    int single,             # literals
    Py_ssize_t m,
    Py_ssize_t first,
    Py_ssize_t k,
    double* total,
    double* q,
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef uint64_t off = sum_rows(rows, single, m, k, total + first)
    for i in range(m):
        j = tile.code[first + i]
        check(0 <= j < k)
        tile.seen[j] = 1
        q[first + i] = value(rows, single, i * k + j)
    return off


cdef inline uint64_t load_by_columns(
    const Call* call, Tile* tile, double* total, double* q
) noexcept nogil:
    # The same, in the same order of additions.
    cdef Py_ssize_t i, n = tile.n, k = call.task.n_columns
    cdef Py_ssize_t m = n // SUMMED * SUMMED if k < WIDE else 0
    cdef const double* x
    cdef uint64_t off = 0
    if m:
        off |= sum_columns(tile, 0, m, k, 0, total)
    if m < n:
        off |= sum_columns(tile, m, n - m, k, k // LANES, total + m)
    x = load_each(tile.p, tile.first, n, tile.code, tile.items, tile.scores)
    memcpy(q, x, n * sizeof(double))
    for i in range(n):
        seen_code(call, tile, i)
    return off


cdef uint64_t sum_columns(
    Tile* tile,
    Py_ssize_t start,       # row of the tile
    Py_ssize_t n,
    Py_ssize_t k,
    Py_ssize_t n_wide,      # columns of a lane, as sum_wide_row() has them, or 0
    double* total,          # OUT (n,)
) noexcept nogil:
    # Lanes come in the order in which their tree needs them: each is added to the one
    # before it as often as its number in that order ends with ones.
    cdef double part[5][TILE]
    cdef Py_ssize_t t, lane, depth = 0, i, j
    cdef uint64_t off = 0
    for t in range(LANES if n_wide else 0):
        lane = (t & 1) << 3 | (t & 2) << 1 | (t & 4) >> 1 | t >> 3
        memset(part[depth], 0, n * sizeof(double))
        off |= sum_every(tile, start, n, lane, LANES, n_wide, part[depth])
        j = t
        while j & 1:
            depth -= 1
            for i in range(n):
                part[depth][i] += part[depth + 1][i]
            j >>= 1
        depth += 1
    memset(total, 0, n * sizeof(double))
    j = n_wide * LANES
    off |= sum_every(tile, start, n, j, 1, k - j, total)
    for i in range(n if n_wide else 0):
        total[i] = part[0][i] + total[i]
    return off


cdef uint64_t sum_every(
    Tile* tile,
    Py_ssize_t start,       # row of the tile
    Py_ssize_t n,
    Py_ssize_t j,           # the first column
    Py_ssize_t step,        # and from there to the next
    Py_ssize_t n_columns,
    double* total,          # IN/OUT (n,)
) noexcept nogil:
    cdef const double* x
    cdef const double* y
    cdef uint64_t off = 0
    while n_columns > 0:
        fetch_column(tile.p, tile.first + start, n, j)
        x = column_of(tile, start, n, j, tile.scores)
        y = NULL
        if n_columns > 1:
            fetch_column(tile.p, tile.first + start, n, j + step)
            y = column_of(tile, start, n, j + step, tile.scores + TILE)
        off |= add_columns(x, y, n, total)
        j += 2 * step
        n_columns -= 2
    return off


cdef bint all_of_tile(
    const Call* call, Tile* tile, bint by_columns
) noexcept nogil:
    # Whether all numbers are probabilities.
    cdef Py_ssize_t n = tile.n, k = call.task.n_columns, start = 0, j, m
    cdef Py_ssize_t step = rows_at_once(call, tile)
    for j in range(k if by_columns else 0):
        if not all_in_unit(column_of(tile, 0, n, j, tile.scores), n):
            return False
    if by_columns:
        return True
    while start < tile.n:
        m = min(step, tile.n - start)
        if not all_in_unit(
            rows_of(call, tile, tile.p, start, m, area(call, tile, ROWS)), m * k
        ):
            return False
        start += m
    return True


cdef inline void derive_true_class(const Call* call, Tile* tile) noexcept nogil:
    # Of several columns all derivatives but those of the true class are zero.
    cdef Py_ssize_t i, j, m, k = call.task.n_columns, start = 0
    cdef double* gradient = area(call, tile, GRADIENT)
    cdef double* hessian = area(call, tile, HESSIAN)
    cdef double inverse
    while start < tile.n:
        m = min(call.task.group, tile.n - start)
        memset(gradient, 0, m * k * sizeof(double))
        memset(hessian, 0, m * k * sizeof(double))
        for i in range(m):
            j = i * k + tile.code[start + i]
            inverse = clipped_inverse(tile.factor[start + i], call.task)
            gradient[j] = -inverse
            hessian[j] = inverse * inverse
        store_rows(call, tile, start, m, gradient, hessian)
        start += m


cdef inline double clipped_inverse(double p, const Task* task) noexcept nogil:
    # d log(clip(p)) / dp: zero where the clip is active.
    return 1.0 / p if task.flat_low < p < task.flat_high else 0.0


cdef void worst_sum(
    const View* p,          # (n, k)
    Py_ssize_t n,
    Py_ssize_t k,
    Py_ssize_t group,
    double* buffers,        # (2, group, k)
    Py_ssize_t* worst,      # OUT: the first row whose sum is furthest from 1,
    double* worst_total,    # OUT: and that sum; a NaN is furthest
) noexcept nogil:
    cdef double total[MAX_GROUP]
    cdef double distance = 0
    cdef const double* rows
    cdef Py_ssize_t i, m, n_rows, start = 0
    cdef int near
    worst[0] = 0
    worst_total[0] = 1.0
    while start < n:
        n_rows = min(n - start, group)
        rows = load_doubles(p, start, n_rows, k, buffers, buffers + group * k)
        i = 0
        while i < n_rows:
            m = SUMMED if k < WIDE and n - start - i >= SUMMED else 1
            sum_rows(rows + i * k, 0, m, k, total + i)
            i += m
        near = 1
        for i in range(n_rows):
            near &= absolute(total[i] - 1.0) <= distance
        for i in range(0 if near else n_rows):
            if not absolute(total[i] - 1.0) <= distance:
                distance = absolute(total[i] - 1.0)
                worst[0] = start + i
                worst_total[0] = total[i]
                if distance != distance:
                    return
        start += n_rows
