# What Python sees: a Spec, its calls, and the Totals that they return.
# Longer than 300 lines: a third of them are docstrings and checks of arguments.

@cython.final
cdef class Spec:
    """What scores and targets mean. It never changes.

    Parameters
    ----------
    n_columns : int
        1 where scores are those of label 1, else the number of classes.
    low, high : float
        Probabilities are clipped to ``[low, high]``.
    tolerance : float
        Rows whose sum is further than this from 1 set ``BAD_ROW_SUM``.
    from_logits : bool
        Scores are logits; the three before then mean nothing.
    soft : bool
        Instead of labels there are targets: (n,), or (n, n_columns).
    smoothing : float
        Share of the label that is spread over all classes.
    target_tolerance : float
        Rows of targets whose sum is further than this from 1 set ``BAD_TARGET``.
    """

    cdef Task task

    def __cinit__(
        self,
        Py_ssize_t n_columns,
        double low,
        double high,
        double tolerance,
        *,
        bint from_logits=False,
        bint soft=False,
        double smoothing=0.0,
        double target_tolerance=1e-6,
    ):
        if n_columns < 1:
            raise ValueError(f"n_columns must be at least 1, got {n_columns}")
        start_task(&self.task, n_columns, low, high, tolerance)
        self.task.from_logits = from_logits
        self.task.soft = soft
        self.task.target_slope = 1.0 - smoothing
        self.task.target_offset = smoothing / max(n_columns, 2)
        self.task.target_tolerance = target_tolerance
        self.task.targets = soft or self.task.target_offset != 0
        self.task.use_product |= from_logits

    @property
    def block_rows(self):
        """Rows of a block. The sums of blocks are merged in order."""
        return block_rows(&self.task)

    def run(
        self,
        cnp.ndarray y not None,
        cnp.ndarray p not None,
        cnp.ndarray w=None,
        *,
        cnp.ndarray classes=None,
        cnp.ndarray rows=None,
        cnp.ndarray gradient=None,
        cnp.ndarray hessian=None,
        int n_threads=1,
        double scale=1.0,
        double hessian_factor=1.0,
        bint check_only=False,
        double row_scale=1.0,
        bint exact=False,
    ):
        """Validate and sum all rows.

        Parameters
        ----------
        y : ndarray of shape (n,), or (n, n_columns) of targets
            Codes of labels, or targets. Like all inputs of any integer type, bool,
            float16, float32 or float64, in any order of bytes and layout.
        p : ndarray of shape (n,) or (n, n_columns)
        w : ndarray of shape (n,), optional
        classes : ndarray of shape (n_classes,), optional
            What stands for each class in `y`, where that is not 0, 1, ...: float64
            where `y` holds floats, else int64 or uint64.
        rows : ndarray of shape (n,), optional
            Receives the losses, which are not summed then; from logits times
            `row_scale`, so that they may be doubles where they were none. Like all
            outputs float64 or float32, in any layout; here float64.
        gradient, hessian : ndarray, shape of `p`, optional
            Receive derivatives times `scale`, and `hessian_factor`.
        check_only : bool
            All is validated but, except for soft targets of probabilities, nothing
            computed.
        exact : bool
            The losses are summed exactly, see `Totals.exact`, and not otherwise.
            Weights have to be 0, or between 2^-300 and 2^300; others, and products
            beyond the range of doubles, set ``BAD_WEIGHT``.

        Returns
        -------
        Totals
        """
        cdef Call call
        cdef Totals totals = Totals.__new__(Totals)
        cdef bint release
        cdef Py_ssize_t k = self.task.n_columns, i, j
        cdef uint8_t* seen = NULL
        cdef char* ledgers = NULL
        cdef int ndim = 1 if k == 1 else 2
        if not _set_inputs(&call, &self.task, y, p, w, 0):
            _raise_misfit(y, p, w)
        if classes is not None:
            keep = _set_classes(&call, classes, max(k, 2))
        if rows is not None:
            _set_output(&call.rows, rows, y, 1, "rows")
            if call.rows.view.kind != FLL_FLOAT64:
                raise TypeError("rows must be an array of float64")
        if hessian is not None and gradient is None:
            raise TypeError("hessian goes with gradient")
        _set_output(&call.gradient, gradient, p, ndim, "gradient")
        _set_output(&call.hessian, hessian, p, ndim, "hessian")
        call.derive = gradient is not None
        call.scale = scale
        call.hessian_factor = hessian_factor
        call.check_only = check_only
        call.row_scale = row_scale
        call.exact = exact and not check_only
        prepare(&call, n_threads)
        totals.spec = self
        totals.n_rows = call.n
        totals.weighted = w is not None
        release = not is_short(&call)
        if not release:
            call.n_threads = 1
        try:
            seen = <uint8_t*>calloc(call.n_threads, k)
            if call.exact:
                ledgers = <char*>calloc(call.n_threads, ledger_size(&self.task))
            if seen == NULL or (ledgers == NULL and call.exact):
                raise MemoryError()
            guard = pin_memory(y, p, w, rows, gradient, hessian) if release else None
            if call.n:
                run(&call, &totals.total, seen, ledgers, release)
            else:
                start(&totals.total)
            del guard
            for i in range(1, call.n_threads):
                for j in range(k):
                    seen[j] |= seen[i * k + j]
            totals.seen = PyBytes_FromStringAndSize(<const char*>seen, k)
            if call.exact:
                for i in range(1, call.n_threads):
                    merge_ledgers(
                        <Ledger*>ledgers,
                        <Ledger*>(ledgers + i * ledger_size(&self.task)),
                        max(k, 2),
                    )
                totals.exact = _exact_sums(<Ledger*>ledgers, &call, &totals.total)
        finally:
            free(seen)
            free(ledgers)
        return totals

    def run_many(
        self,
        cnp.ndarray y not None,
        cnp.ndarray scores not None,
        cnp.ndarray w,
        cnp.ndarray losses not None,
        cnp.ndarray statuses not None,
        int n_threads=1,
    ):
        """Mean loss of each of several models on the same rows.

        ``scores`` are those of `run` with the models as first axis. ``losses``
        (float64) and ``statuses`` (int64) receive one number for each; but for
        ``BAD_ROW_SUM``, the status of one may be that of a neighbour. False, with
        nothing of use done, where a sum is beyond the range of doubles or weights have
        both signs.
        """
        cdef Call call
        cdef Py_ssize_t model, k = self.task.n_columns
        cdef Partial* totals = NULL
        cdef Partial* total
        cdef uint8_t* seen = NULL
        cdef double loss, weight
        cdef bint good = True
        if not _set_inputs(&call, &self.task, y, scores, w, 1) or not call.n:
            _raise_misfit(y, scores, w)
        if not (
            _is_vector(losses, call.n_cells)
            and _is_vector(statuses, call.n_cells)
            and _kind(losses) == FLL_FLOAT64
            and _kind(statuses) == FLL_INT64
            and cnp.PyArray_ISCARRAY(losses)
            and cnp.PyArray_ISCARRAY(statuses)
        ):
            raise TypeError("losses and statuses must be plain and writeable")
        if not call.n_cells:
            return True
        prepare(&call, n_threads)
        guard = pin_memory(y, scores, w, losses, statuses)
        try:
            totals = <Partial*>malloc(call.n_cells * sizeof(Partial))
            seen = <uint8_t*>calloc(call.n_threads, k)
            if totals == NULL or seen == NULL:
                raise MemoryError()
            run(&call, totals, seen, NULL, True)
            for model in range(call.n_cells):
                total = totals + model
                (<int64_t*>cnp.PyArray_DATA(statuses))[model] = total.status
                loss = loss_of(total, &self.task)
                weight = call.n
                if w is not None:
                    weight = total.weight + total.weight_tail
                good &= in_range(loss, weight, call.n, &self.task, w is not None)
                good &= total.signs >> 63 == 0
                (<double*>cnp.PyArray_DATA(losses))[model] = loss / weight
        finally:
            free(totals)
            free(seen)
        del guard
        return good

    def add_to_groups(
        self,
        cnp.ndarray y not None,
        cnp.ndarray p not None,
        cnp.ndarray w,
        cnp.ndarray numbers not None,
        cnp.ndarray cells not None,
        cnp.ndarray layout not None,
        *,
        cnp.ndarray classes=None,
        cnp.ndarray window=None,
        int64_t base=0,
        bint take_away=False,
        int n_threads=1,
    ):
        """Add rows to the exact sums of their groups.

        Parameters
        ----------
        y, p, w, classes
            As of `run`.
        numbers : ndarray of int64, shape (n,)
            The group of each row. With a window keys, of any type of integers.
        cells : ndarray of int64, shape (n_groups, size)
            The sums, laid out as `layout` says.
        layout : ndarray of int64, shape (4, 2)
            First digit and number of digits of each quad, and of the classes.
        window : ndarray of int32, optional
            The groups of the keys `base`, `base` + 1 and so on, + 1. All keys have one.
        take_away : bool
            Rows are taken away instead.

        Returns
        -------
        status : int
            As of `Totals`; or ``NEEDS_ROOM``, where a row needs digits that there are
            none of.
        bad_sum_from : int
        n_done : int
            Rows that have been added, the first ones.
        needs : list of (int, int)
            Digits that are needed then, from the first up to the second.
        """
        cdef Call call
        cdef Groups groups
        cdef Partial total
        if not _set_inputs(&call, &self.task, y, p, w, 0):
            _raise_misfit(y, p, w)
        if classes is not None:
            keep = _set_classes(&call, classes, max(self.task.n_columns, 2))
        call.by_group = True
        prepare(&call, n_threads)
        _set_groups(&groups, &call, numbers, cells, layout, window, base)
        groups.sign = -1.0 if take_away else 1.0
        guard = pin_memory(y, p, w, numbers, cells, window)
        add_groups(&call, &groups, &total)
        del guard
        needs = [
            (groups.need_low[i], groups.need_high[i]) for i in range(WINDOWS)
        ]
        return total.status, total.bad_sum_from, groups.n_done, needs

    def mean(self, y, p, w=None, bint complete=False):
        """Mean loss of a few rows, the short way.

        If `complete`, all classes have to occur, and two of them may be any numbers.

        None, with nothing else done, unless `y`, `p` and `w` are arrays of few rows
        with nothing to warn of or stumble over, and the sums in range. Everything here
        is also done, at length, by the callers of `run`.
        """
        if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray:
            return None
        if w is not None and type(w) is not cnp.ndarray:
            return None
        if not self.task.from_logits and _has_own_epsilon(p):
            return None
        return _short_mean(&self.task, y, p, w, complete)

    def slopes(self, y, p, w, double total, int order, bint normalize, out, complete):
        """Loss, gradient and, of order 2, hessian of a few rows, the short way.

        None, with nothing else done, under the conditions of `mean`, or where `p` is
        not float64, or `out` not one or two plain arrays that share no memory with
        another. ``total`` is the sum of the weights. All is validated before the first
        number is written to `out`.
        """
        cdef Call call
        cdef Partial part
        cdef uint8_t seen[MAX_SHORT]
        cdef cnp.ndarray gradient, hessian = None, scores
        cdef Py_ssize_t k = self.task.n_columns
        cdef double loss
        if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray:
            return None
        if w is not None and type(w) is not cnp.ndarray:
            return None
        scores = p
        if _kind(scores) != FLL_FLOAT64 or not cnp.PyArray_ISNOTSWAPPED(scores):
            return None
        if k > MAX_SHORT or not _set_inputs(&call, &self.task, y, scores, w, 0):
            return None
        prepare(&call, 1)
        if call.n == 0 or not is_short(&call):
            return None
        if normalize:
            if not 1e-290 < absolute(total) < 1e300:
                return None
            call.scale = 1.0 / total
        if out is None:
            gradient = _new_like(scores)
            if order == 2:
                hessian = _new_like(scores)
        else:
            if order == 2 and (type(out) is not tuple or len(out) != 2):
                return None
            first = out if order == 1 else out[0]
            if not _is_free(first, scores, y, w):
                return None
            gradient = first
            if order == 2:
                if not _is_free(out[1], scores, y, w) or _overlap(gradient, out[1]):
                    return None
                hessian = out[1]
            call.check_only = True
            prepare(&call, 1)
            memset(seen, 0, k)
            run(&call, &part, seen, NULL, False)
            if part.status:
                return None
            if complete and count_seen(&part, k, call.n, seen) != max(k, 2):
                return None
            call.check_only = False
        _set_output(&call.gradient, gradient, scores, scores.ndim, "gradient")
        _set_output(&call.hessian, hessian, scores, scores.ndim, "hessian")
        call.derive = True
        prepare(&call, 1)
        memset(seen, 0, k)
        run(&call, &part, seen, NULL, False)
        if part.status or part.signs >> 63:
            return None
        if complete and count_seen(&part, k, call.n, seen) != max(k, 2):
            return None
        loss = loss_of(&part, &self.task)
        if w is not None:
            total = part.weight + part.weight_tail
        if not in_range(loss, total, call.n, &self.task, w is not None):
            return None
        if normalize:
            loss /= total
        return (loss, gradient) if order == 1 else (loss, gradient, hessian)


