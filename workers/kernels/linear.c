/* Linear models to the optimum: proximal Newton steps on the features that matter.

   A model of the objective that is quadratic around the current point is minimised over a working
   set of features (quadratic.h), a line search makes sure that the objective never rises, and
   features whose optimality is violated join the set until there is none (Lee, Sun & Saunders 2014;
   strong rules by Tibshirani et al. 2012). Rows are read in their own type, sums are double. */

#include "real.h"

#include "quadratic.h"

enum { SQUARED_ERROR, BINARY, CROSS_ENTROPY, POISSON, HUBER };
enum { CONVERGED, NOT_CONVERGED, OUT_OF_MEMORY };

#define ROWS_AT_ONCE 512      /* in a strip: so many of some dozens of columns lie in a cache */
#define TURN 32               /* and whose classes are told apart at a time */
#define PART 128              /* rows of it whose products are summed in the rows' own type */
#define LEAST_CURVATURE 1e-11 /* of a row's loss, of what it is at most: saturated rows have none */
#define BEYOND 0.01           /* of the bend that bounds a row's Huber loss, where it has none */
#define HALVINGS 40
#define MODEL_ROUNDS 500      /* of coordinate descent in one model */
#define ROUNDING 1e-12        /* of an objective of many rows, by which a step may raise it */
#define ENOUGH 1e-4           /* share of the promised descent that a step must give (Armijo) */

/* Curvatures of the mean squared error between features that were in a working set before: they are
   the same for every member. */
typedef struct {
    int64_t capacity, used; /* at least as many as a working set has */
    int64_t *slots;         /* (features): a feature's place, -1 where it has none */
    int64_t *features;      /* (capacity): what lies in each place */
    double *curvature;      /* (capacity, capacity) */
} Products;

/* What one fold trains on, padded with zeros to a multiple of 8 rows. Columns lie in strips of
   ROWS_AT_ONCE rows, so that a pass over all of them reads memory in one go.

   A softmax does not change where all its logits do by the same, so one output less than there are
   classes is enough: orthonormal contrasts of their logits. What does not tell these from the
   classes' own, l2's and the group's norms, may have them; their models are smaller, and bend in
   every direction. */
typedef struct {
    int64_t rows, features, outputs, classes, loss;
    double delta;            /* of HUBER */
    const double *contrasts; /* (classes, outputs): each class's logit of these; NULL: each its own */
    const REAL *columns;     /* strip after strip, (features, its rows); the last feature is of ones */
    const double *shares;    /* (rows), which add up to one; 0 for padding */
    const double *targets;   /* (rows): numbers, 0 or 1, or classes */
    int64_t most;            /* features in a working set */
    Products *products;      /* for SQUARED_ERROR */
    const double *factors;   /* (features - 1): of their pulls; NULL: all are one */
} Rows;

/* Least squares by its moments, which the number of rows costs nothing: what a working set is to the
   others, all features are here. */
typedef struct {
    int64_t features;
    const double *curvature; /* (features, features): twice Σ share x xᵀ */
    const double *cross;     /* (features): twice Σ share y x */
    double square;           /* Σ share y² */
    const double *factors;   /* as in Rows */
} Moments;

/* The curvature at a start that members share, between the features that one of them began with.
   Each number is the same whoever asks for it. */
typedef struct {
    int64_t count;
    int64_t *features; /* (count), in order */
    REAL *blocks;      /* for each pair of outputs the lower triangle of (count, count) */
} Kept;

/* One member: its penalty and where it starts. */
typedef struct {
    Pull features, intercept;
    Kept *kept;       /* of its start; NULL: nobody else starts there */
    double smoothing; /* share of a class target that is spread over all classes */
    double before;    /* the l1 strength, or the group's, of the start's own optimum */
    double tolerance; /* of the largest entry of the smallest subgradient */
    int64_t steps;    /* at most */
} Member;

typedef struct {
    double value, residual;
    int64_t steps, status;
} Found;

typedef struct {
    double *logits, *moved, *slopes; /* (outputs, rows) */
    double *step;                    /* (outputs, rows): of the logits */
    REAL *narrow, *weighted, *gathered; /* panels of a part of a strip's columns, (most) */
    int64_t *set;                    /* (most): features of the working set, in order */
    char *in_set, *likely;           /* (features) */
    double *curvature;               /* (most x outputs, most x outputs) */
    double *own_weights, *own_slope, *own_before, *own_start; /* (most x outputs) */
    double *left;                    /* (outputs + classes) */
    Pull *pulls;                     /* (most) */
    Scratch scratch;
} Space;

#define EXACT 1e-12 /* noise of a curvature whose products are double */
#ifdef SINGLE
#define ROUNDED 1e-6 /* and of one whose products are of the rows' type */
#else
#define ROUNDED EXACT
#endif

#ifdef SINGLE
typedef float reals __attribute__((vector_size(4 * WIDE), aligned(4), may_alias));
#define WIDENED(x) __builtin_convertvector(x, doubles)
#else
typedef double reals __attribute__((vector_size(8 * WIDE), aligned(8), may_alias));
#define WIDENED(x) (x)
#endif

INLINE double total(doubles sums) { return (sums[0] + sums[1]) + (sums[2] + sums[3]); }

INLINE int64_t strip_size(const Rows *rows, int64_t start) {
    int64_t left = rows->rows - start;
    return left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
}

/* A column's part in the strip that starts there. */
INLINE const REAL *in_strip(const Rows *rows, int64_t feature, int64_t start) {
    return rows->columns + start * rows->features + feature * strip_size(rows, start);
}

/* --- losses of rows ------------------------------------------------------------------------------ */

