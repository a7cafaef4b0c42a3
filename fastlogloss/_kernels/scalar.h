/* Scalar maths: the innermost ring. Bit casts, an error-free product, a logarithm.
   Longer than 300 lines: constants of the series, and what compilers need.

   Design
   A. Everything is branch-free and inlined, so that the loops around it are
      vectorised by the compiler. Calling libm was rejected: its log is not inlined
      (4 ns a row), and its last bit differs between machines, which would break
      "the same bits everywhere".
   B. No fused multiply-add except in product_error(), where the fused and the split
      form are both exact, so that they agree to the last bit. Contracting the other
      expressions would save a tenth of the weighted loop and lose that equality.
   C. log_normal() and exp_nonpositive() are also there in three steps, for loops of
      their own over a tile: in one loop a vector waits 80 cycles from its first
      operation to its last, and 64 scheduler entries hold little more than one vector.
      Estrin's scheme for the same reason. The cuts of log_normal() let the division
      of some rows run beside the multiplications of others (log_array()). Nanoseconds
      a row with SSE2, AVX2, AVX-512, in cache (Zen 4, 3.7 GHz):
        one loop                                                     2.12  1.04  0.76
        three loops, the polynomial whole in the second              1.78  0.89  0.77
        as it is                                                     1.50  0.73  0.68
   D. log_normal(): relative error below 1.0 ULP on [2^-1022, inf) for every q
      (tests/test_accuracy.py measures it, worst near q = 0.7): the polynomial itself
      is good to 0.04 ULP, the rest is rounding.
      Rejected: a table of log c and 1 / c, c near m, with a short polynomial of
      r = m / c - 1, which is exact with a fused multiply-add or a 21-bit 1 / c. It
      needs no division, but 4 rows take 20 instructions to look up. Measured as above:
        128 entries as pairs, loads of 16 bytes, one loop            2.46  1.07  0.88
        the same in three loops, the fastest of four cuts            1.92  0.97  0.86
        128 entries, gathered                                           -  1.56  1.46
        16 entries by permutes, a polynomial of twice the length        -     -  0.92
      A table would have to take 1 / c and log c from the bits of one load to win, and
      those of log c alone are 53. A polynomial without division has degree 20.
   E. Doubles are doubles: where the compiler keeps more digits (x87), nothing of this
      is exact, and scalar.h does not compile.
*/
#ifndef FASTLOGLOSS_SCALAR_H
#define FASTLOGLOSS_SCALAR_H

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD == 2 || FLT_EVAL_METHOD < 0
#error "fastlogloss needs doubles that are rounded to doubles: not x87, but SSE2 \
(gcc and clang: -msse2 -mfpmath=sse; MSVC: /arch:SSE2)"
#endif

/* A fused multiply-add that the processor has. __FP_FAST_FMA says it for every
   processor, but not with every compiler. */
#if defined(__FP_FAST_FMA) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define FLL_FMA 1
#endif

#if defined(__GNUC__) || defined(__clang__)
#define FLL_INLINE static inline __attribute__((always_inline, unused))
#define FLL_PREFETCH(address) __builtin_prefetch(address, 0, 3)
#define FLL_PREFETCH_L2(address) __builtin_prefetch(address, 0, 2)
#elif defined(_MSC_VER)
#define FLL_INLINE static __forceinline
#define FLL_PREFETCH(address) ((void)(address))
#define FLL_PREFETCH_L2(address) ((void)(address))
#else
#define FLL_INLINE static inline
#define FLL_PREFETCH(address) ((void)(address))
#define FLL_PREFETCH_L2(address) ((void)(address))
#endif

/* Before the type of a function that reads what may come from memory: vectors of 256
   bits there, also where those of 512 are preferred. Arrays are aligned to 16 bytes at
   best, and a load of 64 bytes would always take from two lines of a cache (1e7 rows:
   5.9 ms instead of 3.7). */
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#define FLL_256BIT __attribute__((noinline, target("prefer-vector-width=256")))
#else
#define FLL_256BIT
#endif

