/* Arrays as people have them -> buffers of doubles and of codes, some rows at a time.
   Longer than 300 lines: every type has its line in each of the conversions.

   Design
   A. Items are copied by their size, their bytes are swapped by their size, and what
      is left, an array in this machine's order, is converted by its type: short loops
      of their own, whose buffers lie in the first-level cache. Never the product of
      layouts, orders and types. What is an array of doubles already is read in place.
      Rejected: a loop that reads by stride, order and type at once (10 types x 2 x 2
      copies of every kernel), and NumPy's conversion (one thread, 2 to 9 times the
      time of the kernels).
   B. Two labels are compared with the two classes and become bytes, an eighth of what
      doubles would take; more are numbered by their distance from the first class where
      classes are a run of whole numbers, or looked up in a hash table.
*/
#ifndef FASTLOGLOSS_LOAD_H
#define FASTLOGLOSS_LOAD_H

#include "rows.h"

enum {
    FLL_FLOAT64,
    FLL_FLOAT32,
    FLL_FLOAT16,
    FLL_INT8,
    FLL_UINT8,
    FLL_INT16,
    FLL_UINT16,
    FLL_INT32,
    FLL_UINT32,
    FLL_INT64,
    FLL_UINT64
};

typedef struct {
    const char *data; /* item (0, 0); NULL for no array */
    ptrdiff_t row;    /* bytes from a row to the next */
    ptrdiff_t column; /* and from a column to the next */
    int kind;         /* FLL_FLOAT64 and so on */
    int size;         /* bytes of an item */
    int swapped;      /* these are in the order of other machines */
    int aligned;
    int in_place;     /* doubles, one row after the other */
} View;

typedef struct {
    const double *real;    /* (n,) the classes of labels that are floats, or */
    const int64_t *whole;  /* (n,) of others, unsigned ones by their bits; or NULL */
    ptrdiff_t n;
    int is_run;            /* whole numbers, each one more than the one before it */
    const int32_t *slots;  /* else a table: codes + 1, or 0 */
    uint64_t mask;
} Classes;

FLL_INLINE int size_of_kind(int kind)
{
    return kind == FLL_FLOAT64 || kind >= FLL_INT64      ? 8
           : kind == FLL_FLOAT32 || kind >= FLL_INT32    ? 4
           : kind == FLL_INT8 || kind == FLL_UINT8       ? 1
                                                         : 2;
}

#if defined(__GNUC__) && !defined(__clang__)
#define FLL_UNROLL _Pragma("GCC unroll 4")
#else
#define FLL_UNROLL
#endif

/* n items to another place, by their size. */
#define FLL_COPY(type)                                                                 \
    static void copy_##type(const char *from, ptrdiff_t from_step, ptrdiff_t n,        \
                            char *to, ptrdiff_t to_step)                               \
    {                                                                                  \
        ptrdiff_t i;                                                                   \
        for (i = 0; i < n; ++i)                                                        \
            memcpy(to + i * to_step, from + i * from_step, sizeof(type));              \
    }
FLL_COPY(uint8_t)
FLL_COPY(uint16_t)
FLL_COPY(uint32_t)
FLL_COPY(uint64_t)

/* The steps that are common: one column of two, which is what scikit-learn's scorers hand
   over, and from the last item to the first. */
#define FLL_COPY_BY(name, step)                                                        \
    FLL_256BIT static void name(const double *from, ptrdiff_t n, double *to)           \
    {                                                                                  \
        ptrdiff_t i;                                                                   \
        for (i = 0; i < n; ++i)                                                        \
            to[i] = from[(step) * i];                                                  \
    }
FLL_COPY_BY(copy_every_second, 2)
FLL_COPY_BY(copy_backwards, -1)

static void copy_items(const char *from, ptrdiff_t from_step, ptrdiff_t n, char *to,
                       ptrdiff_t to_step, int size)
{
    const int doubles = size == 8 && to_step == 8 && ((uintptr_t)from & 7) == 0;
    if (doubles && from_step == 16)
        copy_every_second((const double *)from, n, (double *)to);
    else if (doubles && from_step == -8)
        copy_backwards((const double *)from, n, (double *)to);
    else if (size == 8)
        copy_uint64_t(from, from_step, n, to, to_step);
    else if (size == 4)
        copy_uint32_t(from, from_step, n, to, to_step);
    else if (size == 2)
        copy_uint16_t(from, from_step, n, to, to_step);
    else
        copy_uint8_t(from, from_step, n, to, to_step);
}