/* exp of x <= 0 by a polynomial that vectorises; within 1e-15. */
INLINE double decayed(double x) {
    const double whole = 6755399441055744; /* 1.5 x 2^52: a sum with it ends in an integer's bits */
    double normal = x < -700 ? -700 : x;
    double shifted = normal * 1.4426950408889634 + whole, n = shifted - whole;
    double r = normal - n * 0.693147180369123816490 - n * 1.90821492927058770002e-10;
    double p = 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1;
    p = p * r + 1;
    uint64_t bits; /* a conversion would not vectorise */
    double scale;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* log(1 + e) of 0 <= e <= 1 as 2 artanh(e / (2 + e)); within 1e-16. */
INLINE double log_one_plus(double e) {
    double s = e / (2 + e), z = s * s, p = 1.0 / 33;
    for (int odd = 31; odd >= 1; odd -= 2) p = p * z + 1.0 / odd;
    return 2 * s * p;
}

static double squared_error(const Rows *rows, int64_t start, int64_t count, const double *logits,
                            double *slopes) {
    double sum = 0;
    for (int64_t i = start; i < start + count; i++) {
        double error = logits[i] - rows->targets[i];
        slopes[i] = 2 * rows->shares[i] * error;
        sum += rows->shares[i] * error * error;
    }
    return sum;
}

static double binary(const Rows *rows, double smoothing, int64_t start, int64_t count,
                     const double *logits, double *slopes) {
    double losses[ROWS_AT_ONCE], sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double z = logits[start + i], share = rows->shares[start + i];
        double target = rows->targets[start + i];
        target += smoothing * (0.5 - target);
        double e = decayed(z > 0 ? -z : z), likelier = 1 / (1 + e);
        losses[i] = share * (log_one_plus(e) + (z > 0 ? z : 0) - z * target);
        slopes[start + i] = share * ((z > 0 ? likelier : e * likelier) - target);
    }
    for (int64_t i = 0; i < count; i++) sum += losses[i];
    return sum;
}

/* Of a Poisson distribution whose expectation is exp(z), but for what depends on the target alone. */
static double poisson(const Rows *rows, int64_t start, int64_t count, const double *logits,
                      double *slopes) {
    double losses[ROWS_AT_ONCE], sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double z = logits[start + i], share = rows->shares[start + i];
        double e = decayed(z > 0 ? -z : z), expected = z > 0 ? 1 / e : e;
        losses[i] = share * (expected - rows->targets[start + i] * z);
        slopes[start + i] = share * (expected - rows->targets[start + i]);
    }
    for (int64_t i = 0; i < count; i++) sum += losses[i];
    return sum;
}

/* e² up to |e| = delta, 2 delta |e| - delta² beyond. */
static double huber(const Rows *rows, int64_t start, int64_t count, const double *logits,
                    double *slopes) {
    double sum = 0, delta = rows->delta;
    for (int64_t i = start; i < start + count; i++) {
        double error = logits[i] - rows->targets[i];
        double within = error > delta ? delta : error < -delta ? -delta : error;
        slopes[i] = 2 * rows->shares[i] * within;
        sum += rows->shares[i] * within * (2 * error - within);
    }
    return sum;
}

/* to (classes, TURN) = the classes' own of some rows' numbers in contrasts, or those of classes. */
INLINE void by_class(const Rows *rows, int64_t start, int64_t count, const double *numbers,
                     double *to) {
    for (int64_t c = 0; c < rows->classes; c++) {
        double *own = to + c * TURN;
        if (!rows->contrasts) {
            memcpy(own, numbers + c * rows->rows + start, count * sizeof *own);
            continue;
        }
        memset(own, 0, TURN * sizeof *own);
        for (int64_t k = 0; k < rows->outputs; k++)
            add_scaled(own, rows->contrasts[c * rows->outputs + k],
                       numbers + k * rows->rows + start, count);
    }
}

/* The other way, for slopes. */
INLINE void by_output(const Rows *rows, int64_t start, int64_t count, const double *slopes,
                      double *to) {
    for (int64_t k = 0; k < rows->outputs; k++) {
        double *own = to + k * rows->rows + start;
        if (!rows->contrasts) {
            memcpy(own, slopes + k * TURN, count * sizeof *own);
            continue;
        }
        memset(own, 0, count * sizeof *own);
        for (int64_t c = 0; c < rows->classes; c++)
            add_scaled(own, rows->contrasts[c * rows->outputs + k], slopes + c * TURN, count);
    }
}

/* Of at most TURN rows. room (classes, TURN). */
static double some_cross_entropy(const Rows *rows, double smoothing, int64_t start, int64_t count,
                                 const double *logits, double *slopes, double *room) {
    int64_t classes = rows->classes;
    double sum = 0, even = smoothing / classes, top[TURN], total[TURN] = {0}, mean[TURN] = {0};
    double aim[TURN];
    by_class(rows, start, count, logits, room);
    memcpy(top, room, sizeof top);
    for (int64_t c = 1; c < classes; c++)
        for (int64_t i = 0; i < count; i++)
            top[i] = room[c * TURN + i] > top[i] ? room[c * TURN + i] : top[i];
    for (int64_t i = 0; i < count; i++)
        aim[i] = room[(int64_t)rows->targets[start + i] * TURN + i] - top[i];
    for (int64_t c = 0; c < classes; c++)
        for (int64_t i = 0; i < count; i++) {
            double below = room[c * TURN + i] - top[i], e = decayed(below);
            room[c * TURN + i] = e;
            total[i] += e;
            mean[i] += below;
        }
    for (int64_t i = 0; i < count; i++)
        sum += rows->shares[start + i] *
               (log(total[i]) - (1 - smoothing) * aim[i] - even * mean[i]);
    for (int64_t c = 0; c < classes; c++)
        for (int64_t i = 0; i < count; i++)
            room[c * TURN + i] = rows->shares[start + i] * (room[c * TURN + i] / total[i] - even);
    for (int64_t i = 0; i < count; i++)
        room[(int64_t)rows->targets[start + i] * TURN + i] -=
            rows->shares[start + i] * (1 - smoothing);
    by_output(rows, start, count, room, slopes);
    return sum;
}

