# Loads: labels and probabilities -> q, validated on the way (designs A, B, E).

cdef inline int64_t count_ones(uint64_t total, const label_t* tag) noexcept nogil:
    # From the sum of up to a thousand labels 0 and 1, float labels by their bits: those
    # of 1.0 are 1023 * 2^52, and 1023 = -1 modulo 1024.
    if label_t is double:
        return <int64_t>((0 - (total >> 52)) & 1023)
    else:
        return <int64_t>total


cdef inline void load_strip(
    const label_t* y,       # IN  (n,)
    const proba_t* p,       # IN  (n,), with pairs (n, 2)
    Py_ssize_t n,
    const Task* task,
    bint pairs,             # a literal: compiled twice
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
        if label_t is double:
            not_label |= to_bits(y[i] * (1.0 - y[i]))
            ones += to_bits(y[i])
            label = to_bits(y[i]) >> 61
        else:
            label = <uint64_t>y[i]
            not_label |= label & ~<uint64_t>1
            ones += label
        if pairs:
            x = p[2 * i + 1]
            other = p[2 * i]
            off |= outside_unit(x) | outside_unit(other)
            sums &= absolute((x + other) - 1.0) <= tolerance
            q[i] = choose(0 - label, x, other)
            saturated |= outside(q[i], low, high)
        else:
            x = p[i]
            saturated |= outside(x, low, high)
            if label_t is double:
                q[i] = absolute((1.0 - y[i]) - x)
            else:
                q[i] = choose(0 - label, x, 1.0 - x)
    checks.not_label |= not_label
    checks.ones += count_ones(ones, y)
    checks.off |= off
    checks.saturated |= saturated
    checks.sums &= sums


cdef narrow load_strips(
    const label_t* y,       # IN  (n,)
    const proba_t* p,       # IN  (n,), with pairs (n, 2)
    Py_ssize_t n,
    const Task* task,
    bint pairs,
    Checks* checks,         # IN/OUT
    double* q,              # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i = 0, k = 2 if pairs else 1, m
    while i < n:
        m = min(n - i, <Py_ssize_t>STRIP)
        fetch(<const char*>y, i, m, sizeof(label_t), task.ahead)
        fetch(<const char*>p, k * i, k * m, sizeof(proba_t), task.ahead)
        if pairs:
            load_strip(y + i, p + k * i, m, task, True, checks, q + i)
        elif m == STRIP:
            load_strip(y + i, p + i, STRIP, task, False, checks, q + i)
        else:
            load_strip(y + i, p + i, m, task, False, checks, q + i)
        i += m


cdef inline int load_binary(
    const label_t* y,       # IN  (n,)
    const proba_t* p,       # IN  (n,), with pairs (n, 2)
    Py_ssize_t n,
    const Task* task,
    bint pairs,             # a literal: compiled twice
    double* q,              # OUT (n,)
    int64_t* n_ones,        # IN/OUT
) noexcept nogil:
    cdef Checks checks
    start_checks(&checks)
    load_strips(y, p, n, task, pairs, &checks, q)
    if checks.not_label:
        return _BAD_LABEL
    n_ones[0] += <int64_t>checks.ones
    if not checks.sums:  # which may be that of a NaN, see outside_unit()
        checks.off = <uint64_t>1 << 63
    return finish_checks(p, n * (2 if pairs else 1), n, task, &checks, not pairs, q)


cdef inline bint class_codes(
    const label_t* y,       # IN  (n,)
    Py_ssize_t n,
    Py_ssize_t n_classes,
    Py_ssize_t* code,       # OUT (n,): 0 for what is no class
) noexcept nogil:
    # Whether all are classes. Read once: another thread may write to them.
    cdef Py_ssize_t i, c
    cdef Py_ssize_t outside = 0
    for i in range(n):
        if label_t is double:
            c = <Py_ssize_t>y[i] if y[i] >= 0 and y[i] < n_classes else -1
            outside |= -(y[i] != <double>c)
        else:
            c = <Py_ssize_t>y[i]
        code[i] = c
        # Without a sign, whose overflow would be undefined.
        outside |= c | <Py_ssize_t>(<uint64_t>(n_classes - 1) - <uint64_t>c)
    if outside < 0:
        for i in range(n):
            if not 0 <= code[i] < n_classes:
                code[i] = 0
    return outside >= 0


cdef inline uint64_t sum_rows(
    const proba_t* rows,    # IN  (n, k)
    Py_ssize_t n,           # SUMMED or 1
    Py_ssize_t k,
    double* total,          # OUT (n,)
) noexcept nogil:
    # Returns what outside_unit() does, for any of the numbers.
    cdef double wide[SUMMED * WIDE]
    cdef uint64_t off = 0
    cdef Py_ssize_t i
    if proba_t is double:
        if n == SUMMED:
            return sum_four_rows(rows, k, total)
        return sum_wide_row(rows, k, total)
    else:
        if n == SUMMED:
            for i in range(SUMMED * k):
                wide[i] = rows[i]
            return sum_four_rows(wide, k, total)
        total[0] = 0
        for i in range(k):
            off |= outside_unit(rows[i])
            total[0] += rows[i]
        return off


cdef inline int load_multiclass(
    const label_t* y,       # IN  (n,)
    const proba_t* p,       # IN  (n, n_columns)
    Py_ssize_t n,
    const Task* task,
    double* q,              # OUT (n,)
    uint8_t* seen,          # IN/OUT (n_columns,)
) noexcept nogil:
    cdef Py_ssize_t code[TILE]
    cdef double total[TILE]
    cdef Py_ssize_t i, j, m, k = task.n_columns, first = 0
    cdef Checks checks
    cdef const proba_t* rows = p
    start_checks(&checks)
    if not class_codes(y, n, k, code):
        return _BAD_LABEL
    while first < n:
        m = SUMMED if k < WIDE and n - first >= SUMMED else 1
        checks.off |= sum_rows(rows, m, k, total + first)
        for i in range(m):
            j = code[first + i]
            check(0 <= j < k)
            seen[j] = 1
            q[first + i] = rows[i * k + j]
        first += m
        rows += m * k
    for i in range(n):
        checks.sums &= absolute(total[i] - 1.0) <= task.tolerance
        checks.saturated |= outside(q[i], task.inner_low, task.inner_high)
    if not checks.sums:
        for i in range(n):
            checks.off |= is_nan(total[i]) >> 63 << 63
    return finish_checks(p, n * k, n, task, &checks, False, q)


cdef void worst_sum(
    const proba_t* p,       # IN  (n, k)
    Py_ssize_t n,
    Py_ssize_t k,
    Py_ssize_t* worst,      # OUT: the first row whose sum is furthest from 1,
    double* worst_total,    # OUT: and that sum; a NaN is furthest
) noexcept nogil:
    cdef double total[TILE]
    cdef double distance = 0
    cdef Py_ssize_t i, m, rows, start = 0
    cdef int near
    worst[0] = 0
    worst_total[0] = 1.0
    while start < n:
        rows = min(n - start, <Py_ssize_t>TILE)
        i = 0
        while i < rows:
            m = SUMMED if k < WIDE and rows - i >= SUMMED else 1
            sum_rows(p + (start + i) * k, m, k, total + i)
            i += m
        near = 1
        for i in range(rows):
            near &= absolute(total[i] - 1.0) <= distance
        for i in range(0 if near else rows):
            if not absolute(total[i] - 1.0) <= distance:
                distance = absolute(total[i] - 1.0)
                worst[0] = start + i
                worst_total[0] = total[i]
                if distance != distance:
                    return
        start += rows


cdef inline void start_checks(Checks* checks) noexcept nogil:
    memset(checks, 0, sizeof(Checks))
    checks.sums = 1


cdef inline int finish_checks(
    const proba_t* p,       # IN  (n_values,)
    Py_ssize_t n_values,
    Py_ssize_t n,
    const Task* task,
    Checks* checks,
    bint range_by_clip,     # p in need of no clip was the only check of its range
    double* q,              # IN/OUT (n,)
) noexcept nogil:
    # The second, exact look at a tile whose bits were suspicious.
    cdef Py_ssize_t j
    cdef int in_range = 1
    if checks.off >> 62 or (range_by_clip and checks.saturated >> 63):
        for j in range(n_values):
            in_range &= (p[j] >= 0) & (p[j] <= 1)
        if not in_range:
            return _BAD_PROBA
    if checks.saturated >> 63:
        clip(q, n, task)
    return 0 if checks.sums else _BAD_ROW_SUM


cdef inline void clip(double* q, Py_ssize_t n, const Task* task) noexcept nogil:
    cdef Py_ssize_t i
    cdef double low = task.low, high = task.high
    for i in range(n):
        q[i] = low if q[i] < low else q[i]
    for i in range(n):
        q[i] = high if q[i] > high else q[i]


cdef inline int load(
    const label_t* y,       # IN  (n,)
    const proba_t* p,       # IN  (n, n_columns)
    Py_ssize_t n,
    const Task* task,
    double* q,              # OUT (n,)
    int64_t* n_ones,        # IN/OUT, up to two columns
    uint8_t* seen,          # IN/OUT (n_columns,), for more
) noexcept nogil:
    if task.n_columns == 1:
        return load_binary(y, p, n, task, False, q, n_ones)
    if task.n_columns == 2:
        return load_binary(y, p, n, task, True, q, n_ones)
    return load_multiclass(y, p, n, task, q, seen)