/* The other order of bytes. The two arrays may be one. */
FLL_INLINE uint16_t swap_uint16_t(uint16_t x) { return (uint16_t)(x << 8 | x >> 8); }

FLL_INLINE uint32_t swap_uint32_t(uint32_t x)
{
    x = (x & 0x00FF00FFu) << 8 | (x >> 8 & 0x00FF00FFu);
    return x << 16 | x >> 16;
}

FLL_INLINE uint64_t swap_uint64_t(uint64_t x)
{
    return (uint64_t)swap_uint32_t((uint32_t)x) << 32 | swap_uint32_t(x >> 32);
}

#if defined(__GNUC__) || defined(__clang__) /* one shuffle for a vector of them */
#define swap_uint32_t __builtin_bswap32
#define swap_uint64_t __builtin_bswap64
#endif

#define FLL_SWAP(type)                                                                 \
    FLL_256BIT static void swap_array_##type(const type *from, ptrdiff_t n, type *to)  \
    {                                                                                  \
        ptrdiff_t i;                                                                   \
        for (i = 0; i < n; ++i)                                                        \
            to[i] = swap_##type(from[i]);                                              \
    }
FLL_SWAP(uint16_t)
FLL_SWAP(uint32_t)
FLL_SWAP(uint64_t)

static void swap_items(const void *from, ptrdiff_t n, int size, void *to)
{
    if (size == 8)
        swap_array_uint64_t(from, n, to);
    else if (size == 4)
        swap_array_uint32_t(from, n, to);
    else
        swap_array_uint16_t(from, n, to);
}

/* Columns of m doubles as the rows of a matrix. What is next in each of them is fetched
   meanwhile: the processor follows few columns by itself. */
static void interleave_columns(const View *view, const char *from, ptrdiff_t m,
                               ptrdiff_t k, double *to)
{
    const ptrdiff_t step = view->column;
    ptrdiff_t j = 0;
    for (; j + 2 <= k; j += 2, from += 2 * step) {
        columns_to_pairs((const double *)from, (const double *)(from + step), k, m,
                         to + j);
        fetch(from, 0, m, 8, 8 * m);
        fetch(from + step, 0, m, 8, 8 * m);
    }
    if (j < k) {
        copy_items(from, 8, m, (char *)(to + j), 8 * k, 8);
        fetch(from, 0, m, 8, 8 * m);
    }
}

/* Rows [first, first + m) of k items as an array in this machine's order: in place, or
   copied to `buffer` (of at least m * k * size bytes). */
static const void *load_items(const View *view, ptrdiff_t first, ptrdiff_t m,
                              ptrdiff_t k, void *buffer)
{
    const char *from = view->data + first * view->row;
    const int size = view->size;
    ptrdiff_t i;
    if ((k == 1 || view->column == size) && (m == 1 || view->row == k * size)) {
        if (view->aligned) {
            if (!view->swapped)
                return from;
            swap_items(from, m * k, size, buffer);
            return buffer;
        }
        memcpy(buffer, from, (size_t)(m * k * size));
    } else if (k == 1)
        copy_items(from, view->row, m, buffer, size, size);
    else if (view->column == size)
        for (i = 0; i < m; ++i)
            memcpy((char *)buffer + i * k * size, from + i * view->row,
                   (size_t)(k * size));
    else if (view->row == 8 && size == 8 && view->aligned)
        interleave_columns(view, from, m, k, buffer);
    else
        for (i = 0; i < k; ++i)
            copy_items(from + i * view->column, view->row, m,
                       (char *)buffer + i * size, k * size, size);
    if (view->swapped)
        swap_items(buffer, m * k, size, buffer);
    return buffer;
}

/* A half as a float: no operation on a subnormal number, of which processors may make
   zero. */