static double cross_entropy(const Rows *rows, double smoothing, int64_t start, int64_t count,
                            const double *logits, double *slopes) {
    double room[rows->classes * TURN], sum = 0;
    memset(room, 0, sizeof room);
    for (int64_t i = 0; i < count; i += TURN)
        sum += some_cross_entropy(rows, smoothing, start + i, count - i < TURN ? count - i : TURN,
                                  logits, slopes, room);
    return sum;
}

/* The part of the mean loss of these logits (outputs, rows) that a strip has, at most ROWS_AT_ONCE
   rows; and its slopes in them. */
static double strip_loss(const Rows *rows, double smoothing, int64_t start, int64_t count,
                         const double *logits, double *slopes) {
    if (rows->loss == SQUARED_ERROR) return squared_error(rows, start, count, logits, slopes);
    if (rows->loss == BINARY) return binary(rows, smoothing, start, count, logits, slopes);
    if (rows->loss == POISSON) return poisson(rows, start, count, logits, slopes);
    if (rows->loss == HUBER) return huber(rows, start, count, logits, slopes);
    return cross_entropy(rows, smoothing, start, count, logits, slopes);
}

static double mean_loss(const Rows *rows, double smoothing, const double *logits, double *slopes) {
    double sum = 0;
    for (int64_t start = 0; start < rows->rows; start += ROWS_AT_ONCE)
        sum += strip_loss(rows, smoothing, start, strip_size(rows, start), logits, slopes);
    return sum;
}

/* A row's second derivative between two outputs, times its share, for a strip of rows. slopes and
   targets give the probabilities back. */
static void row_curvature(const Rows *rows, double smoothing, const double *slopes, int64_t k,
                          int64_t l, int64_t start, int64_t count, REAL *to) {
    for (int64_t i = start; i < start + count; i++) {
        double share = rows->shares[i], own[2] = {0, 0}, place[2] = {(double)k, (double)l};
        for (int side = 0; side < 2; side++) {
            double target = rows->loss == BINARY
                ? rows->targets[i] + smoothing * (0.5 - rows->targets[i])
                : (rows->targets[i] == place[side]) * (1 - smoothing) + smoothing / rows->outputs;
            double slope = slopes[(side ? l : k) * rows->rows + i];
            own[side] = share > 0 ? slope / share + target : 0;
        }
        double bend = k == l ? own[0] * (1 - own[0]) : -own[0] * own[1];
        if (k == l && bend < LEAST_CURVATURE) bend = LEAST_CURVATURE;
        to[i - start] = (REAL)(share * bend);
    }
}

/* The same between two contrasts. */
static void contrast_curvature(const Rows *rows, double smoothing, const double *slopes, int64_t k,
                               int64_t l, int64_t start, int64_t count, REAL *to) {
    int64_t classes = rows->classes, outputs = rows->outputs;
    double room[classes * TURN], even = smoothing / classes;
    for (int64_t first = start; first < start + count; first += TURN) {
        int64_t left = start + count - first, some = left < TURN ? left : TURN;
        double both[TURN] = {0}, own[TURN] = {0}, other[TURN] = {0};
        by_class(rows, first, some, slopes, room);
        for (int64_t c = 0; c < classes; c++) {
            double a = rows->contrasts[c * outputs + k], b = rows->contrasts[c * outputs + l];
            for (int64_t i = 0; i < some; i++) {
                double share = rows->shares[first + i];
                double target = (rows->targets[first + i] == c) * (1 - smoothing) + even;
                double likely = share > 0 ? room[c * TURN + i] / share + target : 0;
                both[i] += a * b * likely;
                own[i] += a * likely;
                other[i] += b * likely;
            }
        }
        for (int64_t i = 0; i < some; i++) {
            double bend = both[i] - own[i] * other[i];
            if (k == l && bend < LEAST_CURVATURE) bend = LEAST_CURVATURE;
            to[first - start + i] = (REAL)(rows->shares[first + i] * bend);
        }
    }
}

/* The same of losses of one output that is a number. Huber's does not bend beyond delta, where a row
   keeps a little of the bend that would bound its loss, so that a model always has a minimum. */
static void number_curvature(const Rows *rows, const double *logits, const double *slopes,
                             int64_t start, int64_t count, REAL *to) {
    for (int64_t i = start; i < start + count; i++) {
        double share = rows->shares[i], error = fabs(logits[i] - rows->targets[i]), bend;
        if (rows->loss == HUBER)
            bend = error > rows->delta ? 2 * BEYOND * rows->delta / error : 2;
        else bend = share > 0 ? slopes[i] / share + rows->targets[i] : 0;
        if (bend < LEAST_CURVATURE) bend = LEAST_CURVATURE;
        to[i - start] = (REAL)(share * bend);
    }
}

/* --- products with columns ----------------------------------------------------------------------- */

/* found (outputs) += slopes (outputs, rows) times one column, over a strip of rows. */
INLINE void add_slopes(const Rows *rows, int64_t feature, int64_t start, int64_t count,
                       const double *slopes, double *found) {
    const REAL *column = in_strip(rows, feature, start);
    for (int64_t k = 0; k < rows->outputs; k++) {
        const double *slope = slopes + k * rows->rows + start;
        doubles sums[2] = {{0}, {0}};
        for (int64_t i = 0; i < count; i += 2 * WIDE) {
            sums[0] += WIDENED(*(const reals *)(column + i)) * *(const doubles *)(slope + i);
            sums[1] += WIDENED(*(const reals *)(column + i + WIDE)) *
                       *(const doubles *)(slope + i + WIDE);
        }
        found[k] += total(sums[0] + sums[1]);
    }
}

/* The same of some features, (features, outputs) in gradient: all, or those that are marked and not
   in the set. */
static void some_slopes(const Rows *rows, const double *slopes, double *gradient,
                        const char *marked, const char *in_set) {
    for (int64_t start = 0; start < rows->rows; start += ROWS_AT_ONCE)
        for (int64_t j = 0; j < rows->features; j++) {
            if (marked && (!marked[j] || in_set[j])) continue;
            double *found = gradient + j * rows->outputs;
            if (start == 0) memset(found, 0, rows->outputs * sizeof *found);
            add_slopes(rows, j, start, strip_size(rows, start), slopes, found);
        }
}

