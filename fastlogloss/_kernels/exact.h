/* Exact sums of doubles: integers that no order, split or thread changes. Longer than
   300 lines: digits are cut, added, carried and rounded here alone.

   Design
   A. A sum is 54 digits of base 2^40 in int64, from 2^-1080 up, which hold any double.
      Each has 23 bits of headroom: carries wait for settle(). Sums merge by addition,
      and a subtraction takes away what was added, exactly.
   B. The numbers of a tile are cut into slices of 51 bits, from its largest number
      down: x + 1.5 * 2^(52 + g) rounds x to a multiple of 2^g, whose integer is in the
      last bits of that sum, and what is left of x is exact. Two slices reach 102 bits
      down: mostly all there is. All is vectors, whatever the instruction set. Rejected
      (ns a number in cache, AVX-512, where this takes 0.2 to 0.3): an integer for each
      exponent, which needs a store and a load of the same place for each number (1.2,
      and 32 KiB that short calls have to clear); compensated sums, which depend on the
      order.
   C. Numbers that leave no room above for the cut (2^1022 and more) are added one by
      one.
*/
#ifndef FASTLOGLOSS_EXACT_H
#define FASTLOGLOSS_EXACT_H

#include "scalar.h"

enum {
    FLL_DIGITS = 54,
    FLL_DIGIT = 40,    /* bits of a digit */
    FLL_BELOW = 1080,  /* digit 0 counts 2^-1080 */
    FLL_UNIT = 27,     /* digit 27 counts ones */
    FLL_SLICE = 51,    /* bits of a slice */
    FLL_MOST = 1022,   /* numbers below 2^FLL_MOST are cut */
    FLL_LEAST = -1074  /* no double has a smaller bit */
};

#define FLL_MASK ((1ll << FLL_DIGIT) - 1)

/* digits += whole * 2^exponent */
FLL_INLINE void add_whole(int64_t whole, int exponent, int64_t *digits)
{
    const int at = exponent + FLL_BELOW, shift = at % FLL_DIGIT;
    const int64_t high = whole >> (FLL_DIGIT - shift);
    int64_t *digit = digits + at / FLL_DIGIT;
    FLL_CHECK(exponent >= FLL_LEAST && at / FLL_DIGIT + 2 < FLL_DIGITS);
    digit[0] += (whole << shift) & FLL_MASK;
    digit[1] += high & FLL_MASK;
    digit[2] += high >> FLL_DIGIT;
}

/* digits += x, which is finite */
FLL_INLINE void add_double(double x, int64_t *digits)
{
    const uint64_t bits = to_bits(x);
    const int biased = (int)(bits >> 52 & 0x7FF);
    int64_t whole = (int64_t)(bits & 0xFFFFFFFFFFFFFull);
    if (biased)
        whole |= 1ll << 52;
    add_whole(bits >> 63 ? -whole : whole, (biased ? biased : 1) - 1075, digits);
}

/* All numbers are below 2^top, and finite if top is 1024 at most. */
FLL_INLINE int top_of(const double *x, ptrdiff_t n)
{
    uint64_t most = 0;
    ptrdiff_t i;
    for (i = 0; i < n; ++i) {
        const uint64_t bits = to_bits(absolute(x[i]));
        most = (int64_t)bits > (int64_t)most ? bits : most;
    }
    return (int)(most >> 52) - 1022;
}

/* The two slices of a number: their integers are added to a and b. Returns the rest. */
FLL_INLINE double cut(double x, double first, double second, uint64_t *a, uint64_t *b)
{
    const double t = x + first, r = x - (t - first), u = r + second;
    *a += to_bits(t);
    *b += to_bits(u);
    return r - (u - second);
}

/* The sums of the slices of x, or of x * y, are whole[0] and whole[1]; `rest` receives
   what is left, and may be x. Returns whether something is. */
#define FLL_CUT(name, value)                                                           \
    static int name(const double *x, const double *y, ptrdiff_t n, double first,       \
                    double second, int64_t *whole, double *rest)                       \
    {                                                                                  \
        uint64_t a = 0, b = 0, any = 0;                                                \
        ptrdiff_t i;                                                                   \
        (void)y;                                                                       \
        for (i = 0; i < n; ++i) {                                                      \
            const double s = cut(value, first, second, &a, &b);                        \
            any |= to_bits(s) << 1;                                                    \
            rest[i] = s;                                                               \
        }                                                                              \
        whole[0] = (int64_t)(a - (uint64_t)n * to_bits(first));                        \
        whole[1] = (int64_t)(b - (uint64_t)n * to_bits(second));                       \
        return any != 0;                                                               \
    }