FLL_INLINE float float_of_half(uint16_t half)
{
    const uint32_t size = half & 0x7FFFu, sign = (uint32_t)(half & 0x8000u) << 16;
    const float small = (float)(int32_t)size * 0x1p-24f;
    uint32_t normal = (size << 13) + (112u << 23), bits;
    float x;
    memcpy(&bits, &small, sizeof bits);
    normal |= size >= 0x7C00u ? 0x7F800000u : 0u;
    bits = (size < 0x400u ? bits : normal) | sign;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A 64-bit integer, rounded once. Both halves are exact as doubles, by way of 2^52 and
   2^84, whose last bits they are: AVX2 has no such conversion. */
FLL_INLINE double double_of_uint64(uint64_t x)
{
    const double high = from_bits(x >> 32 | 0x4530000000000000ull);
    const double low = from_bits((x & 0xFFFFFFFFull) | 0x4330000000000000ull);
    return (high - 0x1.00000001p84) + low; /* 2^84 + 2^52 */
}

FLL_INLINE double double_of_int64(int64_t x)
{
    const uint64_t u = (uint64_t)x;
    const double high = from_bits(u >> 32 ^ 0x4530000080000000ull);
    const double low = from_bits((u & 0xFFFFFFFFull) | 0x4330000000000000ull);
    return (high - 0x1.00000801p84) + low; /* 2^84 + 2^63 + 2^52 */
}

#ifdef __AVX512DQ__
#define double_of_uint64 (double)
#define double_of_int64 (double)
#endif

#define FLL_SAME(x) x
#define FLL_DOUBLES(name, type, value)                                                 \
    FLL_256BIT static void doubles_of_##name(const type *x, ptrdiff_t n, double *out)  \
    {                                                                                  \
        ptrdiff_t i;                                                                   \
        FLL_UNROLL                                                                     \
        for (i = 0; i < n; ++i)                                                        \
            out[i] = (double)value(x[i]);                                              \
    }
FLL_DOUBLES(float32, float, FLL_SAME)
#ifdef __F16C__
FLL_256BIT static void doubles_of_float16(const uint16_t *x, ptrdiff_t n, double *out)
{
    ptrdiff_t i = 0;
    for (; i + 4 <= n; i += 4)
        _mm256_storeu_pd(out + i, _mm256_cvtps_pd(_mm_cvtph_ps(
                                      _mm_loadl_epi64((const __m128i *)(x + i)))));
    for (; i < n; ++i)
        out[i] = (double)float_of_half(x[i]);
}
#else
FLL_DOUBLES(float16, uint16_t, float_of_half)
#endif
FLL_DOUBLES(int8, int8_t, FLL_SAME)
FLL_DOUBLES(uint8, uint8_t, FLL_SAME)
FLL_DOUBLES(int16, int16_t, FLL_SAME)
FLL_DOUBLES(uint16, uint16_t, FLL_SAME)
FLL_DOUBLES(int32, int32_t, FLL_SAME)
FLL_DOUBLES(uint32, uint32_t, FLL_SAME)
FLL_DOUBLES(int64, int64_t, double_of_int64)
FLL_DOUBLES(uint64, uint64_t, double_of_uint64)

/* n items that are no doubles as such. */
static void convert(const void *items, int kind, ptrdiff_t n, double *out)
{
    switch (kind) {
    case FLL_FLOAT32: doubles_of_float32(items, n, out); break;
    case FLL_FLOAT16: doubles_of_float16(items, n, out); break;
    case FLL_INT8: doubles_of_int8(items, n, out); break;
    case FLL_UINT8: doubles_of_uint8(items, n, out); break;
    case FLL_INT16: doubles_of_int16(items, n, out); break;
    case FLL_UINT16: doubles_of_uint16(items, n, out); break;
    case FLL_INT32: doubles_of_int32(items, n, out); break;
    case FLL_UINT32: doubles_of_uint32(items, n, out); break;
    case FLL_INT64: doubles_of_int64(items, n, out); break;
    case FLL_UINT64: doubles_of_uint64(items, n, out); break;
    }
}

/* Rows [first, first + m) of k numbers as (m, k) doubles: in place, or in `buffer`.
   `items` has room for as many, and is needed where numbers are no doubles. */
static const double *load_doubles(const View *view, ptrdiff_t first, ptrdiff_t m,
                                  ptrdiff_t k, double *items, double *buffer)
{
    const void *from;
    if (view->in_place)
        return (const double *)(view->data + first * view->row);
    if (view->kind == FLL_FLOAT64)
        return load_items(view, first, m, k, buffer);
    from = load_items(view, first, m, k, items);
    convert(from, view->kind, m * k, buffer);
    return buffer;
}

/* A column of a matrix as a vector. */
FLL_INLINE View one_column(const View *view, ptrdiff_t column)
{
    View one = *view;
    one.data += column * view->column;
    one.in_place = view->kind == FLL_FLOAT64 && view->row == 8 && view->aligned
                   && !view->swapped;
    return one;
}

/* To the second-level cache, for the first has no room for what is next in each of many
   columns. */
#if defined(__GNUC__) || defined(__clang__)
#define FLL_PREFETCH_SECOND(address) __builtin_prefetch(address, 0, 2)
#else
#define FLL_PREFETCH_SECOND(address) ((void)(address))
#endif

/* Fetch what lies a page beyond rows [first, first + n) of a column. The processor
   follows few columns by itself, for each has pages of its own. ns a row of 100 columns
   from memory: 28; nothing fetched 83; to the first level, what is next in this column
   85, in the next column 80. */
FLL_INLINE void fetch_column(const View *view, ptrdiff_t first, ptrdiff_t n,
                             ptrdiff_t column)
{
    const char *from = view->data + first * view->row + column * view->column;
    ptrdiff_t i;
    if (view->row == view->size)
        for (i = 0; i < n * view->size; i += 64)
            FLL_PREFETCH_SECOND(from + FLL_AHEAD + i);
}

#define FLL_COPY_EACH(type)                                                            \
    static void copy_each_##type(const View *view, const char *from, ptrdiff_t n,      \
                                 const ptrdiff_t *column, char *to)                    \
    {                                                                                  \
        ptrdiff_t i;                                                                   \
        for (i = 0; i < n; ++i)                                                        \
            memcpy(to + i * (ptrdiff_t)sizeof(type),                                   \
                   from + i * view->row + column[i] * view->column, sizeof(type));     \
    }