/* setup.py defines it for FASTLOGLOSS_DEBUG=1 builds. */
#ifdef FASTLOGLOSS_DEBUG
#define FLL_CHECK(condition) assert(condition)
#else
#define FLL_CHECK(condition) ((void)0)
#endif

static const double FLL_LN2 = 0x1.62e42fefa39efp-1;       /* ln 2 = LN2 + LN2_TAIL */
static const double FLL_LN2_TAIL = 0x1.abc9e3b39803fp-56; /* (to 107 bits)         */

FLL_INLINE uint64_t to_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

FLL_INLINE double from_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

FLL_INLINE double absolute(double x)
{
    return from_bits(to_bits(x) & 0x7FFFFFFFFFFFFFFFull);
}

FLL_INLINE double larger(double x, double y) { return x > y ? x : y; }

FLL_INLINE void prefetch(const void *address) { FLL_PREFETCH(address); }

/* To the second-level cache: more than the first holds beside what is in use. */
FLL_INLINE void prefetch_l2(const void *address) { FLL_PREFETCH_L2(address); }

/* Bytes. */
#define FLL_AHEAD 4096

/* Fetch what lies `ahead` bytes beyond items [first, first + n) of an array, or of NULL
   nothing. In C, for it has to be inlined: gcc drops calls of a function that does
   nothing but prefetch. Past the end of the array it is harmless. */
FLL_INLINE void fetch(const char *array, ptrdiff_t first, ptrdiff_t n, int size,
                      ptrdiff_t ahead)
{
    const char *address = array + first * size + ahead;
    ptrdiff_t i;
    if (array)
        for (i = 0; i < n * size; i += 64)
            FLL_PREFETCH(address + i);
}

FLL_INLINE void fetch_ahead(const char *array, ptrdiff_t first, ptrdiff_t n, int size)
{
    fetch(array, first, n, size, FLL_AHEAD);
}

FLL_INLINE void check(int condition)
{
    (void)condition;
    FLL_CHECK(condition);
}

/* The sign bit of the result is set unless low <= x <= high, for 0 <= low <= high
   given as bits. Sets it also for NaN and for -0.0, which the caller looks at a
   second time. Two subtractions and an OR: AVX2 has no 64-bit integer maximum. */
FLL_INLINE uint64_t outside(double x, uint64_t low, uint64_t high)
{
    return (to_bits(x) - low) | (high - to_bits(x));
}

/* Bit 62 or 63 of the result is set unless 0 <= x <= 1; for -0.0 too. A NaN whose sign
   is set goes through: where a sum is not one, the numbers are to be looked at. */
FLL_INLINE uint64_t outside_unit(double x) { return to_bits(x) + 0xFFFFFFFFFFFFFull; }

/* mask all ones: when_set; all zeros: otherwise. */
FLL_INLINE double choose(uint64_t mask, double when_set, double otherwise)
{
    const uint64_t o = to_bits(otherwise);
    return from_bits(o ^ ((o ^ to_bits(when_set)) & mask));
}

/* a * b - product, exactly, for product = a * b rounded.
   Dekker (1971), Veltkamp splitting, where there is no fused multiply-add. */
FLL_INLINE double product_error(double a, double b, double product)
{
#ifdef FLL_FMA
    return __builtin_fma(a, b, -product);
#else
    const double split = 134217729.0; /* 2^27 + 1 */
    const double at = a * split, ah = at - (at - a), al = a - ah;
    const double bt = b * split, bh = bt - (bt - b), bl = b - bh;
    return ((ah * bh - product) + ah * bl + al * bh) + al * bl;
#endif
}

/* a + b - sum, exactly, for sum = a + b rounded (Knuth, TAOCP 2, 4.2.2). */
FLL_INLINE double sum_error(double a, double b, double sum)
{
    const double bb = sum - a;
    return (a - (sum - bb)) + (b - bb);
}

/* The bits of x = m * 2^e, m in [sqrt(1/2), sqrt(2)), less those of sqrt(1/2), and the
   exponent e + 1024 in their place. Not m in [1, 2): a product just under 1 must keep
   e = 0, or the final e * ln 2 + ln m would cancel. x is a positive normal number. */
