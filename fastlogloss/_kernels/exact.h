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

#ifdef __AVX2__
#include <immintrin.h>
#endif

#define FLL_TILE 256

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

/* Four numbers of a row, which are cut and added to four sums at once. */
#ifdef __AVX2__
typedef __m256d Four;

/* Rows i to i + 4 of four columns, FLL_TILE apart. */
FLL_INLINE void rows_of_four(const double *x, ptrdiff_t i, Four *row)
{
    const Four a = _mm256_loadu_pd(x + i), b = _mm256_loadu_pd(x + FLL_TILE + i);
    const Four c = _mm256_loadu_pd(x + 2 * FLL_TILE + i);
    const Four d = _mm256_loadu_pd(x + 3 * FLL_TILE + i);
    const Four ab = _mm256_unpacklo_pd(a, b), cd = _mm256_unpacklo_pd(c, d);
    const Four AB = _mm256_unpackhi_pd(a, b), CD = _mm256_unpackhi_pd(c, d);
    row[0] = _mm256_permute2f128_pd(ab, cd, 0x20);
    row[1] = _mm256_permute2f128_pd(AB, CD, 0x20);
    row[2] = _mm256_permute2f128_pd(ab, cd, 0x31);
    row[3] = _mm256_permute2f128_pd(AB, CD, 0x31);
}

/* sum += the integers of x to the precision of a cutter, times 2^up. Returns what is
   left of x. */
FLL_INLINE Four add_four(Four x, double a, int up, int64_t *sum)
{
    const Four v = _mm256_set1_pd(a), t = _mm256_add_pd(x, v);
    const __m256i whole =
        _mm256_sub_epi64(_mm256_castpd_si256(t), _mm256_castpd_si256(v));
    const __m256i held = _mm256_loadu_si256((const __m256i *)sum);
    _mm256_storeu_si256((__m256i *)sum,
                        _mm256_add_epi64(held, _mm256_slli_epi64(whole, up)));
    return _mm256_sub_pd(x, _mm256_sub_pd(t, v));
}
#else
typedef struct {
    double x[4];
} Four;

FLL_INLINE void rows_of_four(const double *x, ptrdiff_t i, Four *row)
{
    int j, k;
    for (j = 0; j < 4; ++j)
        for (k = 0; k < 4; ++k)
            row[j].x[k] = x[k * FLL_TILE + i + j];
}

FLL_INLINE Four add_four(Four x, double a, int up, int64_t *sum)
{
    int64_t held[4]; /* all are read before the first is written */
    int k;
    for (k = 0; k < 4; ++k) {
        const double t = x.x[k] + a;
        held[k] = sum[k] + (int64_t)((to_bits(t) - to_bits(a)) << up);
        x.x[k] -= t - a;
    }
    memcpy(sum, held, sizeof held);
    return x;
}
#endif

FLL_INLINE void add_m_digits(const double *x, ptrdiff_t n, const double *a, int m,
                             int up, int64_t *cells, const ptrdiff_t *at,
                             int64_t *counts, int64_t one)
{
    Four row[4];
    ptrdiff_t i, j;
    int k;
    for (i = 0; i < n; i += 4) {
        rows_of_four(x, i, row);
        for (j = 0; j < 4 && i + j < n; ++j) {
            int64_t *cell = cells + at[i + j];
            Four left = row[j];
            if (counts)
                counts[at[i + j]] += one;
            for (k = 0; k < m; ++k)
                left = add_four(left, a[k], k == m - 1 ? up : 0, cell + 4 * k);
        }
    }
}

/* Of n rows of four numbers, columns of (4, FLL_TILE), the digits from `high` down to
   `low`, each to the cell of the row, at[i], where the highest comes first. `one` is
   added to the count of each row, unless counts is NULL. What is left of a number stays
   in a register from a digit to the next. A row is done with before the next one: where
   that is of the same group, it waits. */
static void add_quads(const double *x, ptrdiff_t n, int high, int low, int64_t *cells,
                      const ptrdiff_t *at, int64_t *counts, int64_t one)
{
    const int m = high - low + 1;
    double a[FLL_DIGITS];
    int k, up = 0;
    for (k = 0; k < m; ++k) {
        const int exponent = (high - k) * FLL_DIGIT - FLL_BELOW;
        if (exponent < FLL_LEAST) /* digit 0 begins below what a cutter cuts */
            up = FLL_LEAST - exponent;
        a[k] = cutter(exponent + up);
    }
    if (m == 3 && !up) /* these are common: loops without a branch */
        add_m_digits(x, n, a, 3, 0, cells, at, counts, one);
    else if (m == 4 && !up)
        add_m_digits(x, n, a, 4, 0, cells, at, counts, one);
    else if (m == 2 && !up)
        add_m_digits(x, n, a, 2, 0, cells, at, counts, one);
    else
        add_m_digits(x, n, a, m, up, cells, at, counts, one);
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