FLL_COPY_EACH(uint8_t)
FLL_COPY_EACH(uint16_t)
FLL_COPY_EACH(uint32_t)
FLL_COPY_EACH(uint64_t)

/* Of each of n rows the number in a column of its own. `items` and `buffer` have room
   for them. */
static const double *load_each(const View *view, ptrdiff_t first, ptrdiff_t n,
                               const ptrdiff_t *column, double *items, double *buffer)
{
    const char *from = view->data + first * view->row;
    const View loaded = {(const char *)items, view->size, view->size, view->kind,
                         view->size, view->swapped, 1, 0};
    if (view->size == 8)
        copy_each_uint64_t(view, from, n, column, (char *)items);
    else if (view->size == 4)
        copy_each_uint32_t(view, from, n, column, (char *)items);
    else if (view->size == 2)
        copy_each_uint16_t(view, from, n, column, (char *)items);
    else
        copy_each_uint8_t(view, from, n, column, (char *)items);
    return load_doubles(&loaded, 0, n, 1, items, buffer);
}

/* Codes 0 and 1 as bytes. Returns not 0 where one is neither. */
#define FLL_BITS(name, type)                                                           \
    FLL_256BIT static int bits_of_##name(const type *code, ptrdiff_t n, uint8_t *out)  \
    {                                                                                  \
        ptrdiff_t i;                                                                   \
        type any = 0;                                                                  \
        for (i = 0; i < n; ++i) {                                                      \
            any = (type)(any | code[i]);                                               \
            out[i] = (uint8_t)(code[i] & 1);                                           \
        }                                                                              \
        return (any & (type)~1) != 0;                                                  \
    }
FLL_BITS(uint8, uint8_t)
FLL_BITS(uint16, uint16_t)
FLL_BITS(uint32, uint32_t)
FLL_BITS(uint64, uint64_t)

/* Of each label whether it is that of the second class, as 0 or 1. Returns not 0 where
   one is of neither. Labels are compared as what they are, into masks as wide: twice as
   many at once as if they were as wide as the classes, which may be none of their type. */
#define FLL_IS_SECOND(name, type, mask, wide)                                          \
    FLL_256BIT static int is_second_##name(const type *label, ptrdiff_t n, wide first, \
                                           wide second, uint8_t *out)                  \
    {                                                                                  \
        const type a = (type)first, b = (type)second;                                  \
        const mask can_be_a = (wide)a == first, can_be_b = (wide)b == second;          \
        ptrdiff_t i;                                                                   \
        mask all = 1;                                                                  \
        for (i = 0; i < n; ++i) {                                                      \
            const mask yes = (mask)((label[i] == b) & can_be_b);                       \
            all &= (mask)(((label[i] == a) & can_be_a) | yes);                         \
            out[i] = (uint8_t)yes;                                                     \
        }                                                                              \
        return !all;                                                                   \
    }
