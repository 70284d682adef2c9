/* Products of matrices that lie in the first and second caches.

   Activations lie in panels of BLOCK rows of a batch: (rows / BLOCK, units, BLOCK). A product reads
   TILE rows of one factor number by number and COLUMNS columns of the other vector by vector, and
   keeps its TILE x COLUMNS sums in registers. Every sum runs over its terms in order, in one
   register, so it does not depend on which tile it is in. For the gradient in the weights the sum
   runs over a batch's rows, and activations are cut into slices of COLUMNS units:
   (units / COLUMNS, rows, COLUMNS), the last one's rest left as it was. */

#include "real.h"

#define BLOCK 32 /* rows of a batch come in multiples of it (ROW_ALIGNMENT in workers/models/alignment.py) */

/* As many sums as there are registers for, two vectors a row. */
#if defined(__AVX512F__)
#define VECTOR 64
#define TILE 8
#elif defined(__AVX2__) && defined(__FMA__)
#define VECTOR 32
#define TILE 6
#else
#define VECTOR 16
#define TILE 8
#endif

#if VECTOR > 16 || defined(__ARM_FEATURE_FMA)
#define FAST_PRODUCTS 1
#else
#define FAST_PRODUCTS 0
#endif

#ifdef SINGLE
#define LANES (VECTOR / 4)
#else
#define LANES (VECTOR / 8)
#endif
#define COLUMNS (2 * LANES)

typedef REAL vector __attribute__((vector_size(VECTOR), aligned(sizeof(REAL)), may_alias));
typedef INTEGER mask __attribute__((vector_size(VECTOR)));

static inline int64_t sliced(int64_t units) { return (units + COLUMNS - 1) / COLUMNS * COLUMNS; }

/* The value where `by` is above zero, or NaN; else 0. */
INLINE vector where_above(vector by, vector value) {
    return (vector)((mask)value & ~(mask)(by <= (vector){0}));
}

/* sums (count, COLUMNS) += a b, a (count, terms) with strides down and along, b (terms, COLUMNS). */
INLINE void multiply(const int count, vector (*restrict sums)[2], const REAL *restrict a,
                     int64_t down, int64_t along, int64_t terms, const REAL *restrict b,
                     int64_t next) {
    for (int64_t k = 0; k < terms; k++) {
        vector left = *(const vector *)(b + k * next);
        vector right = *(const vector *)(b + k * next + LANES);
        UNROLL for (int r = 0; r < count; r++) {
            REAL factor = a[r * down + k * along];
            sums[r][0] += factor * left;
            sums[r][1] += factor * right;
        }
    }
}

/* DO(count) for tiles of the rows from 0 to `rows`; `row` is a tile's first. */
#define IN_TILES(rows, DO)                                     \
    do {                                                       \
        int64_t row = 0;                                       \
        for (; row + TILE <= (rows); row += TILE) DO(TILE);    \
        if (row + 4 <= (rows)) { DO(4); row += 4; }            \
        if (row + 2 <= (rows)) { DO(2); row += 2; }            \
        if (row < (rows)) DO(1);                               \
    } while (0)

/* --- forward: after (out, BLOCK) = weight (out, in) before (in, BLOCK) + bias (out) ------------ */

INLINE void forward_tile(const int count, int64_t row, int64_t column, int64_t in,
                         const REAL *weight, const REAL *bias, int relu, const REAL *before,
                         REAL *after) {
    vector sums[count][2];
    UNROLL for (int r = 0; r < count; r++) sums[r][0] = sums[r][1] = (vector){0};
    multiply(count, sums, weight + row * in, in, 1, in, before + column, BLOCK);
    UNROLL for (int r = 0; r < count; r++) for (int half = 0; half < 2; half++) {
        vector sum = sums[r][half] + bias[row + r];
        REAL *to = after + (row + r) * BLOCK + column + half * LANES;
        if (relu) sum = where_above(sum, sum);
        *(vector *)to = sum;
    }
}

static void forward(int64_t out, int64_t in, const REAL *weight, const REAL *bias, int relu,
                    const REAL *before, REAL *after) {
    for (int64_t column = 0; column < BLOCK; column += COLUMNS) {
#define DO(count) forward_tile(count, row, column, in, weight, bias, relu, before, after)
        IN_TILES(out, DO);
#undef DO
    }
}

/* --- backward: slope_before (in, BLOCK) = weightᵀ slope (out, BLOCK), times the derivative of the
   activation before: with ReLU 1 where `told` (in, BLOCK), what it gave, is above 0; else told ---- */

INLINE void backward_tile(const int count, int64_t row, int64_t column, int64_t out, int64_t in,
                          const REAL *weight, const REAL *slope, int relu, const REAL *told,
                          REAL *slope_before) {
    vector sums[count][2];
    UNROLL for (int r = 0; r < count; r++) sums[r][0] = sums[r][1] = (vector){0};
    multiply(count, sums, weight + row, 1, in, out, slope + column, BLOCK);
    UNROLL for (int r = 0; r < count; r++) for (int half = 0; half < 2; half++) {
        int64_t place = (row + r) * BLOCK + column + half * LANES;
        vector sum = sums[r][half], other = *(const vector *)(told + place);
        if (relu) sum = where_above(other, sum);
        else sum *= other;
        *(vector *)(slope_before + place) = sum;
    }
}

static void backward(int64_t out, int64_t in, const REAL *weight, const REAL *slope, int relu,
                     const REAL *told, REAL *slope_before) {
    for (int64_t column = 0; column < BLOCK; column += COLUMNS) {
#define DO(count) backward_tile(count, row, column, out, in, weight, slope, relu, told, slope_before)
        IN_TILES(in, DO);
#undef DO
    }
}