FLL_CUT(cut_numbers, x[i])
FLL_CUT(cut_products, x[i] * y[i])

FLL_INLINE int slice_below(int exponent)
{
    return exponent - FLL_SLICE < FLL_LEAST ? FLL_LEAST : exponent - FLL_SLICE;
}

/* What rounds to multiples of 2^exponent, if it is added. */
FLL_INLINE double cutter(int exponent)
{
    return from_bits((uint64_t)(exponent + 1075) << 52 | 1ull << 51);
}

/* digits += the sum of x or, if there is y, of x * y, all below 2^top. `rest` has room
   for n numbers, and may be x. Returns how many are not finite, which are left out. */
static int64_t add_exactly(const double *x, const double *y, ptrdiff_t n, int top,
                           int64_t *digits, double *rest)
{
    int64_t whole[2], lost = 0;
    ptrdiff_t i;
    int more = 1;
    if (top > FLL_MOST) { /* or an upper bound of it is */
        for (i = 0; i < n; ++i)
            rest[i] = y ? x[i] * y[i] : x[i];
        x = rest;
        y = NULL;
        top = top_of(x, n);
        for (i = 0; i < (top > FLL_MOST ? n : 0); ++i) {
            if (isfinite(x[i]))
                add_double(x[i], digits);
            else
                ++lost;
        }
        if (top > FLL_MOST)
            return lost;
    }
    if (top < FLL_LEAST + 2)
        top = FLL_LEAST + 2;
    while (more) {
        const int first = slice_below(top), second = slice_below(first);
        const double a = cutter(first), b = cutter(second);
        more = y ? cut_products(x, y, n, a, b, whole, rest)
                 : cut_numbers(x, NULL, n, a, b, whole, rest);
        add_whole(whole[0], first, digits);
        add_whole(whole[1], second, digits);
        more &= second > FLL_LEAST; /* what is left then, another thread has changed */
        top = second;
        x = rest;
        y = NULL;
    }
    return 0;
}

/* Of what is not zero, 2^*low <= |x| < 2^*high; both are 0 where all is zero. Numbers
   of fewer bits, below 2^-1022, are taken for the least of them. */
static void exponents(const double *x, ptrdiff_t n, int *low, int *high)
{
    int64_t most = 0, least = INT64_MAX;
    ptrdiff_t i;
    for (i = 0; i < n; ++i) {
        const int64_t bits = (int64_t)to_bits(absolute(x[i]));
        const int64_t below = (bits - 1) & INT64_MAX; /* the largest for zero */
        most = bits > most ? bits : most;
        least = below < least ? below : least;
    }
    *low = *high = 0;
    if (most) {
        *high = (int)(most >> 52) - 1022;
        *low = (int)((uint64_t)(least + 1) >> 52) - 1023;
        if (*low < -1022)
            *low = FLL_LEAST;
    }
}

/* The integer of x to the precision of a cutter; what is left of x stays there. */
FLL_INLINE int64_t cut_digit(double *x, double a)
{
    const double t = *x + a;
    *x -= t - a;
    return (int64_t)(to_bits(t) - to_bits(a));
}

/* m digits of n columns of four numbers each: (4, FLL_TILE) to m times rows (n, 4). What
   is left of a number stays in a register from a digit to the next. */
#define FLL_TILE 256
#define FLL_CUT_AT_ONCE 3
FLL_INLINE void cut_m_digits(double *x, ptrdiff_t n, const double *a, int up,
                             int64_t *rows, int m)
{
    double *p = x, *q = x + FLL_TILE, *r = q + FLL_TILE, *s = r + FLL_TILE;
    ptrdiff_t i;
    int k;
    for (i = 0; i < n; ++i) {
        double x0 = p[i], x1 = q[i], x2 = r[i], x3 = s[i];
        for (k = 0; k < m; ++k) {
            int64_t *row = rows + 4 * (k * FLL_TILE + i);
            const double t0 = x0 + a[k], t1 = x1 + a[k];
            const double t2 = x2 + a[k], t3 = x3 + a[k];
            const uint64_t b = to_bits(a[k]);
            x0 -= t0 - a[k];
            x1 -= t1 - a[k];
            x2 -= t2 - a[k];
            x3 -= t3 - a[k];
            row[0] = (int64_t)((to_bits(t0) - b) << up);
            row[1] = (int64_t)((to_bits(t1) - b) << up);
            row[2] = (int64_t)((to_bits(t2) - b) << up);
            row[3] = (int64_t)((to_bits(t3) - b) << up);
        }
        p[i] = x0;
        q[i] = x1;
        r[i] = x2;
        s[i] = x3;
    }
}

