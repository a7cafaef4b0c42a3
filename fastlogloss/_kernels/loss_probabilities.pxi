# Labels and probabilities: q, that of the true class, and derivatives (designs A, E).

cdef int binary_loss(const Call* call, Tile* tile) noexcept nogil:
    # One or two columns.
    cdef bint pairs = call.task.n_columns == 2
    cdef Py_ssize_t n = tile.n, i
    cdef uint64_t neither = 0
    cdef const void* y
    cdef int kind = common_codes(call, tile, &y, &neither)
    cdef const double* p = scores_of(call, tile, call.task.n_columns)
    cdef double* q = tile.factor
    cdef Checks checks
    if call.derive and not pairs:
        fetch_outputs(call, tile)
    load_binary(call, tile, kind, y, p, &checks, q)
    if checks.not_label and kind == FLL_FLOAT64:
        if exact_targets(<const double*>y, n, False):
            return _BAD_LABEL
        for i in range(n):  # some label is -0.0
            tile.labels[i] = (<const double*>y)[i] + 0.0
        y = tile.labels
        load_binary(call, tile, kind, y, p, &checks, q)
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
        if not all_in_unit(p, 2 * n if pairs else n):
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
    cdef Py_ssize_t n = tile.n, k = task.n_columns, start = 0, first = 0, step, i, j, m
    cdef const double* rows
    cdef const double* p
    cdef double total[TILE]
    cdef double* q = tile.factor
    cdef uint8_t* seen = tile.seen
    cdef const Py_ssize_t* code = tile.code
    cdef uint64_t off, low = task.inner_low, high = task.inner_high, saturated = 0
    cdef double tolerance = task.tolerance
    cdef int good = 1, sums = 1
    if not codes_of(call, tile):
        return _BAD_LABEL
    step = n
    if not tile.p.in_place:
        step = task.group
        if tile.p.column == tile.p.size:  # what is converted stays in the cache
            step = max(min(step, CONVERTED // k // 8 * 8), <Py_ssize_t>8)
    while start < n:
        step = min(step, n - start)
        rows = rows_of(call, tile, tile.p, start, step, area(call, tile, ROWS))
        p = rows
        off = 0
        first = start
        while first < start + step:
            m = SUMMED if k < WIDE and n - first >= SUMMED else 1
            off |= sum_rows(p, m, k, total + first)
            for i in range(m):
                j = code[first + i]
                check(0 <= j < k)
                seen[j] = 1
                q[first + i] = p[i * k + j]
            first += m
            p += m * k
        for i in range(start, start + step):
            sums &= absolute(total[i] - 1.0) <= tolerance
            saturated |= outside(q[i], low, high)
        if not sums:
            for i in range(start, start + step):
                off |= is_nan(total[i]) >> 63 << 63
        if off >> 62:
            good &= all_in_unit(rows, step * k)
        start += step
    if not good:
        return _BAD_PROBA
    if saturated >> 63:
        clip(q, n, task)
    if call.derive:
        derive_true_class(call, tile)
    return 0 if sums else _BAD_ROW_SUM


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
            sum_rows(rows + i * k, m, k, total + i)
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