/* --- gradient (out, in): slope (panels, out, BLOCK) by slices (in / COLUMNS, rows, COLUMNS) ----- */

INLINE void gradient_tile(const int count, int64_t row, int64_t column, int64_t out, int64_t in,
                          int64_t panels, const REAL *slope, const REAL *slice, int add,
                          REAL *gradient) {
    vector sums[count][2];
    UNROLL for (int r = 0; r < count; r++) sums[r][0] = sums[r][1] = (vector){0};
    for (int64_t panel = 0; panel < panels; panel++)
        multiply(count, sums, slope + (panel * out + row) * BLOCK, BLOCK, 1, BLOCK,
                 slice + panel * BLOCK * COLUMNS, COLUMNS);
    int64_t width = in - column;
    if (width >= COLUMNS) {
        UNROLL for (int r = 0; r < count; r++) for (int half = 0; half < 2; half++) {
            vector *to = (vector *)(gradient + (row + r) * in + column + half * LANES);
            if (add) *to += sums[r][half];
            else *to = sums[r][half];
        }
        return;
    }
    for (int r = 0; r < count; r++) {
        REAL found[COLUMNS];
        memcpy(found, sums[r], sizeof found);
        for (int64_t c = 0; c < width; c++) {
            REAL *to = gradient + (row + r) * in + column + c;
            *to = add ? *to + found[c] : found[c];
        }
    }
}

/* Added to the gradient, or put in its place. */
static void weight_gradient(int64_t out, int64_t in, int64_t panels, const REAL *slope,
                            const REAL *slices, int add, REAL *gradient) {
    for (int64_t column = 0; column < in; column += COLUMNS) {
        const REAL *slice = slices + column * panels * BLOCK;
#define DO(count) gradient_tile(count, row, column, out, in, panels, slope, slice, add, gradient)
        IN_TILES(out, DO);
#undef DO
    }
}

/* Sums over all rows (units): slope (panels, units, BLOCK). */
static void bias_gradient(int64_t units, int64_t panels, const REAL *slope, int add,
                          REAL *gradient) {
    for (int64_t unit = 0; unit < units; unit++) {
        vector sums = {0};
        for (int64_t panel = 0; panel < panels; panel++)
            for (int64_t b = 0; b < BLOCK; b += LANES)
                sums += *(const vector *)(slope + (panel * units + unit) * BLOCK + b);
        REAL partial[LANES];
        memcpy(partial, &sums, sizeof partial);
        for (int width = LANES / 2; width; width /= 2)
            for (int b = 0; b < width; b++) partial[b] += partial[b + width];
        gradient[unit] = add ? gradient[unit] + partial[0] : partial[0];
    }
}

/* --- layouts ------------------------------------------------------------------------------------ */

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLES 1
#endif
#endif

#ifdef SHUFFLES

/* a0 b0 a1 b1 ..., of the lower and of the upper halves. */
#if LANES == 16
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif LANES == 4
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#else
#define LOW 0, 2
#define HIGH 1, 3
#endif

/* to (LANES, LANES) = fromᵀ: so many perfect shuffles of the rows as LANES has binary digits. */
INLINE void transpose_square(const REAL *from, int64_t from_row, REAL *to, int64_t to_row) {
    vector rows[LANES], shuffled[LANES];
    UNROLL for (int i = 0; i < LANES; i++) rows[i] = *(const vector *)(from + i * from_row);
    UNROLL for (int width = 1; width < LANES; width *= 2) {
        UNROLL for (int i = 0; i < LANES / 2; i++) {
            shuffled[2 * i] = __builtin_shufflevector(rows[i], rows[i + LANES / 2], LOW);
            shuffled[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + LANES / 2], HIGH);
        }
        UNROLL for (int i = 0; i < LANES; i++) rows[i] = shuffled[i];
    }
    UNROLL for (int i = 0; i < LANES; i++) *(vector *)(to + i * to_row) = rows[i];
}

#else

INLINE void transpose_square(const REAL *from, int64_t from_row, REAL *to, int64_t to_row) {
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++) to[j * to_row + i] = from[i * from_row + j];
}

#endif

/* A panel (units, BLOCK) into slices of `rows` rows, of which it holds the BLOCK from `first` on. */
static void slice(int64_t units, int64_t rows, int64_t first, const REAL *panel, REAL *slices) {
    for (int64_t unit = 0; unit < units; unit += LANES) {
        REAL *to = slices + (unit / COLUMNS * rows + first) * COLUMNS + unit % COLUMNS;
        if (unit + LANES <= units)
            for (int64_t b = 0; b < BLOCK; b += LANES)
                transpose_square(panel + unit * BLOCK + b, BLOCK, to + b * COLUMNS, COLUMNS);
        else
            for (int64_t u = 0; u < units - unit; u++)
                for (int64_t b = 0; b < BLOCK; b++)
                    to[b * COLUMNS + u] = panel[(unit + u) * BLOCK + b];
    }
}

/* Rows (BLOCK, units) of a batch as a panel. */
static void lay_out(int64_t units, const REAL *rows, REAL *panel) {
    int64_t whole = units - units % LANES;
    for (int64_t unit = 0; unit < whole; unit += LANES)
        for (int64_t b = 0; b < BLOCK; b += LANES)
            transpose_square(rows + b * units + unit, units, panel + unit * BLOCK + b, BLOCK);
    for (int64_t unit = whole; unit < units; unit++)
        for (int64_t b = 0; b < BLOCK; b++) panel[unit * BLOCK + b] = rows[b * units + unit];
}