INLINE void add_column(const Rows *rows, int64_t feature, int64_t start, int64_t count,
                       int64_t output, double by, double *logits) {
    const REAL *column = in_strip(rows, feature, start);
    double *restrict to = logits + output * rows->rows + start;
    if (by == 0) return;
    for (int64_t i = 0; i < count; i++) to[i] += by * column[i];
}

#ifdef __AVX512F__
#define BYTES 64
#define HIGH 8            /* columns of a panel whose numbers are taken one by one */
#else
#define BYTES 32
#define HIGH 4
#endif
typedef REAL lanes __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
#define LANES (BYTES / (int64_t)sizeof(REAL))
#define BROAD (2 * LANES) /* and of one where they are taken together */

/* to (tall, across) += the products of the columns of two panels, over a part of a strip. Panels lie
   row by row: (PART, HIGH) and (PART, BROAD). */
static void panel_products(const REAL *a, const REAL *b, int64_t tall, int64_t across, double *to,
                           int64_t next) {
    lanes sums[HIGH][2];
    UNROLL for (int r = 0; r < HIGH; r++) sums[r][0] = sums[r][1] = (lanes){0};
    for (int64_t i = 0; i < PART; i++) {
        lanes left = *(const lanes *)(b + i * BROAD), right = *(const lanes *)(b + i * BROAD + LANES);
        KEEP(left);
        KEEP(right);
        UNROLL for (int r = 0; r < HIGH; r++) {
            sums[r][0] += a[i * HIGH + r] * left;
            sums[r][1] += a[i * HIGH + r] * right;
        }
    }
    UNROLL for (int r = 0; r < HIGH; r++) {
        if (r >= tall) break;
        REAL found[BROAD];
        memcpy(found, sums[r], sizeof found);
        for (int64_t c = 0; c < across; c++) to[r * next + c] += found[c];
    }
}

/* block (count, count): its lower triangle gets the products of the panels' columns. */
static void part_products(const Space *space, int64_t count, double *block) {
    for (int64_t c = 0; c < count; c += BROAD)
        for (int64_t r = c / HIGH * HIGH; r < count; r += HIGH)
            panel_products(space->weighted + r * PART, space->gathered + c * PART,
                           count - r < HIGH ? count - r : HIGH,
                           count - c < BROAD ? count - c : BROAD, block + r * count + c, count);
}

/* Copy a part of the set's columns into panels of both kinds. */
static void pack_part(const Rows *rows, const Space *space, int64_t start, int64_t first,
                      int64_t count) {
    int64_t left = strip_size(rows, start) - first, some = left < PART ? left : PART;
    for (int64_t f = 0; f < count; f++) {
        const REAL *column = in_strip(rows, space->set[f], start) + first;
        REAL *narrow = space->narrow + f / HIGH * HIGH * PART + f % HIGH;
        REAL *broad = space->gathered + f / BROAD * BROAD * PART + f % BROAD;
        for (int64_t i = 0; i < some; i++) narrow[i * HIGH] = broad[i * BROAD] = column[i];
        for (int64_t i = some; i < PART; i++) narrow[i * HIGH] = broad[i * BROAD] = 0;
    }
}

/* Weight a part's narrow panels by its rows' curvatures (PART). */
static void weight_part(const Space *space, const REAL *bends, int64_t count) {
    for (int64_t f = 0; f < count; f += HIGH) {
        const REAL *from = space->narrow + f * PART;
        REAL *to = space->weighted + f * PART;
        for (int64_t i = 0; i < PART; i++)
            for (int64_t r = 0; r < HIGH; r++) to[i * HIGH + r] = from[i * HIGH + r] * bends[i];
    }
}

static void curvature_of_rows(const Rows *rows, const Member *member, const Space *space, int64_t k,
                              int64_t l, int64_t start, int64_t count, REAL *to) {
    if (rows->loss == POISSON || rows->loss == HUBER)
        number_curvature(rows, space->logits, space->slopes, start, count, to);
    else if (rows->contrasts)
        contrast_curvature(rows, member->smoothing, space->slopes, k, l, start, count, to);
    else row_curvature(rows, member->smoothing, space->slopes, k, l, start, count, to);
}

/* blocks: for each pair of outputs k <= l, or k < l where these are classes, (count, count), whose
   lower triangle gets the sums of the columns' products times the rows' curvatures. */
static void sum_products(const Rows *rows, const Member *member, Space *space, int64_t count,
                         double *blocks) {
    int64_t apart = rows->outputs > 1 && !rows->contrasts;
    REAL bends[PART];
    for (int64_t start = 0; start < rows->rows; start += ROWS_AT_ONCE) {
        int64_t strip = strip_size(rows, start);
        for (int64_t first = 0; first < strip; first += PART) {
            int64_t some = strip - first < PART ? strip - first : PART;
            double *block = blocks;
            memset(bends, 0, sizeof bends);
            pack_part(rows, space, start, first, count);
            for (int64_t k = 0; k < rows->outputs; k++)
                for (int64_t l = k + apart; l < rows->outputs; l++, block += count * count) {
                    curvature_of_rows(rows, member, space, k, l, start + first, some, bends);
                    weight_part(space, bends, count);
                    part_products(space, count, block);
                }
        }
    }
}

/* One row of the curvature, of an output k of a feature f, up to that feature. A softmax does not
   change where all its logits do by the same: the curvature of a class in itself is what it takes
   from that with the others. */
