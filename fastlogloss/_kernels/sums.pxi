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
        l[i] = (a * l[n + i] + b * l[i]) + product_error(a, b, c)
        h[i] = c


cdef inline int64_t normalise(double* h, double* l, Py_ssize_t n) noexcept nogil:
    # Take the binary exponents out of h + l; return their sum.
    cdef Py_ssize_t i
    cdef uint64_t field
    cdef int64_t exponent = 0
    for i in range(n):
        field = exponent_field(h[i])
        exponent += exponent_of_field(field)
        h[i] = drop_exponent(h[i], field)
        l[i] = l[i] * inverse_power(field)
    return exponent


cdef inline int64_t multiply_plain_tile(
    double* q,              # IN (TILE,), destroyed
    double* lane_h,         # IN/OUT (2 * LANES,): the first half accumulates
    double* lane_l,         # IN/OUT (2 * LANES,)
) noexcept nogil:
    cdef double l[HALF_TILE]
    cdef double a, c
    cdef Py_ssize_t i
    for i in range(HALF_TILE):
        a = q[i]
        c = a * q[HALF_TILE + i]
        l[i] = product_error(a, q[HALF_TILE + i], c)
        q[i] = c
    return multiply_pairs(q, l, lane_h, lane_l)


cdef inline int64_t multiply_pairs(
    double* q,              # IN (HALF_TILE,), destroyed
    double* l,              # IN (HALF_TILE,), destroyed
    double* lane_h,         # IN/OUT (2 * LANES,): the first half accumulates
    double* lane_l,         # IN/OUT (2 * LANES,)
) noexcept nogil:
    cdef Py_ssize_t i
    multiply_halves(q, l, 64)
    multiply_halves(q, l, 32)
    multiply_halves(q, l, 16)
    for i in range(LANES):
        lane_h[LANES + i] = q[i]
        lane_l[LANES + i] = l[i]
    return multiply_lanes(lane_h, lane_l)


cdef inline void multiply_excesses(double* x, Py_ssize_t n) noexcept nogil:
    # IN (2n,), OUT (n,): (1 + x[i]) (1 + x[n + i]) - 1
    cdef Py_ssize_t i
    for i in range(n):
        x[i] = (x[i] + x[n + i]) + x[i] * x[n + i]


cdef inline int64_t multiply_excess_tile(
    double* x,              # IN (TILE,), destroyed: factors 1 + x
    double* lane_h,         # IN/OUT (2 * LANES,): the first half accumulates
    double* lane_l,         # IN/OUT (2 * LANES,)
) noexcept nogil:
    cdef Py_ssize_t i
    multiply_excesses(x, 128)
    multiply_excesses(x, 64)
    multiply_excesses(x, 32)
    multiply_excesses(x, 16)
    for i in range(LANES):
        lane_h[LANES + i] = 1.0 + x[i]
        lane_l[LANES + i] = sum_error(1.0, x[i], lane_h[LANES + i])
    return multiply_lanes(lane_h, lane_l)


cdef inline int64_t multiply_lanes(double* lane_h, double* lane_l) noexcept nogil:
    # IN (2 * LANES,): the second half is multiplied into the first.
    cdef int64_t exponent
    exponent = normalise(lane_h + LANES, lane_l + LANES, LANES)
    multiply_halves(lane_h, lane_l, LANES)
    return exponent + normalise(lane_h, lane_l, LANES)


cdef inline void start_lanes(double* lane_h, double* lane_l) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(LANES):
        lane_h[i] = 1.0
        lane_l[i] = 0.0


cdef inline void fold_lanes(double* h, double* l, Partial* part) noexcept nogil:
    # The lanes lie in [sqrt(1/2), sqrt(2)): their product needs no scaling.
    multiply_halves(h, l, 8)
    multiply_halves(h, l, 4)
    multiply_halves(h, l, 2)
    multiply_halves(h, l, 1)
    part.exponent += normalise(h, l, 1)
    part.h = h[0]
    part.l = l[0]


cdef inline void add_compensated(double* total, double* tail, double x) noexcept nogil:
    cdef double s = total[0] + x
    # An infinite sum has no rounding error (inf - inf would make it NaN).
    if not isinf(s):
        tail[0] += sum_error(total[0], x, s)
    total[0] = s


cdef inline double tree_sum(double* x, Py_ssize_t n) noexcept nogil:
    # IN (n,), n a power of 2 from 4 on; destroyed.
    cdef Py_ssize_t i
    while n > 4:
        n //= 2
        for i in range(n):
            x[i] += x[n + i]
    return (x[0] + x[2]) + (x[1] + x[3])


cdef inline uint64_t add_weights(
    const double* w,        # IN  (n,)
    Py_ssize_t n,
    double* total,          # IN/OUT
    double* tail,           # IN/OUT
) noexcept nogil:
    # Returns bit 63 set if there is a weight whose sign is.
    cdef double x[HALF_TILE]
    cdef uint64_t signs = 0
    cdef Py_ssize_t i, j
    for j in range(n // TILE):
        fetch_ahead(<const char*>w, j * TILE, TILE, sizeof(double))
        for i in range(HALF_TILE):
            x[i] = w[j * TILE + i] + w[j * TILE + HALF_TILE + i]
            signs |= to_bits(w[j * TILE + i]) | to_bits(w[j * TILE + HALF_TILE + i])
        add_compensated(total, tail, tree_sum(x, HALF_TILE))
    for i in range(n // TILE * TILE, n):
        signs |= to_bits(w[i])
        add_compensated(total, tail, w[i])
    return signs


cdef inline void logs(
    const double* x,        # IN  (n,), positive normal numbers
    Py_ssize_t n,
    double* out,            # OUT (n,), n <= TILE
) noexcept nogil:
    cdef double e[TILE]
    cdef double f[TILE]
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = start_log(x[i], e + i, f + i)
    for i in range(n):
        out[i] = log_rest(out[i], f[i])
    for i in range(n):
        out[i] = finish_log(e[i], f[i], out[i])


cdef inline void add_log_excesses(
    const double* x,        # IN  (TILE,), not negative
    double* total,          # IN/OUT (TILE,): log(1 + x) is added
) noexcept nogil:
    cdef double h[TILE]
    cdef double log_h[TILE]
    cdef Py_ssize_t i
    for i in range(TILE):
        h[i] = 1.0 + x[i]
    logs(h, TILE, log_h)
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
    cdef Py_ssize_t i, j = HALF_TILE
    if w == NULL or n < TILE:
        for i in range(n):
            padded[i] = 1.0 if w == NULL else w[i]
        for i in range(n, TILE):
            padded[i] = 0.0
        w = padded
    if task.use_product:
        for i in range(TILE // STRIP):
            fetch_ahead(<const char*>w, i * STRIP, STRIP, sizeof(double))
            logs(q + i * STRIP, STRIP, term + i * STRIP)
        for i in range(HALF_TILE):
            term[i] = term[i] * w[i] + term[j + i] * w[j + i]
    else:
        for i in range(HALF_TILE):
            term[i] = silent_log(q[i], w[i]) + silent_log(q[j + i], w[j + i])
    for i in range(HALF_TILE):
        weight[i] = w[i] + w[j + i]
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
        logs(q, n, out)
        for i in range(n):
            out[i] = 0.0 - out[i]
    else:
        for i in range(n):
            out[i] = 0.0 - log_any(q[i])