@cython.final
cdef class Totals:
    """Sums over rows, and what validation found on the way: a value.

    Made by a `Spec`.
    """

    cdef Spec spec
    cdef Partial total
    cdef bytes seen
    cdef readonly Py_ssize_t n_rows
    cdef readonly object exact
    cdef bint weighted

    def __init__(self):
        raise TypeError("Totals are what Spec.run returns")

    def __add__(Totals self, Totals other):
        """The totals of the rows of both, one after the other.

        With the bits of one call, if the first holds whole blocks.
        """
        cdef Totals both = Totals.__new__(Totals)
        cdef Partial part = other.total
        both.spec = self.spec
        both.total = self.total
        both.n_rows = self.n_rows + other.n_rows
        both.weighted = self.weighted or other.weighted
        both.seen = bytes(a | b for a, b in zip(self.seen, other.seen, strict=True))
        if part.bad_sum_from >= 0:
            part.bad_sum_from += self.n_rows
        merge(&both.total, &part)
        return both

    @property
    def status(self):
        """Union of the ``BAD_*`` flags: what the rows broke."""
        return self.total.status

    @property
    def bad_sum_from(self):
        """A row before which all sums are within the tolerance; -1 if all are."""
        return self.total.bad_sum_from

    @property
    def loss(self):
        """Sum of the losses (weighted, if weights were given), in nats."""
        return loss_of(&self.total, &self.spec.task)

    @property
    def weight(self):
        """Sum of the weights; the number of rows where there are none."""
        if self.weighted:
            return self.total.weight + self.total.weight_tail
        return <double>self.n_rows

    @property
    def in_range(self):
        """Whether the sums lost nothing beyond the range of doubles."""
        return in_range(
            self.loss, self.weight, self.n_rows, &self.spec.task, self.weighted
        )

    @property
    def signed(self):
        """Whether some weight is negative: their sum may be mostly rounding then."""
        return self.total.signs >> 63 != 0

    @property
    def n_classes_seen(self):
        """Number of different labels among the rows."""
        return count_seen(
            &self.total, self.spec.task.n_columns, self.n_rows, self.seen
        )