static void fill_row(const Rows *rows, const double *blocks, int64_t f, int64_t k, int64_t count,
                     double *row) {
    int64_t outputs = rows->outputs, apart = outputs > 1 && !rows->contrasts;
    for (int64_t l = 0; l < outputs; l++) {
        if (apart && l == k) continue;
        int64_t low = k < l ? k : l, high = k < l ? l : k;
        int64_t pair = low * (outputs - apart) - low * (low - 1) / 2 + high - low - apart;
        const double *block = blocks + (pair * count + f) * count;
        for (int64_t g = 0; g <= f; g++) row[g * outputs + l] = (REAL)block[g]; /* as if kept */
    }
    for (int64_t g = 0; apart && g <= f; g++) {
        double others = 0;
        for (int64_t l = 0; l < outputs; l++) others += l == k ? 0 : row[g * outputs + l];
        row[g * outputs + k] = f == g && -others < LEAST_CURVATURE ? LEAST_CURVATURE : -others;
    }
}

/* Take the blocks (pairs, count, count) out of what is kept; 0 if some features are not there. */
static int look_up_blocks(const Kept *kept, const Space *space, int64_t count, int64_t pairs,
                          double *blocks) {
    int64_t places[count], place = 0, triangle = kept->count * (kept->count + 1) / 2;
    for (int64_t f = 0; f < count; f++) {
        while (place < kept->count && kept->features[place] < space->set[f]) place++;
        if (place == kept->count || kept->features[place] != space->set[f]) return 0;
        places[f] = place;
    }
    for (int64_t pair = 0; pair < pairs; pair++)
        for (int64_t f = 0; f < count; f++) {
            const REAL *row = kept->blocks + pair * triangle + places[f] * (places[f] + 1) / 2;
            double *to = blocks + (pair * count + f) * count;
            for (int64_t g = 0; g <= f; g++) to[g] = row[places[g]];
        }
    return 1;
}

static void keep_blocks(Kept *kept, const Space *space, int64_t count, int64_t pairs,
                        const double *blocks) {
    REAL *to = kept->blocks;
    kept->count = count;
    memcpy(kept->features, space->set, count * sizeof *kept->features);
    for (int64_t row = 0; row < pairs * count; row++)
        for (int64_t g = 0; g <= row % count; g++) *to++ = (REAL)blocks[row * count + g];
}

/* The curvature of the loss in the working set's weights, at the current point. kept: of this point,
   or NULL. */
static void fill_curvature(const Rows *rows, const Member *member, Kept *kept, Space *space,
                           int64_t count) {
    int64_t outputs = rows->outputs, size = count * outputs;
    int64_t pairs = rows->outputs > 1 && !rows->contrasts ? outputs * (outputs - 1) / 2
                                                          : outputs * (outputs + 1) / 2;
    double *blocks = space->scratch.factor; /* free now, and large enough */
    if (!kept || !look_up_blocks(kept, space, count, pairs, blocks)) {
        memset(blocks, 0, pairs * count * count * sizeof *blocks);
        sum_products(rows, member, space, count, blocks);
        if (kept) keep_blocks(kept, space, count, pairs, blocks);
    }
    for (int64_t f = 0; f < count; f++)
        for (int64_t k = 0; k < outputs; k++)
            fill_row(rows, blocks, f, k, count, space->curvature + (f * outputs + k) * size);
    for (int64_t top = 0; top < size; top += TURN) /* in squares, which a cache holds */
        for (int64_t left = 0; left <= top; left += TURN)
            for (int64_t a = top; a < top + TURN && a < size; a++)
                for (int64_t b = left; b < left + TURN && b < a; b++)
                    space->curvature[b * size + a] = space->curvature[a * size + b];
}

static double product(const Rows *rows, int64_t feature, int64_t other) {
    doubles sum = {0};
    for (int64_t start = 0; start < rows->rows; start += ROWS_AT_ONCE) {
        const REAL *a = in_strip(rows, feature, start), *b = in_strip(rows, other, start);
        for (int64_t i = 0; i < strip_size(rows, start); i += WIDE)
            sum += WIDENED(*(const reals *)(a + i)) * WIDENED(*(const reals *)(b + i)) *
                   *(const doubles *)(rows->shares + start + i);
    }
    return 2 * total(sum);
}

static void remember(const Rows *rows, Products *products, int64_t feature) {
    int64_t slot = products->used++;
    products->slots[feature] = slot;
    products->features[slot] = feature;
    for (int64_t other = 0; other <= slot; other++) {
        double found = product(rows, feature, products->features[other]);
        products->curvature[slot * products->capacity + other] = found;
        products->curvature[other * products->capacity + slot] = found;
    }
}

/* The same of the mean squared error, whose curvature is the same everywhere. Where features fill
   the room that there is, all are forgotten: a product is the same whoever asks for it. */
static void look_up_curvature(const Rows *rows, Products *products, Space *space, int64_t count) {
    int64_t missing = 0;
    for (int64_t f = 0; f < count; f++) missing += products->slots[space->set[f]] < 0;
    if (products->used + missing > products->capacity) {
        for (int64_t slot = 0; slot < products->used; slot++)
            products->slots[products->features[slot]] = -1;
        products->used = 0;
    }
    for (int64_t f = 0; f < count; f++)
        if (products->slots[space->set[f]] < 0) remember(rows, products, space->set[f]);
    for (int64_t f = 0; f < count; f++) {
        const double *row =
            products->curvature + products->slots[space->set[f]] * products->capacity;
        for (int64_t g = 0; g < count; g++)
            space->curvature[f * count + g] = row[products->slots[space->set[g]]];
    }
}

/* --- the working set ----------------------------------------------------------------------------- */

/* A feature's part of the pull that they have in common. */
INLINE Pull own_pull(Pull pull, const double *factors, int64_t feature) {
    if (!factors) return pull;
    pull.l1 *= factors[feature];
    pull.l2 *= factors[feature];
    pull.group *= factors[feature];
    return pull;
}

INLINE Pull pull_of(const Rows *rows, const Member *member, int64_t feature) {
    if (feature == rows->features - 1) return member->intercept;
    return own_pull(member->features, rows->factors, feature);
}

/* The largest entry of the smallest subgradient in a feature's weights, those of classes where outputs
   are contrasts. left: room for (outputs + classes). */
