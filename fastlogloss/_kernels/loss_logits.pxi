# One logit a row: the loss is that of its sign and its size (designs H, I, J).

cdef inline void margins(
    const label_t* y,       # IN  (n,)
    const double* z,        # IN  (n,)
    Py_ssize_t n,
    Checks* checks,         # IN/OUT
    double* margin,         # OUT (n,): z for label 0, -z for label 1
    double* linear,         # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double m
    cdef uint64_t bad = 0, ones = 0, nan = 0
    for i in range(n):
        bad |= bad_label(y[i])
        ones += code_bits(y[i])
        m = from_bits(to_bits(z[i]) ^ label_sign(y[i]))
        nan |= is_nan(m)
        margin[i] = m
        linear[i] = larger(m, 0.0)
    checks.not_label |= bad
    checks.ones += ones
    checks.off |= nan


cdef inline void load_margins(
    const Call* call,
    const Tile* tile,
    const label_t* y,       # IN  (n,)
    const double* z,        # IN  (n,)
    Checks* checks,         # OUT
    double* margin,         # OUT (n,)
    double* linear,         # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i = 0
    start_checks(checks)
    while i + STRIP <= tile.n:
        margins(y + i, z + i, STRIP, checks, margin + i, linear + i)
        i += STRIP
    if i < tile.n:
        margins(y + i, z + i, tile.n - i, checks, margin + i, linear + i)
    checks.n_ones = count_ones(checks.ones, y)


cdef int logit_loss(const Call* call, Tile* tile) noexcept nogil:
    cdef double margin[TILE]
    cdef uint64_t neither = 0
    cdef Py_ssize_t n = tile.n
    cdef const void* y
    cdef int kind = common_codes(call, tile, &y, &neither), status = 0
    cdef const double* z = scores_of(call, tile, 1)
    cdef double* linear = tile.linear
    cdef Checks checks
    if call.derive:
        fetch_outputs(call, tile)
    if kind == FLL_INT64:
        load_margins(call, tile, <const int64_t*>y, z, &checks, margin, linear)
    elif kind == FLL_UINT32:
        load_margins(call, tile, <const uint32_t*>y, z, &checks, margin, linear)
    elif kind == FLL_UINT8:
        load_margins(call, tile, <const uint8_t*>y, z, &checks, margin, linear)
    else:
        load_margins(call, tile, <const double*>y, z, &checks, margin, linear)
        if checks.not_label:  # -0.0 is a label
            checks.not_label = exact_targets(<const double*>y, n, False)
    if neither or checks.not_label:
        status = _BAD_LABEL
    if checks.off >> 63:
        status |= _BAD_SCORE
    if status:
        return status
    tile.part.n_ones += checks.n_ones
    exp_array(margin, n, tile.factor)
    if call.derive:
        derive_logit(z, margin, tile.factor, n, tile.gradient, tile.hessian)
        store_column(call, tile)
    return 0


cdef inline void derive_logit(
    const double* z,        # IN  (n,)
    const double* margin,   # IN  (n,): z, but for label 1 -z
    const double* excess,   # IN  (n,)
    Py_ssize_t n,
    double* gradient,       # OUT (n,)
    double* hessian,        # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double near, far
    cdef uint64_t sign
    for i in range(n):
        near = 1.0 / (1.0 + excess[i])
        far = excess[i] * near
        hessian[i] = near * far
        near = choose(sign_mask(margin[i]), far, near)
        sign = (to_bits(margin[i]) ^ to_bits(z[i])) & (<uint64_t>1 << 63)
        gradient[i] = from_bits(to_bits(near) ^ sign)


cdef int logit_of_target_loss(const Call* call, Tile* tile) noexcept nogil:
    # Of targets in [0, 1], or labels to be smoothed.
    cdef Task here = call.task[0]  # no store can change it
    cdef const Task* task = &here
    cdef Py_ssize_t i, n = tile.n
    cdef double t, u, x, a, e, near, far, share
    cdef uint64_t negative, nan = 0, neither = 0
    cdef const double* y = targets_of(call, tile, &neither)
    cdef const double* z = scores_of(call, tile, 1)
    cdef int status = check_targets(y, n, task.soft, &tile.part.n_ones)
    if call.derive:
        fetch_outputs(call, tile)
    for i in range(n):
        x = z[i]
        t = y[i] * task.target_slope + task.target_offset
        # Not 1 - t: a small share would lose its last digits.
        u = (1.0 - y[i]) * task.target_slope + task.target_offset
        a = absolute(x)
        nan |= is_nan(a)
        e = exp_nonpositive(-a)
        tile.factor[i] = e
        negative = sign_mask(x)
        share = choose(negative, t, u)  # of the target beyond 0
        tile.linear[i] = a * share if share > 0 else 0.0
        near = 1.0 / (1.0 + e)
        far = e * near
        tile.hessian[i] = near * far
        tile.gradient[i] = u * choose(negative, far, near) - t * choose(
            negative, near, far
        )
    if neither:
        status |= _BAD_LABEL
    if nan >> 63:
        status |= _BAD_SCORE
    if call.derive and not status:
        store_column(call, tile)
    return status


cdef inline const double* targets_of(
    const Call* call, Tile* tile, uint64_t* neither
) noexcept nogil:
    # (n,) targets of class 1, or labels.
    if not call.task.soft:
        return labels_of(call, tile, neither)
    return load_doubles(&call.y, tile.first, tile.n, 1, tile.items, tile.labels)


cdef int check_logits(const Call* call, Tile* tile) noexcept nogil:
    # All that can be wrong with logits and their labels, and nothing else.
    cdef const Task* task = call.task
    cdef Py_ssize_t i, m, k = task.n_columns, start = 0
    cdef uint64_t score = 0, neither = 0
    cdef const double* rows
    cdef int status = 0
    if k == 1:
        if task.soft:
            rows = targets_of(call, tile, &neither)
            status = check_targets(rows, tile.n, True, &tile.part.n_ones)
        else:
            status = check_labels(call, tile)
        rows = scores_of(call, tile, 1)
        for i in range(tile.n):
            score |= is_nan(rows[i])
    elif not task.soft:
        if codes_of(call, tile):
            for i in range(tile.n):
                seen_code(call, tile, i)
        else:
            status = _BAD_LABEL
    while k > 1 and start < tile.n:
        m = min(task.group, tile.n - start)
        if task.soft:
            rows = rows_of(call, tile, &call.y, start, m, area(call, tile, TARGETS))
            status |= rows_of_targets(call, tile, start, m, rows, NULL)
        rows = rows_of(call, tile, tile.p, start, m, area(call, tile, ROWS))
        for i in range(m * k):
            score |= is_nan(rows[i])
        start += m
    return status | (_BAD_SCORE if score >> 63 else 0)
