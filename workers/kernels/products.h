/* Products of matrices that lie in the first and second caches.

   Activations lie in panels of BLOCK rows of a batch: (rows / BLOCK, units, BLOCK). A product reads
   TILE rows of one factor number by number and COLUMNS columns of the other vector by vector, and
   keeps its TILE x COLUMNS sums in registers. Every sum runs over its terms in order, in one
   register, so that it does not depend on which tile it is in. For the gradient in the weights the sum
   runs over a batch's rows, and activations are cut into slices of COLUMNS units:
   (units / COLUMNS, rows, COLUMNS), the last one's rest left as it was. */

#include "real.h"

/* Rows of a batch come in multiples of it (ROW_ALIGNMENT in workers/models/alignment.py). */
#define BLOCK 32

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

/* A linear layer of one model. */
typedef struct {
    int64_t in, out;
    const REAL *weight, *bias; /* (out, in) and (out) */
} Layer;

/* Where in a product a tile starts. */
typedef struct {
    int64_t row, column;
} Tile;

/* Numbers that are read one by one, with strides from row to row and from term to term. */
typedef struct {
    const REAL *numbers;
    int64_t down, along;
} Factor;

/* sums (count, COLUMNS) += a (count, terms) b (terms, COLUMNS), whose rows are `next` apart. */
INLINE void multiply(const int count, vector (*restrict sums)[2], Factor a, int64_t terms,
                     const REAL *restrict b, int64_t next) {
    for (int64_t k = 0; k < terms; k++) {
        vector left = *(const vector *)(b + k * next);
        vector right = *(const vector *)(b + k * next + LANES);
        UNROLL for (int r = 0; r < count; r++) {
            REAL factor = a.numbers[r * a.down + k * a.along];
            sums[r][0] += factor * left;
            sums[r][1] += factor * right;
        }
    }
}

/* DO(count, tile) for tiles of the rows from 0 to `rows`. */
#define IN_TILES(rows, column, DO)                                                \
    do {                                                                          \
        int64_t row = 0;                                                          \
        for (; row + TILE <= (rows); row += TILE) DO(TILE, ((Tile){row, column})); \
        if (row + 4 <= (rows)) { DO(4, ((Tile){row, column})); row += 4; }        \
        if (row + 2 <= (rows)) { DO(2, ((Tile){row, column})); row += 2; }        \
        if (row < (rows)) DO(1, ((Tile){row, column}));                           \
    } while (0)

/* --- forward: after (out, BLOCK) = weight (out, in) before (in, BLOCK) + bias (out) ------------ */

INLINE void forward_tile(const int count, Tile tile, const Layer *layer, int relu,
                         const REAL *before, REAL *after) {
    vector sums[count][2];
    UNROLL for (int r = 0; r < count; r++) sums[r][0] = sums[r][1] = (vector){0};
    Factor weight = {layer->weight + tile.row * layer->in, layer->in, 1};
    multiply(count, sums, weight, layer->in, before + tile.column, BLOCK);
    UNROLL for (int r = 0; r < count; r++) for (int half = 0; half < 2; half++) {
        vector sum = sums[r][half] + layer->bias[tile.row + r];
        REAL *to = after + (tile.row + r) * BLOCK + tile.column + half * LANES;
        if (relu) sum = where_above(sum, sum);
        *(vector *)to = sum;
    }
}

static void forward(const Layer *layer, int relu, const REAL *before, REAL *after) {
    for (int64_t column = 0; column < BLOCK; column += COLUMNS) {
#define DO(count, tile) forward_tile(count, tile, layer, relu, before, after)
        IN_TILES(layer->out, column, DO);
#undef DO
    }
}

/* --- backward: slope_before (in, BLOCK) = weightᵀ slope (out, BLOCK), times the derivative of the
   activation before ------------------------------------------------------------------------------ */

/* The derivative (in, BLOCK): `numbers`; or with ReLU, whose outputs they are, 1 where one is above
   0, and else 0. */
typedef struct {
    const REAL *numbers;
    int relu;
} Derivative;