FLL_INLINE uint64_t biased_exponent(double x)
{
    return to_bits(x) + (0x4000000000000000ull - 0x3FE6A09E00000000ull);
}

/* m */
FLL_INLINE double mantissa(uint64_t biased)
{
    return from_bits((biased & 0x000FFFFFFFFFFFFFull) + 0x3FE6A09E00000000ull);
}

/* log(x) for a positive normal x. With x = m * 2^e, f = m - 1, s = f / (m + 1):
   log m = 2 atanh(s) = f - s * (f - z * P(z)), z = s^2, where P is the minimax
   polynomial of (2 atanh(s) - 2 s) / s^3 on |s| <= 3 - sqrt(8). */
FLL_INLINE double start_log(double x, double *e, double *f)
{
    const uint64_t biased = biased_exponent(x);
    const double m = mantissa(biased);
    /* e as a double by way of 2^52 + 1024 + e: AVX2 cannot convert 64-bit integers. */
    *e = from_bits(biased >> 52 | 0x4330000000000000ull) - 4503599627371520.0;
    *f = m - 1.0;
    return *f / (m + 1.0);
}

/* z * P(z) */
FLL_INLINE double log_series(double s)
{
    const double z = s * s, z2 = z * z;
    const double a = 0x1.5555555555558p-1 + z * 0x1.99999999952d7p-2;
    const double b = 0x1.2492492df281ap-2 + z * 0x1.c71c62e3f11e6p-3;
    const double c = 0x1.7462b51cb66b1p-3 + z * 0x1.39fe51a7c18f9p-3;
    return z * (a + z2 * (b + z2 * (c + z2 * 0x1.2b5900de53b32p-3)));
}

FLL_INLINE double finish_log(double e, double f, double s, double series)
{
    const double rest = s * (f - series);
    /* e times the first 21 bits of ln 2 is exact. */
    return e * 0x1.62e42p-1 + (f - (rest - e * 0x1.fdf473de6af28p-22));
}

FLL_INLINE double log_normal(double x)
{
    double e, f, s = start_log(x, &e, &f);
    return finish_log(e, f, s, log_series(s));
}

/* log(1 + x) for x >= 0. */
FLL_INLINE double log_excess(double x)
{
    const double h = 1.0 + x;
    return log_normal(h) + sum_error(1.0, x, h) / h;
}

/* log(x) for any x >= 0: log 0 = -inf, subnormal numbers in full precision. */
FLL_INLINE double log_any(double x)
{
    if (x == 0.0)
        return -INFINITY;
    if (x < 0x1p-1022)
        return log_normal(x * 0x1p54) - 54.0 * FLL_LN2;
    return log_normal(x);
}

/* exp(x): x = k ln 2 + r with |r| <= ln(2) / 2, and exp(x) = exp(r) * 2^k.

   The sum of x log2(e) and FLL_SHIFT + n, n an integer, is rounded to an integer, and
   its low bits are those of k + n. With n = FLL_BIAS they are, 52 bits further up, the
   exponent field of 2^(k + 128): the last product may then be subnormal. */
static const double FLL_SHIFT = 6755399441055744.0; /* 1.5 * 2^52 */
static const double FLL_BIAS = 1151.0;              /* 1023 + 128 */
static const double FLL_FLOOR = -797.0; /* here the field is 0, 1 or 2, and exp(x) 0 */

FLL_INLINE double shifted_exponent(double x, double shift)
{
    return x * 0x1.71547652b82fep+0 + shift;
}

/* r. k times the first 21 bits of ln 2 is exact. */
FLL_INLINE double exponent_rest(double x, double k)
{
    return (x - k * 0x1.62e42p-1) - k * 0x1.fdf473de6af28p-22;
}

/* exp(r) = 1 + r + r c / (2 - c) with c = r - r^2 P(r^2), P the minimax polynomial of
   (r (e^r + 1) / (e^r - 1) - 2) / r^2. Relative error below 0.85 ULP. A polynomial
   alone takes eight more operations; the division runs beside them. */
