# The short way: few rows, with the GIL, and no object made.

def mean_loss(
    y, p, double low, double tolerance, w=None, bint from_logits=False
):
    """Mean loss of a few rows, the short way, whatever the two classes are.

    None, with nothing else done, unless `y`, `p` and `w` are arrays of few rows, `p`
    such that is clipped as float64, that hold all their classes and nothing to clip,
    warn or stumble over. That is `Spec.mean`, without a Spec. Everything here is also
    done, at length, by the callers of `Spec.run`.
    """
    cdef Task task
    if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray:
        return None
    if w is not None and type(w) is not cnp.ndarray:
        return None
    if not from_logits and _has_own_epsilon(p):
        return None
    cdef int ndim = cnp.PyArray_NDIM(p)
    cdef Py_ssize_t k = cnp.PyArray_DIM(p, 1) if ndim == 2 else 1
    if k < ndim:
        return None
    start_task(&task, k, low, 1.0 - low, tolerance)
    task.from_logits = from_logits
    task.use_product |= from_logits
    return _short_mean(&task, y, p, w, True)


cdef object _short_mean(
    const Task* task, cnp.ndarray y, cnp.ndarray p, cnp.ndarray w, bint all_classes
):
    # One block, with the GIL: no object is made, nor a thread.
    cdef Call call
    cdef Partial part
    cdef uint8_t seen[MAX_SHORT]
    cdef double real[2]
    cdef int64_t whole[2]
    cdef double loss, weight
    cdef Py_ssize_t k = task.n_columns
    if k > MAX_SHORT or not _set_inputs(&call, task, y, p, w, 0):
        return None
    prepare(&call, 1)
    if call.n == 0 or not is_short(&call):
        return None
    memset(seen, 0, k)
    run(&call, &part, seen, NULL, False)
    if part.status == _BAD_LABEL and all_classes and k <= 2:
        if not _set_first_two(&call, real, whole):
            return None
        call.common_codes = False
        memset(seen, 0, k)
        run(&call, &part, seen, NULL, False)
    if part.status or part.signs >> 63:
        return None
    if all_classes and count_seen(&part, k, call.n, seen) != max(k, 2):
        return None
    loss = loss_of(&part, task)
    weight = call.n if w is None else part.weight + part.weight_tail
    if not in_range(loss, weight, call.n, task, w is not None):
        return None
    return loss / weight


cdef bint _set_first_two(Call* call, double* real, int64_t* whole) noexcept:
    # Take the first two different labels to be the classes. Whole numbers alone can be,
    # that an int64 holds; -100 beside codes is left to who knows what is asked.
    cdef double items[TILE]
    cdef double buffer[TILE]
    if call.loss == softmax_loss or call.loss == matrix_of_targets_loss:
        return False  # which look labels up
    if first_two(&call.y, call.n, items, buffer, real, whole) < 2:
        return False
    if call.y.kind <= FLL_FLOAT16:
        call.classes.real = real
        call.classes.n = 2
        return (
            floor(real[0]) == real[0]
            and floor(real[1]) == real[1]
            and -(2.0**63) <= real[0]
            and real[1] < 2.0**63
            and not (real[0] == -100 and real[1] >= 0)
        )
    call.classes.whole = whole
    call.classes.n = 2
    return call.y.kind == FLL_UINT64 or not (whole[0] == -100 and whole[1] >= 0)