/* Digits from `high` down. Digit 0 begins below what a cutter cuts. */
static void cut_quad(double *x, ptrdiff_t n, int high, int m, int64_t *rows)
{
    double a[FLL_CUT_AT_ONCE];
    int k;
    if (high < m) {
        for (k = 0; k < m; ++k) {
            const int exponent = (high - k) * FLL_DIGIT - FLL_BELOW;
            const int up = exponent < FLL_LEAST ? FLL_LEAST - exponent : 0;
            a[0] = cutter(exponent + up);
            cut_m_digits(x, n, a, up, rows + 4 * FLL_TILE * k, 1);
        }
        return;
    }
    for (k = 0; k < m; ++k)
        a[k] = cutter((high - k) * FLL_DIGIT - FLL_BELOW);
    if (m == 1)
        cut_m_digits(x, n, a, 0, rows, 1);
    else if (m == 2)
        cut_m_digits(x, n, a, 0, rows, 2);
    else
        cut_m_digits(x, n, a, 0, rows, 3);
}

FLL_INLINE void add_m_quads(const int64_t *rows, const int m, ptrdiff_t n,
                            int64_t *cells, const ptrdiff_t *at)
{
    ptrdiff_t i;
    int k;
    for (i = 0; i < n; ++i)
        for (k = 0; k < m; ++k) {
            const int64_t *row = rows + 4 * (k * FLL_TILE + i);
            int64_t *cell = cells + at[i] + 4 * k;
            /* All four are read before the first is written: one vector. */
            const int64_t a = cell[0] + row[0], b = cell[1] + row[1];
            const int64_t c = cell[2] + row[2], d = cell[3] + row[3];
            cell[0] = a;
            cell[1] = b;
            cell[2] = c;
            cell[3] = d;
        }
}

/* m digits of each row to its place, in the order they have there: 3, 2 or 1, each with
   a loop of its own. A row is done with before the next: where that is of the same
   group, it waits. */
static void add_quads(const int64_t *rows, ptrdiff_t m, ptrdiff_t n, int64_t *cells,
                      const ptrdiff_t *at)
{
    if (m == 3)
        add_m_quads(rows, 3, n, cells, at);
    else if (m == 2)
        add_m_quads(rows, 2, n, cells, at);
    else
        add_m_quads(rows, 1, n, cells, at);
}

/* Carry, so that all digits but the last are in [0, 2^40). */
static void settle(int64_t *digits, ptrdiff_t n)
{
    ptrdiff_t i;
    for (i = 0; i + 1 < n; ++i) {
        digits[i + 1] += digits[i] >> FLL_DIGIT;
        digits[i] &= FLL_MASK;
    }
}

FLL_INLINE uint64_t digit_of(const int64_t *digits, ptrdiff_t i, int negative,
                             ptrdiff_t first)
{
    if (i < first)
        return 0;
    /* The complement of a number begins at its first digit that is not zero. */
    if (!negative)
        return (uint64_t)digits[i];
    return (uint64_t)((i == first ? FLL_MASK + 1 : FLL_MASK) - digits[i]) &
           (uint64_t)FLL_MASK;
}

/* The number that n settled digits from digit `low` up are, rounded once. */
static double rounded(const int64_t *digits, ptrdiff_t n, int low)
{
    ptrdiff_t first = 0, i;
    uint64_t top, bits, sticky;
    int negative, exponent, step, up = 0;
    double x;
    while (first < n && digits[first] == 0)
        ++first;
    if (first == n)
        return 0.0;
    negative = digits[n - 1] < 0;
    /* The last digit is the only one beyond 40 bits. */
    top = (uint64_t)digits[n - 1];
    if (negative)
        top = (first == n - 1 ? 0 : ~0ull) - top;
    i = n - 1;
    while (top == 0)
        top = digit_of(digits, --i, negative, first);
    /* 64 bits from the highest that is set, and whether there are more. */
    for (step = 32; step > 0; step /= 2)
        if (top >> (64 - step - up) == 0)
            up += step;
    bits = top << up;
    exponent = (int)(i + low) * FLL_DIGIT - FLL_BELOW - up;
    sticky = 0;
    while (up > 0 && i > first) {
        const uint64_t digit = digit_of(digits, --i, negative, first);
        if (up >= FLL_DIGIT)
            bits |= digit << (up - FLL_DIGIT);
        else {
            bits |= digit >> (FLL_DIGIT - up);
            sticky |= digit << (64 - FLL_DIGIT + up);
        }
        up -= FLL_DIGIT;
    }
    sticky |= i > first;
    x = ldexp((double)(bits | (sticky != 0)), exponent);
    return negative ? -x : x;
}

#endif