INLINE void backward_tile(const int count, Tile tile, const Layer *layer, const REAL *slope,
                          Derivative derivative, REAL *slope_before) {
    vector sums[count][2];
    UNROLL for (int r = 0; r < count; r++) sums[r][0] = sums[r][1] = (vector){0};
    Factor weight = {layer->weight + tile.row, 1, layer->in};
    multiply(count, sums, weight, layer->out, slope + tile.column, BLOCK);
    UNROLL for (int r = 0; r < count; r++) for (int half = 0; half < 2; half++) {
        int64_t place = (tile.row + r) * BLOCK + tile.column + half * LANES;
        vector sum = sums[r][half], other = *(const vector *)(derivative.numbers + place);
        if (derivative.relu) sum = where_above(other, sum);
        else sum *= other;
        *(vector *)(slope_before + place) = sum;
    }
}

static void backward(const Layer *layer, const REAL *slope, Derivative derivative,
                     REAL *slope_before) {
    for (int64_t column = 0; column < BLOCK; column += COLUMNS) {
#define DO(count, tile) backward_tile(count, tile, layer, slope, derivative, slope_before)
        IN_TILES(layer->in, column, DO);
#undef DO
    }
}

/* --- gradient (out, in): slope (panels, out, BLOCK) by slices (in / COLUMNS, rows, COLUMNS) ----- */

/* Panels (count, units, BLOCK) of a batch's rows. */
typedef struct {
    const REAL *numbers;
    int64_t count;
} Panels;

/* Where a gradient goes: it is added to what is there, or put in its place. */
typedef struct {
    REAL *numbers;
    int add;
} Target;

INLINE void gradient_tile(const int count, Tile tile, const Layer *layer, Panels slope,
                          const REAL *slice, Target to) {
    vector sums[count][2];
    UNROLL for (int r = 0; r < count; r++) sums[r][0] = sums[r][1] = (vector){0};
    for (int64_t panel = 0; panel < slope.count; panel++) {
        Factor rows = {slope.numbers + (panel * layer->out + tile.row) * BLOCK, BLOCK, 1};
        multiply(count, sums, rows, BLOCK, slice + panel * BLOCK * COLUMNS, COLUMNS);
    }
    REAL *first = to.numbers + tile.row * layer->in + tile.column;
    int64_t width = layer->in - tile.column;
    if (width >= COLUMNS) {
        UNROLL for (int r = 0; r < count; r++) for (int half = 0; half < 2; half++) {
            vector *place = (vector *)(first + r * layer->in + half * LANES);
            if (to.add) *place += sums[r][half];
            else *place = sums[r][half];
        }
        return;
    }
    for (int r = 0; r < count; r++) {
        REAL found[COLUMNS];
        memcpy(found, sums[r], sizeof found);
        for (int64_t c = 0; c < width; c++) {
            REAL *place = first + r * layer->in + c;
            *place = to.add ? *place + found[c] : found[c];
        }
    }
}

static void weight_gradient(const Layer *layer, Panels slope, const REAL *slices, Target to) {
    for (int64_t column = 0; column < layer->in; column += COLUMNS) {
        const REAL *slice = slices + column * slope.count * BLOCK;
#define DO(count, tile) gradient_tile(count, tile, layer, slope, slice, to)
        IN_TILES(layer->out, column, DO);
#undef DO
    }
}

/* Sums over all rows (units) of a slope. */
static void bias_gradient(int64_t units, Panels slope, Target to) {
    for (int64_t unit = 0; unit < units; unit++) {
        vector sums = {0};
        for (int64_t panel = 0; panel < slope.count; panel++)
            for (int64_t b = 0; b < BLOCK; b += LANES)
                sums += *(const vector *)(slope.numbers + (panel * units + unit) * BLOCK + b);
        REAL partial[LANES];
        memcpy(partial, &sums, sizeof partial);
        for (int width = LANES / 2; width; width /= 2)
            for (int b = 0; b < width; b++) partial[b] += partial[b + width];
        to.numbers[unit] = to.add ? to.numbers[unit] + partial[0] : partial[0];
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
