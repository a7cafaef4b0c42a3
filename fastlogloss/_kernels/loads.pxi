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
    cdef Py_ssize_t i = 0, k = 2 if pairs else 1
    start_checks(&checks)
    while i + STRIP <= n:
        fetch_ahead(<const char*>y, i, STRIP, sizeof(label_t))
        fetch_ahead(<const char*>p, k * i, k * STRIP, sizeof(proba_t))
        load_strip(y + i, p + k * i, STRIP, task, pairs, &checks, q + i)
        i += STRIP
    if i < n:
        load_strip(y + i, p + k * i, n - i, task, pairs, &checks, q + i)
    if checks.not_label:
        return _BAD_LABEL
    n_ones[0] += <int64_t>checks.ones
    return finish_checks(p, n * k, n, task, &checks, not pairs, q)


cdef inline Py_ssize_t class_code(
    label_t y, Py_ssize_t n_classes, int* bad
) noexcept nogil:
    if label_t is uint8_t:
        if y < n_classes:
            return y
    elif label_t is int64_t:
        if <uint64_t>y < <uint64_t>n_classes:
            return <Py_ssize_t>y
    else:
        if y >= 0 and y < n_classes and y == <double>(<Py_ssize_t>y):
            return <Py_ssize_t>y
    bad[0] = 1
    return 0


cdef inline double row_sum(const proba_t* row, Py_ssize_t n) noexcept nogil:
    cdef double lane[4]
    cdef double tail = 0
    cdef Py_ssize_t j, k = 0
    for j in range(4):
        lane[j] = 0
    while k + 4 <= n:
        for j in range(4):
            lane[j] += row[k + j]
        k += 4
    while k < n:
        tail += row[k]
        k += 1
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + tail


cdef inline uint64_t range_bits(const proba_t* p, Py_ssize_t n) noexcept nogil:
    # Lanes unroll the loop: it has but two instructions for each vector.
    cdef uint64_t lane[16]
    cdef uint64_t off = 0
    cdef Py_ssize_t i = 0, j
    for j in range(16):
        lane[j] = 0
    while i + 16 <= n:
        for j in range(16):
            lane[j] |= outside_unit(p[i + j])
        i += 16
    while i < n:
        off |= outside_unit(p[i])
        i += 1
    for j in range(16):
        off |= lane[j]
    return off


cdef inline void group_sums(
    const proba_t* rows,    # IN  (SUMMED, n)
    Py_ssize_t n,
    double* total,          # OUT (SUMMED,)
) noexcept nogil:
    cdef double lane[8]
    cdef Py_ssize_t i, j
    for i in range(SUMMED):
        lane[i] = 0
    for j in range(n):
        for i in range(SUMMED):
            lane[i] += rows[i * n + j]
    for i in range(SUMMED):
        total[i] = lane[i]


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
    cdef Py_ssize_t strip = max(STRIP_VALUES // k, 1)
    cdef int bad = 0
    cdef Checks checks
    cdef const proba_t* rows
    if strip > SUMMED:
        strip -= strip % SUMMED
    start_checks(&checks)
    for i in range(n):
        code[i] = class_code(y[i], k, &bad)
    if bad:
        return _BAD_LABEL
    while first < n:
        m = strip if n - first > strip else n - first
        rows = p + first * k
        i = 0
        while i + SUMMED <= m:
            fetch_ahead(<const char*>rows, i * k, SUMMED * k, sizeof(proba_t))
            group_sums(rows + i * k, k, total + first + i)
            i += SUMMED
        while i < m:
            fetch_ahead(<const char*>rows, i * k, k, sizeof(proba_t))
            total[first + i] = row_sum(rows + i * k, k)
            i += 1
        for i in range(m):
            j = code[first + i]
            check(0 <= j < k)
            seen[j] = 1
            q[first + i] = rows[i * k + j]
        checks.off |= range_bits(rows, m * k)
        first += m
    for i in range(n):
        checks.sums &= absolute(total[i] - 1.0) <= task.tolerance
        checks.saturated |= outside(q[i], task.inner_low, task.inner_high)
    return finish_checks(p, n * k, n, task, &checks, False, q)


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