static double violation(const Rows *rows, const Member *member, const double *weights,
                        const double *gradient, int64_t feature, double *left) {
    int64_t at = feature * rows->outputs;
    Pull pull = pull_of(rows, member, feature);
    double largest = subgradient(&pull, weights + at, gradient + at, rows->outputs, left);
    if (!rows->contrasts) return largest;
    largest = 0;
    for (int64_t c = 0; c < rows->classes; c++)
        largest = larger(largest,
                         fabs(dot(rows->contrasts + c * rows->outputs, left, rows->outputs)));
    return largest;
}

/* Put what is marked into the set in the features' order, which is nobody else's business. Where the
   room is too small, features that weigh something come first; what is left out loses its mark, so
   that the check of all features sees it. */
static int64_t list_set(const Rows *rows, const double *weights, Space *space) {
    int64_t outputs = rows->outputs, weighing = 0, count = 0;
    for (int64_t j = 0; j < rows->features; j++)
        weighing += space->in_set[j] && norm(weights + j * outputs, outputs) > 0;
    int64_t idle = weighing < rows->most ? rows->most - weighing : 0;
    for (int64_t j = 0; j < rows->features; j++) {
        if (!space->in_set[j]) continue;
        int weighs = norm(weights + j * outputs, outputs) > 0;
        if (count < rows->most && (weighs || idle-- > 0)) space->set[count++] = j;
        else space->in_set[j] = 0;
    }
    return count;
}

/* Take features that weigh nothing out of the set, to make room; the number of the others. */
static int64_t drop_idle(const Rows *rows, const double *weights, Space *space) {
    int64_t weighing = 0;
    for (int64_t j = 0; j < rows->features; j++) {
        space->in_set[j] &= norm(weights + j * rows->outputs, rows->outputs) > 0;
        weighing += space->in_set[j];
    }
    return weighing;
}

/* Mark features whose optimality is violated, the worst `most` of them; their number.
   among: only features marked there, or all where it is NULL. */
static int64_t add_violators(const Rows *rows, const Member *member, const double *weights,
                             const double *gradient, Space *space, const char *among, int64_t most) {
    double threshold = member->tolerance;
    for (;;) { /* a higher bar as long as too many pass it */
        int64_t found = 0;
        double largest = 0;
        for (int64_t j = 0; j < rows->features; j++) {
            if (space->in_set[j] || (among && !among[j])) continue;
            double size = violation(rows, member, weights, gradient, j, space->left);
            if (!(size <= threshold)) found++; /* NaN counts */
            if (size > largest) largest = size;
        }
        if (found > most && threshold < largest / 2) {
            threshold = threshold < largest / 64 ? largest / 64 : threshold * 2;
            continue;
        }
        for (int64_t j = 0; j < rows->features && found; j++) {
            if (space->in_set[j] || (among && !among[j])) continue;
            if (!(violation(rows, member, weights, gradient, j, space->left) <= threshold))
                space->in_set[j] = 1;
        }
        return found;
    }
}

/* --- one member ---------------------------------------------------------------------------------- */

static double all_penalties(const Rows *rows, const Member *member, const double *weights) {
    double sum = 0;
    for (int64_t j = 0; j < rows->features; j++) {
        Pull pull = pull_of(rows, member, j);
        sum += penalty(&pull, weights + j * rows->outputs, rows->outputs);
    }
    return sum;
}

static double set_penalties(const Rows *rows, const Space *space, const double *own, int64_t count) {
    double sum = 0;
    for (int64_t f = 0; f < count; f++)
        sum += penalty(space->pulls + f, own + f * rows->outputs, rows->outputs);
    return sum;
}

static void gather(const Rows *rows, const Member *member, const double *weights,
                   const double *gradient, Space *space, int64_t count) {
    int64_t outputs = rows->outputs;
    for (int64_t f = 0; f < count; f++) {
        int64_t at = space->set[f] * outputs;
        space->pulls[f] = pull_of(rows, member, space->set[f]);
        memcpy(space->own_weights + f * outputs, weights + at, outputs * sizeof *weights);
        memcpy(space->own_slope + f * outputs, gradient + at, outputs * sizeof *gradient);
    }
    memcpy(space->own_before, space->own_weights, count * outputs * sizeof *weights);
}

/* The mean loss at this length of the model's step, its slopes, and its gradient in the set's weights,
   all in one pass over the rows. The step itself is worked out where the length is 1. */
static double walk(const Rows *rows, const Member *member, double length, double *gradient,
                   Space *space, int64_t count) {
    int64_t outputs = rows->outputs;
    double sum = 0, *by = space->scratch.step;
    for (int64_t c = 0; c < count * outputs; c++) by[c] = space->own_weights[c] - space->own_before[c];
    for (int64_t f = 0; f < count; f++)
        memset(gradient + space->set[f] * outputs, 0, outputs * sizeof *gradient);
    for (int64_t start = 0; start < rows->rows; start += ROWS_AT_ONCE) {
        int64_t strip = strip_size(rows, start);
        for (int64_t k = 0; k < outputs; k++) {
            int64_t at = k * rows->rows + start;
            if (length == 1) {
                memset(space->step + at, 0, strip * sizeof *space->step);
                for (int64_t f = 0; f < count; f++)
                    add_column(rows, space->set[f], start, strip, k, by[f * outputs + k],
                               space->step);
            }
            memcpy(space->moved + at, space->logits + at, strip * sizeof *space->moved);
            if (length > 0) /* a step that is not finite times 0 would not be 0 */
                add_scaled(space->moved + at, length, space->step + at, strip);
        }
        sum += strip_loss(rows, member->smoothing, start, strip, space->moved, space->slopes);
        for (int64_t f = 0; f < count; f++)
            add_slopes(rows, space->set[f], start, strip, space->slopes,
                       gradient + space->set[f] * outputs);
    }
    return sum;
}

/* Go as far along the model's step as the objective falls enough; the new value, or the old one where
   no length helps. space->own_weights is where the step leads. gradient: of the set's weights, at
   the end. */