FLL_INLINE double exp_rest(double r)
{
    const double z = r * r, z2 = z * z;
    const double a = 0x1.5555555555553p-3 + z * -0x1.6c16c16c0ab48p-9;
    const double b = 0x1.1566ab5bcf6ecp-14 + z * -0x1.bbd5311684979p-20;
    const double c = r - z * (a + z2 * (b + z2 * 0x1.63f1d4c93e813p-25));
    return 1.0 + (r + r * c / (2.0 - c));
}

/* x times the power of 2 whose exponent field a shifted exponent holds. */
FLL_INLINE double times_power(double x, double shifted)
{
    return x * from_bits(to_bits(shifted) << 52);
}

/* exp(x) for x <= 0; 0 below -746. Relative error below 1.0 ULP where the result is
   normal; NaN stays NaN. In two halves, for loops of their own around exp_rest(). */
FLL_INLINE double start_exp(double x, double *shifted)
{
    const double y = larger(FLL_FLOOR, x), shift = FLL_SHIFT + FLL_BIAS;
    *shifted = shifted_exponent(y, shift);
    return exponent_rest(y, *shifted - shift);
}

FLL_INLINE double finish_exp(double x, double shifted)
{
    return times_power(x, shifted) * 0x1p-128;
}

FLL_INLINE double exp_nonpositive(double x)
{
    double shifted, r = start_exp(x, &shifted);
    return finish_exp(exp_rest(r), shifted);
}

/* The product of 16 numbers in (0, 1], `stride` apart, as a rounded product times
   1 + *error: in registers, for loops over neighbouring columns. A node of the tree of
   products, c = a b, is off by e / c of itself, of which e is kept: the rest is at most
   2^-53 (1 - c), no more than a rounding error of log c. */
FLL_INLINE double product_of_2(const double *x, ptrdiff_t stride, double *error)
{
    const double c = x[0] * x[stride];
    *error = product_error(x[0], x[stride], c);
    return c;
}

FLL_INLINE double product_of(double a, double b, double a_error, double b_error,
                             double *error)
{
    const double c = a * b;
    *error = (a_error + b_error) + product_error(a, b, c);
    return c;
}

#define FLL_DOUBLED(name, half, n)                                                     \
    FLL_INLINE double name(const double *x, ptrdiff_t stride, double *error)           \
    {                                                                                  \
        double a_error, b_error;                                                       \
        const double a = half(x, stride, &a_error);                                    \
        const double b = half(x + n / 2 * stride, stride, &b_error);                   \
        return product_of(a, b, a_error, b_error, error);                              \
    }
FLL_DOUBLED(product_of_4, product_of_2, 4)
FLL_DOUBLED(product_of_8, product_of_4, 8)
FLL_DOUBLED(product_of_16, product_of_8, 16)

/* (1 + a) (1 + b) - 1 */
FLL_INLINE double excess_of(double a, double b) { return (a + b) + a * b; }

FLL_INLINE double excess_of_4(const double *x, ptrdiff_t stride)
{
    return excess_of(excess_of(x[0], x[stride]),
                     excess_of(x[2 * stride], x[3 * stride]));
}

/* The product of the 16 numbers 1 + x, `stride` apart, less one. */
FLL_INLINE double excess_of_16(const double *x, ptrdiff_t stride)
{
    return excess_of(
        excess_of(excess_of_4(x, stride), excess_of_4(x + 4 * stride, stride)),
        excess_of(excess_of_4(x + 8 * stride, stride),
                  excess_of_4(x + 12 * stride, stride)));
}

/* log((h + l) * 2^e), h in [sqrt(1/2), sqrt(2)), |l| <= ulp(h). */
FLL_INLINE double log_product(double h, double l, double e)
{
    const double scale = e * FLL_LN2;
    const double tail = product_error(e, FLL_LN2, scale) + e * FLL_LN2_TAIL;
    const double m = log_normal(h);
    const double sum = scale + m;
    return sum + (sum_error(scale, m, sum) + (tail + l / h));
}

#endif
