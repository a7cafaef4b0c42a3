# Targets, a share of each class, and probabilities (design M).

cdef inline double clipped_log(double p, const Task* task) noexcept nogil:
    cdef double q = task.low if p < task.low else p
    q = task.high if q > task.high else q
    return log_any(q) if q < MIN_FACTOR else log_normal(q)


cdef int target_loss(const Call* call, Tile* tile) noexcept nogil:
    # One column: of targets in [0, 1], or labels to be smoothed.
    cdef Task here = call.task[0]  # no store can change it
    cdef const Task* task = &here
    cdef Py_ssize_t i
    cdef bint derive = call.derive
    cdef int64_t n_ones = 0
    cdef uint64_t neither = 0
    cdef double x, other, t, u, a, b
    cdef const double* y = targets_of(call, tile, &neither)
    cdef const double* p = scores_of(call, tile, 1)
    cdef int status = exact_targets(y, tile.n, task.soft)
    if status or neither:
        return status if status else _BAD_LABEL
    if call.derive:
        fetch_outputs(call, tile)
    for i in range(tile.n):
        x = p[i]
        if not 0 <= x <= 1:
            return _BAD_PROBA
        other = 1.0 - x
        t = y[i] * task.target_slope + task.target_offset
        u = (1.0 - y[i]) * task.target_slope + task.target_offset
        # A target of zero silences an impossible event.
        a = 0.0 if t == 0 else t * clipped_log(x, task)
        b = 0.0 if u == 0 else u * clipped_log(other, task)
        tile.linear[i] = 0.0 - (a + b)
        if derive:
            a = clipped_inverse(x, task) if t != 0 else 0.0
            b = clipped_inverse(other, task) if u != 0 else 0.0
            tile.gradient[i] = u * b - t * a
            tile.hessian[i] = u * b * b + t * a * a
        if not task.soft:
            n_ones += y[i] != 0
    tile.part.n_ones += n_ones
    if derive:
        store_column(call, tile)
    return 0


cdef inline int rows_of_targets(
    const Call* call,
    Tile* tile,
    Py_ssize_t start,       # row of the tile
    Py_ssize_t m,
    const double* y,        # IN  (m, k) soft targets, or NULL: those of tile.code
    double* t,              # OUT (m, k), or NULL
) noexcept nogil:
    cdef const Task* task = call.task
    cdef Py_ssize_t i, j, k = task.n_columns
    cdef int bad = 0
    cdef double total
    if y != NULL:
        for i in range(m):
            total = 0
            for j in range(k):
                bad |= not 0 <= y[i * k + j] <= 1
                total += y[i * k + j]
            bad |= not absolute(total - 1.0) <= task.target_tolerance
        if bad:
            return _BAD_TARGET
        for i in range(m * k if t != NULL else 0):
            t[i] = y[i] * task.target_slope + task.target_offset
        return 0
    for i in range(m):
        for j in range(k):
            t[i * k + j] = task.target_offset
        t[i * k + seen_code(call, tile, start + i)] += task.target_slope
    return 0


cdef int matrix_of_targets_loss(const Call* call, Tile* tile) noexcept nogil:
    cdef Task here = call.task[0]  # no store can change it
    cdef const Task* task = &here
    cdef Py_ssize_t i, j, m, n = tile.n, k = task.n_columns, start = 0
    cdef double* g = area(call, tile, GRADIENT)
    cdef double* h = area(call, tile, HESSIAN)
    cdef double* t = area(call, tile, SHARES)
    cdef const double* y = NULL
    cdef const double* rows
    cdef double x, total, loss
    cdef bint many = k > PLAIN_LOSSES, derive = call.derive
    cdef RowSum losses
    cdef int status, sums = 0
    if not task.soft and not codes_of(call, tile):
        return _BAD_LABEL
    while start < n:
        m = min(task.group, n - start)
        if task.soft:
            y = rows_of(call, tile, &call.y, start, m, area(call, tile, TARGETS))
        status = rows_of_targets(call, tile, start, m, y, t)
        if status:
            return status
        rows = rows_of(call, tile, tile.p, start, m, area(call, tile, ROWS))
        for i in range(m):
            total = 0
            loss = 0
            if many:
                memset(&losses, 0, sizeof(RowSum))
            for j in range(k):
                x = rows[i * k + j]
                if not 0 <= x <= 1:
                    return _BAD_PROBA
                total += x
            if not absolute(total - 1.0) <= task.tolerance:
                sums = _BAD_ROW_SUM
            for j in range(k):
                x = t[i * k + j]
                if derive:
                    g[i * k + j] = 0
                    h[i * k + j] = 0
                if x != 0:
                    if many:
                        losses.part[j & 3] += x * clipped_log(rows[i * k + j], task)
                    else:
                        loss += x * clipped_log(rows[i * k + j], task)
                if x != 0 and derive:
                    total = clipped_inverse(rows[i * k + j], task)
                    g[i * k + j] = -x * total
                    h[i * k + j] = x * total * total
                if many and (j % PLAIN == PLAIN - 1 or j == k - 1):
                    add_lanes(&losses)
            tile.linear[start + i] = 0.0 - (
                losses.total + losses.tail if many else loss
            )
        if derive:
            store_rows(call, tile, start, m, g, h)
        start += m
    return sums
