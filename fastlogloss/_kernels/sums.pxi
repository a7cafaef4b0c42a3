# Reductions of a tile: product, weighted sum, rows (designs C, D).

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


cdef struct Lanes:
    # Partial products of the tiles of a block: (h + l) * 2^(exponent - 1024 tiles).
    # No more than 32 tiles: h is then no further from 1 than 2^16.
    double h[LANES]
    double l[LANES]
    uint64_t exponent[LANES]
    int64_t tiles


cdef inline void start_lanes(Lanes* lanes) noexcept nogil:
    cdef Py_ssize_t i
    memset(lanes, 0, sizeof(Lanes))
    for i in range(LANES):
        lanes.h[i] = 1.0


cdef inline void multiply_plain_tile(
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


cdef inline double silent_log(double q, double w) noexcept nogil:
    # A weight of zero silences even an impossible event: 0 * inf is not NaN here.
    return log_any(q) * w if w != 0 else 0.0


cdef inline void add_tile(
    const double* q,        # IN (TILE,), 1.0 from n on
    const double* w,        # IN (n,) or NULL: unit weights
    Py_ssize_t n,
    const Task* task,
    Partial* part,          # IN/OUT
) noexcept nogil:
    cdef double padded[TILE]
    cdef double term[TILE]
    cdef double weight[HALF_TILE]
    cdef uint64_t signs = 0
    cdef Py_ssize_t i, j = HALF_TILE
    if w == NULL or n < TILE:
        for i in range(n):
            padded[i] = 1.0 if w == NULL else w[i]
        for i in range(n, TILE):
            padded[i] = 0.0
        w = padded
    if task.use_product:
        fetch(<const char*>w, 0, TILE, sizeof(double), task.ahead)
        log_array(q, TILE, term)
        for i in range(HALF_TILE):
            term[i] = term[i] * w[i] + term[j + i] * w[j + i]
    else:
        for i in range(HALF_TILE):
            term[i] = silent_log(q[i], w[i]) + silent_log(q[j + i], w[j + i])
    for i in range(HALF_TILE):
        weight[i] = w[i] + w[j + i]
        signs |= to_bits(w[i]) | to_bits(w[j + i])
    part.signs |= signs
    add_compensated(&part.loss, &part.loss_tail, -tree_sum(term, HALF_TILE))
    add_compensated(&part.weight, &part.weight_tail, tree_sum(weight, HALF_TILE))


cdef inline void add_terms(
    const double* loss,     # IN (n,)
    const double* w,        # IN (n,)
    Py_ssize_t n,
    Partial* part,          # IN/OUT
) noexcept nogil:
    cdef double term[TILE]
    cdef double weight[TILE]
    cdef Py_ssize_t i
    for i in range(n):
        weight[i] = w[i]
        part.signs |= to_bits(w[i])
        term[i] = 0.0 if w[i] == 0 else loss[i] * w[i]
    for i in range(n, TILE):
        weight[i] = 0.0
        term[i] = 0.0
    add_compensated(&part.loss, &part.loss_tail, tree_sum(term, TILE))
    add_compensated(&part.weight, &part.weight_tail, tree_sum(weight, TILE))


cdef inline void write_rows(
    const double* q,        # IN  (n,)
    Py_ssize_t n,
    const Task* task,
    double* out,            # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i
    if task.use_product:
        log_array(q, n, out)
        for i in range(n):
            out[i] = 0.0 - out[i]
    else:
        for i in range(n):
            out[i] = 0.0 - log_any(q[i])
