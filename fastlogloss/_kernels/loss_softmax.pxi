# Several logits a row: softmax, its loss and derivatives (designs H to M).
# Longer than 300 lines: loss, targets and derivatives share their exponentials.

cdef inline double distance(double x, double y) noexcept nogil:
    # x - y, 0 for equal infinities.
    return choose(0 - <uint64_t>(x == y), 0.0, x - y)


cdef inline void to_columns(
    const double* x,       # IN  (m, k)
    Py_ssize_t m,
    Py_ssize_t k,
    Py_ssize_t g,
    double* columns,        # OUT (k, g), 0 from m on
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef Py_ssize_t pairs = k // 2
    for j in range(pairs):
        pair_to_columns(
            x + 2 * j, k, m,
            columns + 2 * j * g, columns + (2 * j + 1) * g,
        )
    for j in range(2 * pairs, k):
        for i in range(m):
            columns[j * g + i] = x[i * k + j]
    if m < g:
        for j in range(k):
            for i in range(m, g):
                columns[j * g + i] = 0.0


cdef inline void from_columns(
    const double* columns,  # IN  (k, g)
    const double* factor,   # IN  (g,): of each row
    Py_ssize_t m,
    Py_ssize_t k,
    Py_ssize_t g,
    double* x,             # OUT (m, k)
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef Py_ssize_t pairs = k // 2
    for j in range(pairs):
        pair_to_rows(
            columns + 2 * j * g, columns + (2 * j + 1) * g, factor, k, m,
            x + 2 * j,
        )
    for j in range(2 * pairs, k):
        for i in range(m):
            x[i * k + j] = columns[j * g + i] * factor[i]


cdef inline uint64_t softmax_group(
    double* e,              # IN  (k, g) logits, OUT exponentials
    Py_ssize_t k,
    Py_ssize_t g,
    double* top,            # OUT (g,): the maximum of a row
    double* most,           # OUT (g,): its exponential
    double* rest,           # OUT (g,): the sum of the others'
    const View* z,          # where the logits are read from: memory to fetch on the
    const Call* call,       # way, and that where row
    Py_ssize_t first,       # `first` of the derivatives will go
) noexcept nogil:
    # The exponentials of a row are multiplied by a power of 2 that makes them normal
    # numbers, and `most` nearly 2^128. Returns bit 63 set if there is a NaN.
    cdef double base[MAX_GROUP]
    cdef double least[MAX_GROUP]
    cdef double shift[MAX_GROUP]
    cdef double shifted[MAX_GROUP]
    cdef double ones[MAX_GROUP]
    cdef double part[MAX_GROUP]
    cdef double tail[MAX_GROUP]
    cdef double x
    cdef uint64_t bad = 0, far = 0
    cdef Py_ssize_t i, j, at
    for i in range(g):
        top[i] = e[i]
    for j in range(1, k):
        for i in range(g):
            top[i] = larger(e[j * g + i], top[i])
    for i in range(g):
        base[i] = top[i]
        far |= to_bits(MAX_TOP) - to_bits(absolute(top[i]))
    if far >> 63:
        for i in range(g):
            if absolute(top[i]) > MAX_TOP:
                base[i] = 0.0
                for j in range(k):
                    e[j * g + i] = distance(e[j * g + i], top[i])
    for i in range(g):
        least[i] = base[i] + FLL_FLOOR
        x = shifted_exponent(base[i], FLL_SHIFT) - FLL_SHIFT
        shift[i] = (FLL_SHIFT + FLL_BIAS) - x
        shifted[i] = shifted_exponent(base[i], shift[i])
        x = exp_rest(exponent_rest(base[i], shifted[i] - shift[i]))
        most[i] = times_power(x, shifted[i])
        rest[i] = 0.0
        part[i] = 0.0
        tail[i] = 0.0
        ones[i] = -1.0
    for j in range(k):
        at = first * k + (k + j) * g  # beyond this group
        if z.in_place:
            fetch_ahead(z.data, at, g, z.size)
        else:
            fetch_column(z, first, g, j)
        fetch_ahead(cached(&call.gradient), at, g, call.gradient.view.size)
        fetch_ahead(cached(&call.hessian), at, g, call.hessian.view.size)
        exp_column(least, shift, most, g, MIN_EXP, e + j * g, part, ones)
        if j % PLAIN == PLAIN - 1:
            add_parts(part, g, rest, tail)
    for i in range(g):
        rest[i] = ((rest[i] + part[i]) + tail[i]) + ones[i] * most[i]
        bad |= is_nan(rest[i])
    return bad


cdef inline double others(
    double e, double most, double rest, double total
) noexcept nogil:
    # The sum of a row without e: never a difference of nearly equal numbers.
    return choose(0 - <uint64_t>(e == most), rest, total - e)


cdef inline void softmax_derivatives(
    double* e,              # IN  (k, g) exponentials, OUT gradient / factor
    Py_ssize_t k,
    Py_ssize_t g,
    Py_ssize_t m,
    const double* most,     # IN  (g,)
    const double* rest,     # IN  (g,)
    const Py_ssize_t* code,  # IN  (m,) true classes, or
    const double* t,        # IN  (k, g) targets
    const double* scale,    # IN  (g,)
    double hessian_factor,
    double* hessian,        # OUT (k, g): hessian / factor, or NULL
    double* factor,         # OUT (g,)
    double* at_code,        # OUT (m,): gradient / factor of the true class
) noexcept nogil:
    cdef double total[MAX_GROUP]
    cdef double inverse[MAX_GROUP]
    cdef double weight[MAX_GROUP]
    cdef double part[MAX_GROUP]
    cdef double tail[MAX_GROUP]
    cdef double x, target
    cdef uint64_t tiny = 0
    cdef Py_ssize_t i, j
    for i in range(g):
        total[i] = most[i] + rest[i]
        inverse[i] = 1.0 / total[i]
        factor[i] = inverse[i] * scale[i]
        weight[i] = 1.0
        tiny |= to_bits(absolute(factor[i])) - to_bits(MIN_SCALE)
    if t != NULL:
        for i in range(g):
            weight[i] = 0.0
            part[i] = 0.0
            tail[i] = 0.0
        for j in range(min(k, <Py_ssize_t>PLAIN)):
            for i in range(g):
                weight[i] += t[j * g + i]
        for j in range(PLAIN, k):
            for i in range(g):
                part[i] += t[j * g + i]
            if j % PLAIN == PLAIN - 1 or j == k - 1:
                add_parts(part, g, weight, tail)
        for i in range(g if k > PLAIN else 0):
            weight[i] += tail[i]
    if hessian != NULL:
        for j in range(k):
            for i in range(g):
                x = e[j * g + i]
                # In this order, nothing on the way is too small to be a normal number.
                hessian[j * g + i] = (
                    x * others(x, most[i], rest[i], total[i])
                ) * (inverse[i] * weight[i] * hessian_factor)
    if t == NULL:
        for i in range(m):
            # p - 1 is minus the sum of the others.
            x = e[code[i] * g + i]
            at_code[i] = 0.0 - others(x, most[i], rest[i], total[i])
    else:
        for j in range(k):
            for i in range(g):
                # weight p - t, without the cancellation where both are near 1.
                x = e[j * g + i]
                target = t[j * g + i]
                e[j * g + i] = x * (weight[i] - target) - target * others(
                    x, most[i], rest[i], total[i]
                )
    if tiny >> 63:
        # A factor that is not normal, or will not be: shift it by 2^128.
        for i in range(g):
            if absolute(factor[i]) < MIN_SCALE:
                factor[i] = (inverse[i] * 2.0**128) * scale[i]
                if t == NULL and i < m:
                    at_code[i] *= 2.0**-128
                for j in range(k):
                    e[j * g + i] *= 2.0**-128
                    if hessian != NULL:
                        hessian[j * g + i] *= 2.0**-128


cdef inline const char* cached(const Output* out) noexcept nogil:
    # What is written is read first, by the memory, unless it goes past the caches.
    return out.view.data if out.plain and not out.stream else NULL


cdef inline void store_columns(
    const double* columns,  # IN  (k, g)
    const double* factor,   # IN  (g,)
    Py_ssize_t m,
    Py_ssize_t k,
    Py_ssize_t g,
    const Py_ssize_t* code,  # IN  (m,), or NULL
    const double* at_code,  # IN  (m,): what replaces column code[i]
    const Output* out,      # OUT rows `first` to `first + m`
    Py_ssize_t first,
    double* buffer,         # (m, k)
    double* spare,          # (m, k)
) noexcept nogil:
    cdef double* rows = buffer
    cdef float* floats
    cdef Py_ssize_t i
    if out.plain and not out.stream and out.view.kind == FLL_FLOAT64:
        rows = <double*>out.view.data + first * k
    from_columns(columns, factor, m, k, g, rows)
    for i in range(m if code != NULL else 0):
        rows[i * k + code[i]] = at_code[i] * factor[i]
    if out.view.kind == FLL_FLOAT32:
        floats = <float*>spare
        if out.plain:
            floats = <float*>out.view.data + first * k
        for i in range(m * k):
            floats[i] = <float>rows[i]
        if not out.plain:
            store_items(spare, m, k, &out.view, first)
    elif out.stream:
        stream(buffer, m * k, <double*>out.view.data + first * k)
    elif not out.plain:
        store_items(buffer, m, k, &out.view, first)


cdef inline double share_of(double t, double top, double z) noexcept nogil:
    # A target of zero silences an impossible event.
    return t * distance(top, z) if t != 0 else 0.0


cdef double targets_loss(
    const double* t,        # IN  (k,) targets
    const double* z,       # IN  (k,) logits
    Py_ssize_t k,
    double top,             # the largest of them
    double log_rest,        # log(1 + excess)
    double row_scale,
) noexcept nogil:
    # All but one log_rest, times row_scale. Distances twice as long as the longest
    # double are halved.
    cdef double half = 0.5 if top > HUGE else 1.0
    cdef double scale = row_scale * half
    cdef double loss = 0, loss_tail = 0, total = 0, total_tail = 0
    cdef double a, b, c, d, p, q, r, s
    cdef Py_ssize_t j, last
    top *= scale
    # The targets' sum is 1 within a tolerance; the loss knows it exactly.
    if k <= PLAIN_LOSSES:
        for j in range(k):
            if t[j] != 0:
                loss += t[j] * distance(top, z[j] * scale)
                total += t[j]
        return (loss + (total - 1.0) * log_rest * scale) / half
    j = 0
    while j < k:
        last = min(j + PLAIN, k)
        a = b = c = d = 0
        p = q = r = s = 0
        while j + 4 <= last:
            a += share_of(t[j], top, z[j] * scale)
            b += share_of(t[j + 1], top, z[j + 1] * scale)
            c += share_of(t[j + 2], top, z[j + 2] * scale)
            d += share_of(t[j + 3], top, z[j + 3] * scale)
            p += t[j]
            q += t[j + 1]
            r += t[j + 2]
            s += t[j + 3]
            j += 4
        while j < last:
            a += share_of(t[j], top, z[j] * scale)
            p += t[j]
            j += 1
        add_compensated(&loss, &loss_tail, (a + c) + (b + d))
        add_compensated(&total, &total_tail, (p + r) + (q + s))
    loss += ((total - 1.0) + total_tail) * log_rest * scale
    return (loss + loss_tail) / half


cdef inline const double* load_columns(
    const Call* call,
    Tile* tile,
    Py_ssize_t start,       # row of the tile
    Py_ssize_t m,
    bint rows_too,          # where they are not needed, they may be NULL
    double* columns,        # OUT (k, g), 0 from m on
) noexcept nogil:
    # Logits of up to a group of rows, turned; the rows themselves (m, k).
    cdef Py_ssize_t i, j, k = call.task.n_columns, g = call.task.group
    cdef const double* rows
    if rows_too or tile.p.row != tile.p.size:
        rows = rows_of(call, tile, tile.p, start, m, area(call, tile, ROWS))
        to_columns(rows, m, k, g, columns)
        return rows
    # In Fortran order they lie as they are wanted.
    for j in range(k):
        rows = column_of(tile, start, m, j, columns + j * g)
        if rows != columns + j * g:
            memcpy(columns + j * g, rows, m * sizeof(double))
        for i in range(m, g):
            columns[j * g + i] = 0.0
    return NULL


cdef int softmax_loss(const Call* call, Tile* tile) noexcept nogil:
    cdef const Task* task = call.task
    cdef double top[MAX_GROUP]
    cdef double most[MAX_GROUP]
    cdef double rest[MAX_GROUP]
    cdef double scale[MAX_GROUP]
    cdef double factor[MAX_GROUP]
    cdef double at_code[MAX_GROUP]
    cdef double of_code[MAX_GROUP]
    cdef Py_ssize_t i, m, n = tile.n, k = task.n_columns, g = task.group, start = 0
    cdef double* e = area(call, tile, GRADIENT)
    cdef double* hessian = area(call, tile, HESSIAN)
    cdef double* t = area(call, tile, SHARES)
    cdef double* buffer = area(call, tile, STORE)
    cdef const double* rows
    cdef const double* y = NULL
    cdef const Py_ssize_t* code
    cdef const Py_ssize_t* true_class
    cdef const double* shares
    cdef double* linear
    cdef int status
    if not task.soft and not codes_of(call, tile):
        return _BAD_LABEL
    while start < n:
        m = min(g, n - start)
        code = tile.code + start
        linear = tile.linear + start
        if task.targets:
            # Made where the hessian will be, then turned.
            if task.soft:
                y = rows_of(call, tile, &call.y, start, m, area(call, tile, TARGETS))
            status = rows_of_targets(call, tile, start, m, y, hessian)
            if status:
                return status
            to_columns(hessian, m, k, g, t)
        rows = load_columns(call, tile, start, m, task.targets, e)
        if not task.targets:
            for i in range(m):
                of_code[i] = e[seen_code(call, tile, start + i) * g + i]
        if softmax_group(
            e, k, g, top, most, rest, tile.p, call, tile.first + start,
        ) >> 63:
            return _BAD_SCORE
        for i in range(m):
            tile.factor[start + i] = rest[i] / most[i]
        if task.targets:
            for i in range(m):
                linear[i] = targets_loss(
                    hessian + i * k, rows + i * k, k, top[i],
                    log_excess(tile.factor[start + i]), call.row_scale,
                )
        else:
            for i in range(m):
                linear[i] = distance(
                    top[i] * call.row_scale, of_code[i] * call.row_scale
                )
        if call.derive:
            true_class = NULL
            shares = NULL
            if task.targets:
                shares = t
            else:
                true_class = code
            for i in range(g):
                scale[i] = call.scale
            for i in range(m if tile.w != NULL else 0):
                scale[i] *= tile.w[start + i]
            softmax_derivatives(
                e, k, g, m, most, rest, code, shares, scale,
                call.hessian_factor,
                hessian if call.hessian.view.data != NULL else NULL,
                factor, at_code,
            )
            store_columns(
                e, factor, m, k, g, true_class, at_code,
                &call.gradient, tile.first + start, buffer, t,
            )
            if call.hessian.view.data != NULL:
                store_columns(
                    hessian, factor, m, k, g, NULL, NULL,
                    &call.hessian, tile.first + start, buffer, t,
                )
        start += m
    return 0