FLL_IS_SECOND(float64, double, int64_t, double)
FLL_IS_SECOND(float32, float, int32_t, double)
FLL_IS_SECOND(int8, int8_t, int8_t, int64_t)
FLL_IS_SECOND(uint8, uint8_t, uint8_t, int64_t)
FLL_IS_SECOND(int16, int16_t, int16_t, int64_t)
FLL_IS_SECOND(uint16, uint16_t, uint16_t, int64_t)
FLL_IS_SECOND(int32, int32_t, int32_t, int64_t)
FLL_IS_SECOND(uint32, uint32_t, uint32_t, int64_t)
FLL_IS_SECOND(int64, int64_t, int64_t, int64_t)

/* Labels of two classes as bytes 0 and 1 in `out`. Returns not 0 where one is neither.
   `items` and `buffer` have room for n doubles. */
static int load_bits(const View *view, ptrdiff_t first, ptrdiff_t n,
                     const Classes *classes, double *items, double *buffer,
                     uint8_t *out)
{
    const int codes = !classes->real && !classes->whole;
    const double a = classes->real ? classes->real[0] : 0.0;
    const double b = classes->real ? classes->real[1] : 1.0;
    const int64_t c = classes->whole ? classes->whole[0] : 0;
    const int64_t d = classes->whole ? classes->whole[1] : 1;
    const void *x = load_items(view, first, n, 1, items);
    if (codes && view->kind >= FLL_INT8) { /* a negative one has bits above the first */
        switch (view->size) {
        case 1: return bits_of_uint8(x, n, out);
        case 2: return bits_of_uint16(x, n, out);
        case 4: return bits_of_uint32(x, n, out);
        default: return bits_of_uint64(x, n, out);
        }
    }
    switch (view->kind) {
    case FLL_FLOAT64: return is_second_float64(x, n, a, b, out);
    case FLL_FLOAT32: return is_second_float32(x, n, a, b, out);
    case FLL_FLOAT16:
        doubles_of_float16(x, n, buffer);
        return is_second_float64(buffer, n, a, b, out);
    case FLL_INT8: return is_second_int8(x, n, c, d, out);
    case FLL_UINT8: return is_second_uint8(x, n, c, d, out);
    case FLL_INT16: return is_second_int16(x, n, c, d, out);
    case FLL_UINT16: return is_second_uint16(x, n, c, d, out);
    case FLL_INT32: return is_second_int32(x, n, c, d, out);
    case FLL_UINT32: return is_second_uint32(x, n, c, d, out);
    default: return is_second_int64(x, n, c, d, out);
    }
}

/* Of labels as wide as doubles whether they are that of the second class, as 0.0 or
   1.0: to make bytes of them takes longer than it saves. */
#define FLL_SECOND_AS_DOUBLE(name, type)                                               \
    FLL_256BIT static uint64_t second_as_double_##name(                                \
        const type *label, ptrdiff_t n, type first, type second, double *out)          \
    {                                                                                  \
        ptrdiff_t i;                                                                   \
        uint64_t neither = 0;                                                          \
        FLL_UNROLL                                                                     \
        for (i = 0; i < n; ++i) {                                                      \
            const uint64_t yes = 0 - (uint64_t)(label[i] == second);                   \
            neither |= ~(yes | (0 - (uint64_t)(label[i] == first)));                   \
            out[i] = from_bits(yes & 0x3FF0000000000000ull);                           \
        }                                                                              \
        return neither;                                                                \
    }
FLL_SECOND_AS_DOUBLE(float64, double)
FLL_SECOND_AS_DOUBLE(int64, int64_t)

/* The same as 0.0 and 1.0 in `buffer`; or, of doubles that are codes, as they are, in
   place or in `buffer`, still to be looked at. */