static double search(const Rows *rows, const Member *member, double value, double promised,
                     double *weights, double *gradient, Space *space, int64_t count) {
    int64_t outputs = rows->outputs;
    double rounding = ROUNDING * fabs(value), length = 1;
    double others = all_penalties(rows, member, weights) -
                    set_penalties(rows, space, space->own_before, count);
    for (int halving = 0; halving < HALVINGS; halving++, length /= 2) {
        if (length < 1)
            for (int64_t c = 0; c < count * outputs; c++)
                space->own_weights[c] =
                    space->own_before[c] + (space->own_weights[c] - space->own_before[c]) / 2;
        double reached = walk(rows, member, length, gradient, space, count) + others +
                         set_penalties(rows, space, space->own_weights, count);
        if (reached <= value + ENOUGH * length * promised + rounding) {
            double *moved = space->moved;
            space->moved = space->logits;
            space->logits = moved;
            for (int64_t f = 0; f < count; f++)
                memcpy(weights + space->set[f] * outputs, space->own_weights + f * outputs,
                       outputs * sizeof *weights);
            return reached;
        }
    }
    walk(rows, member, 0, gradient, space, count);
    return value;
}

static double set_residual(const Rows *rows, const Member *member, const double *weights,
                           const double *gradient, Space *space, int64_t count) {
    double largest = 0;
    for (int64_t f = 0; f < count; f++) {
        double found = violation(rows, member, weights, gradient, space->set[f], space->left);
        largest = larger(largest, found);
    }
    return largest;
}

/* Mark the features that the sequential strong rule leaves in, and those that weigh something. */
static void screen(const Rows *rows, const Member *member, const double *weights,
                   const double *gradient, Space *space) {
    Pull strong = member->features;
    double before = member->before;
    if (strong.group > 0) strong.group = 2 * strong.group - before;
    else strong.l1 = 2 * strong.l1 - before;
    if (strong.group < 0) strong.group = 0;
    if (strong.l1 < 0) strong.l1 = 0;
    for (int64_t j = 0; j < rows->features; j++) {
        int64_t at = j * rows->outputs;
        Pull pull = pull_of(rows, member, j);
        Pull rule = j == rows->features - 1 ? strong : own_pull(strong, rows->factors, j);
        int weighs = pull.l1 == 0 && pull.group == 0;
        for (int64_t k = 0; k < rows->outputs; k++) weighs |= weights[at + k] != 0;
        space->in_set[j] = (char)weighs;
        space->likely[j] = (char)(weighs || subgradient(&rule, weights + at, gradient + at,
                                                        rows->outputs, space->left) > 0);
    }
}

/* One model: its curvature where it is not there yet, its minimum, the way there. */
static double take_step(const Rows *rows, const Member *member, double value, double tolerance,
                        double *weights, double *gradient, Space *space, int64_t count,
                        int fresh, Kept *kept) {
    if (fresh && rows->loss == SQUARED_ERROR)
        look_up_curvature(rows, rows->products, space, count);
    else if (fresh) fill_curvature(rows, member, kept, space, count);
    gather(rows, member, weights, gradient, space, count);
    int64_t size = count * rows->outputs;
    memcpy(space->own_start, space->own_slope, size * sizeof *space->own_slope);
    Quadratic model = {count, rows->outputs, space->curvature, space->pulls, space->own_weights,
                       space->own_slope, rows->loss == SQUARED_ERROR ? EXACT : ROUNDED};
    minimise(&model, &space->scratch, tolerance, MODEL_ROUNDS);
    double promised = set_penalties(rows, space, space->own_weights, count) -
                      set_penalties(rows, space, space->own_before, count);
    for (int64_t c = 0; c < size; c++)
        promised += space->own_start[c] * (space->own_weights[c] - space->own_before[c]);
    return search(rows, member, value, promised < 0 ? promised : 0, weights, gradient, space,
                  count);
}

static void first_logits(const Rows *rows, const double *weights, Space *space) {
    memset(space->logits, 0, rows->outputs * rows->rows * sizeof *space->logits);
    for (int64_t start = 0; start < rows->rows; start += ROWS_AT_ONCE)
        for (int64_t j = 0; j < rows->features; j++)
            for (int64_t k = 0; k < rows->outputs; k++)
                add_column(rows, j, start, strip_size(rows, start), k,
                           weights[j * rows->outputs + k], space->logits);
}

static Found solve(const Rows *rows, const Member *member, double *weights, double *gradient,
                   Space *space) {
    first_logits(rows, weights, space);
    Found found = {.status = NOT_CONVERGED};
    found.value = mean_loss(rows, member->smoothing, space->logits, space->slopes) +
                  all_penalties(rows, member, weights);
    some_slopes(rows, space->slopes, gradient, NULL, NULL);
    screen(rows, member, weights, gradient, space);
    add_violators(rows, member, weights, gradient, space, NULL, rows->most / 4);
    int64_t count = list_set(rows, weights, space);
    int fresh = 1;
    double share = rows->outputs > 1 ? 0.1 : 0.01; /* of a residual, left by a model: many outputs'
                                                      models cost more than a pass over the rows */
    double spread = rows->contrasts ? (rows->classes - 1) / sqrt((double)rows->classes) : 1;
    /* at most so much larger are classes' entries than those of their contrasts */
    double residual = set_residual(rows, member, weights, gradient, space, count);
    while (found.steps < member->steps) {
        if (residual <= member->tolerance) {
            int64_t more = 0, before = count, weighing = 0;
            if (count == rows->most && count < rows->features)
                weighing = drop_idle(rows, weights, space);
            if (count < rows->features) {
                some_slopes(rows, space->slopes, gradient, space->likely, space->in_set);
                more = add_violators(rows, member, weights, gradient, space, space->likely,
                                     rows->most / 4);
            }
            if (!more && count < rows->features) {
                some_slopes(rows, space->slopes, gradient, NULL, NULL);
                more = add_violators(rows, member, weights, gradient, space, NULL, rows->most / 4);
            }
            if (!more) {
                found.status = CONVERGED;
                break;
            }
            count = list_set(rows, weights, space);
            if (weighing == rows->most || (!weighing && count == before)) break; /* no room is left */
            fresh = 1;
            residual = set_residual(rows, member, weights, gradient, space, count);
        }
        double last = residual, aim = share * residual;
        if (rows->loss == SQUARED_ERROR || aim < member->tolerance / 2) aim = member->tolerance / 2;
        Kept *kept = found.steps || member->smoothing > 0 ? NULL : member->kept;
        double value = take_step(rows, member, found.value, aim / spread, weights, gradient, space,
                                 count, fresh, kept);
        residual = set_residual(rows, member, weights, gradient, space, count);
        found.steps++;
        int stuck = !(value < found.value) && !(residual < last);
        if (stuck && (fresh || rows->loss == SQUARED_ERROR)) break; /* rounding hides what is left, or a number is not finite */
        fresh = !(residual <= 0.3 * last) && rows->loss != SQUARED_ERROR;
        found.value = value;
    }
    found.residual = residual;
    return found;
}

