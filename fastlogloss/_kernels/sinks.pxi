# Sinks: where factor and linear of a tile go: products, weighted sums, rows, and the
# stores of derivatives (designs C, D). Longer than 300 lines: they share the sums.

cdef inline void multiply_halves(
    double* h,              # IN (2n,), OUT (n,): h[i] * h[n + i]
    double* l,              # IN (2n,), OUT (n,)
    Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double a, b, c
    for i in range(n):
        a = h[i]
        b = h[n + i]
        c = a * b
        l[i] = ((a + l[i]) * l[n + i] + b * l[i]) + product_error(a, b, c)
        h[i] = c


cdef inline int64_t normalise(double* h, double* l) noexcept nogil:
    # Take the binary exponent out of h + l and return it.
    cdef uint64_t biased = biased_exponent(h[0])
    cdef int64_t exponent = <int64_t>(biased >> 52) - 1024
    h[0] = mantissa(biased)
    l[0] *= from_bits(<uint64_t>(1023 - exponent) << 52)
    return exponent


cdef inline void start_lanes(Lanes* lanes) noexcept nogil:
    cdef Py_ssize_t i
    memset(lanes, 0, sizeof(Lanes))
    for i in range(LANES):
        lanes.h[i] = 1.0


cdef inline void multiply_tile(
    const double* q,        # IN (TILE,)
    Lanes* lanes,           # IN/OUT
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double h, error
    for i in range(LANES):
        h = product_of_16(q + i, LANES, &error)
        multiply_lane(lanes, i, h, error)
    lanes.tiles += 1


cdef inline void multiply_excess_tile(
    const double* x,        # IN (TILE,): factors 1 + x
    Lanes* lanes,           # IN/OUT
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double excess, h
    for i in range(LANES):
        excess = excess_of_16(x + i, LANES)
        h = 1.0 + excess
        multiply_lane(lanes, i, h, sum_error(1.0, excess, h) / h)
    lanes.tiles += 1


cdef inline void multiply_lane(
    Lanes* lanes,           # IN/OUT
    Py_ssize_t i,
    double h,               # times 1 + error, with an exponent between -1023 and 1023
    double error,
) noexcept nogil:
    cdef uint64_t biased = biased_exponent(h)
    cdef double b = mantissa(biased), a = lanes.h[i], c = a * b
    cdef double l = lanes.l[i]
    # With the product of both l: where no factor moves h off 1, all of it is in l.
    lanes.l[i] = ((a + l) * (b * error) + b * l) + product_error(a, b, c)
    lanes.h[i] = c
    lanes.exponent[i] += biased >> 52


cdef inline void fold_lanes(Lanes* lanes, Partial* part) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t exponent = -1024 * LANES * lanes.tiles
    for i in range(LANES):
        exponent += <int64_t>lanes.exponent[i]
    multiply_halves(lanes.h, lanes.l, 8)
    multiply_halves(lanes.h, lanes.l, 4)
    multiply_halves(lanes.h, lanes.l, 2)
    multiply_halves(lanes.h, lanes.l, 1)
    part.exponent = exponent + normalise(lanes.h, lanes.l)
    part.h = lanes.h[0]
    part.l = lanes.l[0]


cdef inline void add_compensated(double* total, double* tail, double x) noexcept nogil:
    cdef double s = total[0] + x
    # An infinite sum has no rounding error (inf - inf would make it NaN).
    if not isinf(s):
        tail[0] += sum_error(total[0], x, s)
    total[0] = s


cdef inline void add_parts(
    double* part,           # IN  (g,), OUT 0
    Py_ssize_t g,
    double* total,          # IN/OUT (g,)
    double* tail,           # IN/OUT (g,)
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double s
    for i in range(g):
        s = total[i] + part[i]
        tail[i] += sum_error(total[i], part[i], s)
        total[i] = s
        part[i] = 0.0


cdef struct RowSum:
    # Of the columns of a row, as design M has it.
    double part[4]          # by turns
    double total
    double tail


cdef inline void add_lanes(RowSum* row) noexcept nogil:
    add_compensated(
        &row.total, &row.tail, (row.part[0] + row.part[2]) + (row.part[1] + row.part[3])
    )
    memset(row.part, 0, 4 * sizeof(double))


cdef inline void add_log_excesses(
    const double* x,        # IN  (TILE,), not negative
    double* total,          # IN/OUT (TILE,): log(1 + x) is added
) noexcept nogil:
    cdef double h[TILE]
    cdef double log_h[TILE]
    cdef Py_ssize_t i
    for i in range(TILE):
        h[i] = 1.0 + x[i]
    log_array(h, TILE, log_h)
    for i in range(TILE):
        total[i] += log_h[i] + sum_error(1.0, x[i], h[i]) / h[i]


cdef void add_scaled_excesses(const Call* call, Tile* tile) noexcept nogil:
    # log(1 + factor) times row_scale, also where it is too small for a double.
    cdef Py_ssize_t i, j, k = call.task.n_columns
    cdef double scale = call.row_scale, top, half, small, tail
    cdef double* linear = tile.linear
    cdef const double* z
    for i in range(tile.n):
        if k == 1:
            linear[i] *= scale
        if tile.factor[i] >= MIN_SCALE:
            linear[i] += scale * log_excess(tile.factor[i])
            continue
        if k == 1:
            z = load_doubles(tile.p, tile.first + i, 1, 1, tile.items, tile.scores)
        else:
            z = rows_of(call, tile, tile.p, i, 1, area(call, tile, ROWS))
        top = absolute(z[0])
        if k > 1:
            top = z[0]
            for j in range(1, k):
                top = larger(z[j], top)
        small = 0
        tail = 0
        for j in range(k):
            # Twice half of the distance to the top; of one logit, to a zero.
            half = 0.5 * (top if k == 1 else distance(top, z[j]))
            if half > 0:
                half = exp_nonpositive(-half)
                add_compensated(&small, &tail, half * scale * half)
        linear[i] += small + tail


cdef inline void log_factors(
    const Call* call, const double* factor, Py_ssize_t n, double* out
) noexcept nogil:
    # Factors as tiny as there are, where the clip allows them.
    cdef Py_ssize_t i
    if call.task.use_product:
        log_array(factor, n, out)
    else:
        for i in range(n):
            out[i] = log_any(factor[i])


cdef inline void pad(double* x, Py_ssize_t n, double value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n, TILE):
        x[i] = value


cdef const double* losses_of(const Call* call, Tile* tile) noexcept nogil:
    # (n,) losses of the rows of a tile.
    cdef Py_ssize_t i
    if call.is_excess:
        if call.row_scale != 1:
            add_scaled_excesses(call, tile)
        else:
            pad(tile.factor, tile.n, 0.0)
            pad(tile.linear, tile.n, 0.0)
            add_log_excesses(tile.factor, tile.linear)
    elif call.has_factor:
        log_factors(call, tile.factor, tile.n, tile.linear)
        for i in range(tile.n):
            tile.linear[i] = 0.0 - tile.linear[i]
    return tile.linear


cdef int sink_products(const Call* call, Tile* tile) noexcept nogil:
    # The sum of losses.
    if call.has_factor:
        pad(tile.factor, tile.n, 0.0 if call.is_excess else 1.0)
        if call.is_excess:
            multiply_excess_tile(tile.factor, &tile.lanes)
        else:
            multiply_tile(tile.factor, &tile.lanes)
    return sink_losses(call, tile) if call.has_linear else 0


cdef int sink_losses(const Call* call, Tile* tile) noexcept nogil:
    # The same where linear is all of them, or no product of factors is normal.
    cdef Partial* part = tile.part
    if not call.has_linear:
        losses_of(call, tile)
    pad(tile.linear, tile.n, 0.0)
    add_compensated(&part.loss, &part.loss_tail, tree_sum(tile.linear, TILE))
    return 0


cdef inline void add_weighted_tile(
    const double* x,        # IN  (n,) losses, or their negatives
    const double* w,        # IN  (n,)
    Py_ssize_t n,
    bint finite,            # x is
    double sign,
    Partial* part,          # IN/OUT
) noexcept nogil:
    cdef double term[HALF_TILE]
    cdef double weight[HALF_TILE]
    cdef double padded[TILE]
    cdef double padded_x[TILE]
    cdef uint64_t signs = 0
    cdef Py_ssize_t i, j = HALF_TILE
    if n < TILE:
        for i in range(n):
            padded[i] = w[i]
            padded_x[i] = x[i]
        pad(padded, n, 0.0)
        pad(padded_x, n, 0.0)
        w = padded
        x = padded_x
    if finite:
        for i in range(HALF_TILE):
            term[i] = x[i] * w[i] + x[j + i] * w[j + i]
    else:
        for i in range(HALF_TILE):
            term[i] = silenced(x[i], w[i]) + silenced(x[j + i], w[j + i])
    for i in range(HALF_TILE):
        weight[i] = w[i] + w[j + i]
        signs |= to_bits(w[i]) | to_bits(w[j + i])
    part.signs |= signs
    add_compensated(
        &part.loss, &part.loss_tail, sign * tree_sum(term, HALF_TILE)
    )
    add_compensated(&part.weight, &part.weight_tail, tree_sum(weight, HALF_TILE))


cdef inline double silenced(double x, double w) noexcept nogil:
    # A weight of zero silences even an impossible event: 0 * inf is not NaN here.
    return choose(0 - <uint64_t>(w == 0), 0.0, x * w)


cdef int sink_weighted(const Call* call, Tile* tile) noexcept nogil:
    # Sums of weights and of weighted losses.
    cdef const Task* task = call.task
    if call.is_excess or not call.has_factor:
        add_weighted_tile(
            losses_of(call, tile), tile.w, tile.n, False, 1.0, tile.part
        )
        return 0
    log_factors(call, tile.factor, tile.n, tile.linear)
    add_weighted_tile(
        tile.linear, tile.w, tile.n, task.use_product, -1.0, tile.part
    )
    return 0


cdef int sink_rows(const Call* call, Tile* tile) noexcept nogil:
    # The losses themselves.
    cdef Py_ssize_t i
    cdef double* out
    if call.rows.plain and call.has_factor and not call.is_excess:
        out = <double*>call.rows.view.data + tile.first
        log_factors(call, tile.factor, tile.n, out)
        for i in range(tile.n):
            out[i] = 0.0 - out[i]
        return 0
    store_items(losses_of(call, tile), tile.n, 1, &call.rows.view, tile.first)
    return 0


cdef int sink_nothing(const Call* call, Tile* tile) noexcept nogil:
    return 0


cdef inline void store_rows(
    const Call* call,
    Tile* tile,
    Py_ssize_t start,       # row of the tile
    Py_ssize_t m,
    const double* gradient,  # IN  (m, k)
    const double* hessian,  # IN  (m, k)
) noexcept nogil:
    cdef const double* w = tile.w
    cdef double* buffer = area(call, tile, STORE)
    cdef Py_ssize_t first = tile.first + start
    cdef double scale = call.scale
    if w != NULL:
        w += start
    store_scaled(&call.gradient, first, m, call.task.n_columns, w, scale, gradient,
                 buffer)
    if call.hessian.view.data != NULL:
        scale *= call.hessian_factor
        store_scaled(&call.hessian, first, m, call.task.n_columns, w, scale, hessian,
                     buffer)


cdef inline void store_column(const Call* call, Tile* tile) noexcept nogil:
    # The derivatives of a tile of one column.
    cdef double scale = call.scale
    store_scaled(&call.gradient, tile.first, tile.n, 1, tile.w, scale, tile.gradient,
                 tile.items)
    if call.hessian.view.data != NULL:
        scale *= call.hessian_factor
        store_scaled(&call.hessian, tile.first, tile.n, 1, tile.w, scale,
                     tile.hessian, tile.items)


cdef inline void store_scaled(
    const Output* out,
    Py_ssize_t first,       # row of out
    Py_ssize_t n,
    Py_ssize_t k,
    const double* w,        # IN  (n,) or NULL
    double scale,
    const double* x,        # IN  (n, k)
    double* buffer,         # (n, k)
) noexcept nogil:
    cdef double* wide = <double*>out.view.data + first * k
    if out.view.kind == FLL_FLOAT32:
        if out.plain:
            scale_rows(x, n, k, w, scale, <float*>out.view.data + first * k)
        else:
            scale_rows(x, n, k, w, scale, <float*>buffer)
            store_items(buffer, n, k, &out.view, first)
    elif out.plain and not out.stream:
        scale_rows(x, n, k, w, scale, wide)
    else:
        scale_rows(x, n, k, w, scale, buffer)
        if out.stream:
            stream(buffer, n * k, wide)
        else:
            store_items(buffer, n, k, &out.view, first)


ctypedef fused out_t:
    double
    float


cdef inline void scale_rows(
    const double* x,        # IN  (n, k)
    Py_ssize_t n,
    Py_ssize_t k,
    const double* w,        # IN  (n,) or NULL
    double scale,
    out_t* out,             # OUT (n, k)
) noexcept nogil:
    cdef Py_ssize_t i, j
    if w == NULL:
        for i in range(n * k):
            out[i] = <out_t>(x[i] * scale)
    elif k == 1:
        for i in range(n):
            out[i] = <out_t>silenced(x[i], w[i] * scale)
    else:
        for i in range(n):
            for j in range(k):
                out[i * k + j] = <out_t>silenced(x[i * k + j], w[i] * scale)


cdef inline void fetch_outputs(const Call* call, Tile* tile) noexcept nogil:
    # What is written is read first, by the memory, unless it goes past the caches.
    if call.gradient.plain and not call.gradient.stream:
        fetch_ahead(
            call.gradient.view.data, tile.first, tile.n, call.gradient.view.size
        )
    if call.hessian.plain and not call.hessian.stream:
        fetch_ahead(
            call.hessian.view.data, tile.first, tile.n, call.hessian.view.size
        )