static const double *load_labels(const View *view, ptrdiff_t first, ptrdiff_t n,
                                 const Classes *classes, double *items, double *buffer,
                                 uint64_t *neither)
{
    uint8_t bits[256];
    *neither = 0;
    if (view->kind == FLL_FLOAT64 && !classes->real)
        return load_doubles(view, first, n, 1, items, buffer);
    if (view->size == 8 && (classes->real || classes->whole)) {
        const void *x = load_items(view, first, n, 1, items);
        *neither = classes->real
                       ? second_as_double_float64(x, n, classes->real[0],
                                                  classes->real[1], buffer)
                       : second_as_double_int64(x, n, classes->whole[0],
                                                classes->whole[1], buffer);
        return buffer;
    }
    *neither = (uint64_t)load_bits(view, first, n, classes, items, buffer, bits);
    doubles_of_uint8(bits, n, buffer);
    return buffer;
}

#define FLL_WHOLE(name, type)                                                          \
    FLL_256BIT static void whole_of_##name(const type *x, ptrdiff_t n, int64_t *out)   \
    {                                                                                  \
        ptrdiff_t i;                                                                   \
        for (i = 0; i < n; ++i)                                                        \
            out[i] = (int64_t)x[i];                                                    \
    }
FLL_WHOLE(int8, int8_t)
FLL_WHOLE(uint8, uint8_t)
FLL_WHOLE(int16, int16_t)
FLL_WHOLE(uint16, uint16_t)
FLL_WHOLE(int32, int32_t)
FLL_WHOLE(uint32, uint32_t)

static const int64_t *whole_numbers(const void *x, int kind, ptrdiff_t n, int64_t *out)
{
    switch (kind) {
    case FLL_INT8: whole_of_int8(x, n, out); return out;
    case FLL_UINT8: whole_of_uint8(x, n, out); return out;
    case FLL_INT16: whole_of_int16(x, n, out); return out;
    case FLL_UINT16: whole_of_uint16(x, n, out); return out;
    case FLL_INT32: whole_of_int32(x, n, out); return out;
    case FLL_UINT32: whole_of_uint32(x, n, out); return out;
    default: return x;
    }
}

/* n whole numbers of any type. `items` has room for them. */
static const int64_t *load_whole(const View *view, ptrdiff_t first, ptrdiff_t n,
                                 void *items, int64_t *buffer)
{
    return whole_numbers(load_items(view, first, n, 1, items), view->kind, n, buffer);
}

/* Of whole numbers less the lowest class. Without a sign, whose overflow would be
   undefined. Returns the sign bit where one is no class. */
#define FLL_CODES(name, type)                                                          \
    FLL_256BIT static ptrdiff_t codes_of_##name(const type *x, ptrdiff_t n,            \
                                                uint64_t low, uint64_t last,           \
                                                ptrdiff_t *code)                       \
    {                                                                                  \
        ptrdiff_t i;                                                                   \
        uint64_t outside = 0;                                                          \
        for (i = 0; i < n; ++i) {                                                      \
            const uint64_t c = (uint64_t)(int64_t)x[i] - low;                          \
            code[i] = (ptrdiff_t)c;                                                    \
            outside |= c | (last - c);                                                 \
        }                                                                              \
        return (ptrdiff_t)outside;                                                     \
    }
FLL_CODES(int8, int8_t)
FLL_CODES(uint8, uint8_t)
FLL_CODES(int16, int16_t)
FLL_CODES(uint16, uint16_t)
FLL_CODES(int32, int32_t)
FLL_CODES(uint32, uint32_t)
FLL_CODES(int64, int64_t)

static ptrdiff_t codes_of_whole(const void *x, int kind, ptrdiff_t n, uint64_t low,
                                uint64_t last, ptrdiff_t *code)
{
    switch (kind) {
    case FLL_INT8: return codes_of_int8(x, n, low, last, code);
    case FLL_UINT8: return codes_of_uint8(x, n, low, last, code);
    case FLL_INT16: return codes_of_int16(x, n, low, last, code);
    case FLL_UINT16: return codes_of_uint16(x, n, low, last, code);
    case FLL_INT32: return codes_of_int32(x, n, low, last, code);
    case FLL_UINT32: return codes_of_uint32(x, n, low, last, code);
    default: return codes_of_int64(x, n, low, last, code);
    }
}

FLL_INLINE uint64_t hash_of(uint64_t key)
{
    key *= 0x9E3779B97F4A7C15ull;
    return key ^ key >> 32;
}

/* What a class, or a label, is looked up by. */
FLL_INLINE uint64_t key_of(double label) { return to_bits(label + 0.0); }