/* --- the interface ------------------------------------------------------------------------------- */

#define ROOM(place, count) \
    ((place) = calloc((size_t)(count) + 1, sizeof *(place)), complete &= (place) != NULL)
#define UNSET(place, count) /* what is written before it is read: clearing much of it takes long */ \
    ((place) = malloc(((size_t)(count) + 1) * sizeof *(place)), complete &= (place) != NULL)

static int open_space(const Rows *rows, Space *space) {
    int complete = 1;
    int64_t numbers = rows->outputs * rows->rows, size = rows->most * rows->outputs;
    ROOM(space->logits, numbers);
    ROOM(space->moved, numbers);
    ROOM(space->slopes, numbers);
    ROOM(space->step, numbers);
    ROOM(space->narrow, (rows->most + HIGH) * PART);
    ROOM(space->weighted, (rows->most + HIGH) * PART);
    ROOM(space->gathered, (rows->most + BROAD) * PART);
    ROOM(space->own_start, size);
    ROOM(space->set, rows->most);
    ROOM(space->in_set, rows->features);
    ROOM(space->likely, rows->features);
    UNSET(space->curvature, size * size);
    ROOM(space->own_weights, size);
    ROOM(space->own_slope, size);
    ROOM(space->own_before, size);
    ROOM(space->left, rows->outputs + rows->classes);
    ROOM(space->pulls, rows->most);
    UNSET(space->scratch.past, 3 * LOOKS_BACK * size);
    ROOM(space->scratch.places, size);
    UNSET(space->scratch.factor, size * size);
    ROOM(space->scratch.step, 2 * size);
    ROOM(space->scratch.bent, size);
    ROOM(space->scratch.kept, size);
    return complete;
}

static void close_space(Space *space) {
    void *places[] = {space->logits, space->moved, space->slopes, space->step, space->narrow, space->weighted,
                      space->gathered, space->own_start, space->set, space->in_set, space->likely,
                      space->curvature, space->own_weights, space->own_slope, space->own_before,
                      space->left, space->pulls, space->scratch.past, space->scratch.places, space->scratch.factor,
                      space->scratch.step, space->scratch.bent, space->scratch.kept};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) free(places[i]);
}

/* Solve one member. weights (features, outputs): where it starts, and what is found. gradient, as
   weights: of the loss, at what is found. */
void linear_solve(const Rows *rows, const Member *member, double *weights, double *gradient,
                  Found *found) {
    Space space;
    if (open_space(rows, &space)) *found = solve(rows, member, weights, gradient, &space);
    else found->status = OUT_OF_MEMORY;
    close_space(&space);
}

/* --- least squares by its moments ---------------------------------------------------------------- */

static void moments_slope(const Quadratic *given, const double *cross) {
    Moves moves = {0};
    for (int64_t j = 0; j < given->features; j++) given->slope[j] = -cross[j];
    for (int64_t j = 0; j < given->features; j++)
        if (given->weights[j] != 0) note(given, &moves, j, given->weights[j]);
    settle(given, &moves);
}

static Found solve_moments(const Moments *moments, const Member *member, double *weights,
                           double *slope, Pull *pulls, const Scratch *room) {
    int64_t features = moments->features;
    Found found = {.status = NOT_CONVERGED};
    for (int64_t j = 0; j < features - 1; j++)
        pulls[j] = own_pull(member->features, moments->factors, j);
    pulls[features - 1] = member->intercept;
    Quadratic model = {features, 1, moments->curvature, pulls, weights, slope, EXACT};
    while (found.status != CONVERGED && found.steps < member->steps) {
        moments_slope(&model, moments->cross); /* again: updates have added up their rounding */
        double *left = room->step + features;
        found.residual = largest_subgradient(&model, left);
        if (found.residual <= member->tolerance) found.status = CONVERGED;
        else {
            minimise(&model, room, member->tolerance / 2, MODEL_ROUNDS);
            found.steps++;
        }
    }
    found.value = moments->square + penalties(&model, weights);
    for (int64_t j = 0; j < features; j++)
        found.value += weights[j] * (slope[j] - moments->cross[j]) / 2;
    return found;
}

/* As linear_solve. */
void linear_solve_moments(const Moments *moments, const Member *member, double *weights,
                          double *slope, Found *found) {
    int64_t size = moments->features;
    int complete = 1;
    Scratch room;
    Pull *pulls;
    ROOM(pulls, size);
    UNSET(room.past, 3 * LOOKS_BACK * size);
    ROOM(room.places, size);
    UNSET(room.factor, size * size);
    ROOM(room.step, 2 * size);
    ROOM(room.bent, size);
    ROOM(room.kept, size);
    if (complete) *found = solve_moments(moments, member, weights, slope, pulls, &room);
    else found->status = OUT_OF_MEMORY;
    void *taken[] = {pulls, room.past, room.places, room.factor, room.step, room.bent, room.kept};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) free(taken[i]);
}