FLL_INLINE uint64_t class_key(const Classes *classes, ptrdiff_t code)
{
    return classes->real ? key_of(classes->real[code])
                         : (uint64_t)classes->whole[code];
}

FLL_INLINE ptrdiff_t look_up(const Classes *classes, uint64_t key)
{
    uint64_t slot = hash_of(key) & classes->mask;
    for (; classes->slots[slot]; slot = (slot + 1) & classes->mask)
        if (class_key(classes, classes->slots[slot] - 1) == key)
            return classes->slots[slot] - 1;
    return -1;
}

/* Codes of the labels of any number of classes, -1 for what is none of them. Returns
   whether all are classes. Labels are read once: another thread may write to them. */
static int load_codes(const View *view, ptrdiff_t first, ptrdiff_t n, ptrdiff_t n_classes,
                      const Classes *classes, double *items, double *buffer,
                      ptrdiff_t *code)
{
    const int codes = !classes->real && !classes->whole;
    const int is_float = view->kind <= FLL_FLOAT16;
    const void *x = load_items(view, first, n, 1, items);
    ptrdiff_t i, outside = 0;
    if (is_float && view->kind != FLL_FLOAT64) {
        convert(x, view->kind, n, buffer);
        x = buffer;
    } else if (!is_float && !codes && !classes->is_run)
        x = whole_numbers(x, view->kind, n, (int64_t *)buffer);
    if (!codes && !classes->is_run) {
        for (i = 0; i < n; ++i) {
            code[i] = look_up(classes, is_float ? key_of(((const double *)x)[i])
                                                : (uint64_t)((const int64_t *)x)[i]);
            outside |= code[i];
        }
    } else if (is_float) {
        const double low = codes ? 0.0 : classes->real[0];
        const double high = low + (double)n_classes;
        const int64_t whole = (int64_t)low;
        for (i = 0; i < n; ++i) {
            const double y = ((const double *)x)[i];
            const int64_t c = y >= low && y < high ? (int64_t)y : whole - 1;
            code[i] = y == (double)c ? (ptrdiff_t)(c - whole) : -1;
            outside |= code[i];
        }
    } else
        outside = codes_of_whole(x, view->kind, n,
                                 codes ? 0 : (uint64_t)classes->whole[0],
                                 (uint64_t)(n_classes - 1), code);
    if (outside >= 0)
        return 1;
    for (i = 0; i < n; ++i)
        if (!(0 <= code[i] && code[i] < n_classes))
            code[i] = -1;
    return 0;
}

/* Two labels of different classes, as the first rows have them; the smaller first.
   Returns how many there are: 2, or fewer where all labels are the same. */
static int first_two(const View *view, ptrdiff_t n, double *items, double *buffer,
                     double *real, int64_t *whole)
{
    ptrdiff_t start, i, m;
    int found = 0;
    for (start = 0; start < n; start += m) {
        const int is_float = view->kind <= FLL_FLOAT16;
        const void *x;
        m = n - start < 256 ? n - start : 256;
        x = load_items(view, start, m, 1, items);
        if (is_float && view->kind != FLL_FLOAT64) {
            convert(x, view->kind, m, buffer);
            x = buffer;
        } else if (!is_float)
            x = whole_numbers(x, view->kind, m, (int64_t *)buffer);
        for (i = 0; i < m; ++i) {
            const double r = is_float ? ((const double *)x)[i] : 0.0;
            const int64_t w = is_float ? 0 : ((const int64_t *)x)[i];
            if (found == 1 && r == real[0] && w == whole[0])
                continue;
            real[found] = r;
            whole[found] = w;
            if (++found == 1)
                continue;
            if (view->kind == FLL_UINT64 ? (uint64_t)w < (uint64_t)whole[0]
                : is_float               ? r < real[0]
                                         : w < whole[0]) {
                real[1] = real[0];
                real[0] = r;
                whole[1] = whole[0];
                whole[0] = w;
            }
            return 2;
        }
    }
    return found;
}

/* m x k numbers to rows [first, first + m) of an output, by its strides. */
static void store_items(const void *items, ptrdiff_t m, ptrdiff_t k, const View *out,
                        ptrdiff_t first)
{
    char *to = (char *)out->data + first * out->row;
    ptrdiff_t j;
    for (j = 0; j < k; ++j)
        copy_items((const char *)items + j * out->size, k * out->size, m,
                   to + j * out->column, out->row, out->size);
}

#endif
