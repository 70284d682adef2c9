/* A quadratic model with penalties, minimised: cyclic coordinate descent finds which coordinates are
   zero, and Newton steps on the others, by Cholesky's factor, finish what correlated columns would
   draw out (Friedman, Hastie & Tibshirani 2010; Byrd, Chin, Nocedal & Oztoprak 2016). Sweeps are
   extrapolated (Bertrand & Massias 2021), so that most models need no factor.

   Coordinates come in blocks of `outputs`, one block for each feature. All numbers are double. */

#include <stdlib.h>

#define WIDE 4      /* doubles in a vector of 256 bits */
#define PENDING 8   /* moves of which the slope learns at once */
#define LOOKS_BACK 5 /* sweeps that say where they lead */
#define SINGULAR 1e-12 /* of their moves' squares, that holds apart those that are alike */
#define TALL 16     /* rows of a factor at once: those above them are read as often */
#define SLIDES 4    /* rounds of them before a Newton step */
#define TOGETHER 16 /* of l2's bends in one pivot */
#define NEARLY 1e-2 /* of a curvature, what l2 may explain of it */

#ifdef __AVX__ /* keep a vector in a register: reading it again with each product takes longer */
#define KEEP(vector) __asm__("" : "+x"(vector))
#else
#define KEEP(vector)
#endif

typedef double doubles __attribute__((vector_size(8 * WIDE), aligned(8), may_alias));

/* Of mean loss + l1 Σ|w| + l2 Σ w² + group ‖w‖, for the weights of one feature. */
typedef struct {
    double l1, l2, group;
} Pull;

typedef struct {
    int64_t features, outputs;
    const double *curvature; /* (size, size), size = features x outputs: symmetric */
    const Pull *pulls;       /* (features) */
    double *weights;         /* (size) */
    double *slope;           /* (size): the smooth part's gradient at the weights, without l2's */
    double noise;            /* of the curvature, relative to its diagonal */
} Quadratic;

/* Room to work in. */
typedef struct {
    double *past; /* (3, LOOKS_BACK, size): of the last sweeps the moves, the weights and slopes */
    int64_t *places; /* (size): of coordinates that are not zero */
    double *factor;  /* (size, size) */
    double *step, *bent, *kept; /* (size) */
} Scratch;

INLINE double dot(const double *a, const double *b, int64_t count) {
    doubles sums[2] = {{0}, {0}};
    int64_t i = 0;
    for (; i + 2 * WIDE <= count; i += 2 * WIDE) {
        sums[0] += *(const doubles *)(a + i) * *(const doubles *)(b + i);
        sums[1] += *(const doubles *)(a + i + WIDE) * *(const doubles *)(b + i + WIDE);
    }
    sums[0] += sums[1];
    double sum = (sums[0][0] + sums[0][1]) + (sums[0][2] + sums[0][3]);
    for (; i < count; i++) sum += a[i] * b[i];
    return sum;
}

INLINE void add_scaled(double *restrict to, double factor, const double *restrict from,
                       int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] += factor * from[i];
}

/* x, drawn to zero by the threshold; NaN stays. */
INLINE double shrunk(double x, double threshold) {
    return x > threshold ? x - threshold : x < -threshold ? x + threshold : x == x ? 0 : x;
}

/* NaN, where one is, is larger than any number. */
INLINE double larger(double a, double b) { return b > a || b != b ? b : a; }

INLINE double norm(const double *x, int64_t count) { return sqrt(dot(x, x, count)); }

INLINE double penalty(const Pull *pull, const double *weights, int64_t outputs) {
    double sum = 0;
    for (int64_t k = 0; k < outputs; k++)
        sum += pull->l1 * fabs(weights[k]) + pull->l2 * weights[k] * weights[k];
    return pull->group > 0 ? sum + pull->group * norm(weights, outputs) : sum;
}

/* The smallest subgradient of one feature's weights into `left` (outputs); the largest entry's size.
   slope: of the smooth part without l2's. */
INLINE double subgradient(const Pull *pull, const double *weights, const double *slope,
                          int64_t outputs, double *left) {
    double largest = 0, length = pull->group > 0 ? norm(weights, outputs) : 0;
    for (int64_t k = 0; k < outputs; k++) {
        double smooth = slope[k] + 2 * pull->l2 * weights[k];
        left[k] = weights[k] > 0   ? smooth + pull->l1
                  : weights[k] < 0 ? smooth - pull->l1
                                   : shrunk(smooth, pull->l1);
        if (length > 0) left[k] += pull->group * weights[k] / length;
    }
    if (pull->group > 0 && length == 0) {
        double size = norm(left, outputs);
        double factor = size > pull->group ? 1 - pull->group / size : 0;
        for (int64_t k = 0; k < outputs; k++) left[k] *= factor;
    }
    for (int64_t k = 0; k < outputs; k++) {
        largest = larger(largest, fabs(left[k]));
    }
    return largest;
}

static double largest_subgradient(const Quadratic *given, double *left) {
    double largest = 0;
    for (int64_t j = 0; j < given->features; j++) {
        int64_t at = j * given->outputs;
        double found = subgradient(given->pulls + j, given->weights + at, given->slope + at,
                                   given->outputs, left + at);
        largest = larger(largest, found);
    }
    return largest;
}

/* --- coordinate descent -------------------------------------------------------------------------- */

/* Moves of coordinates that the slope does not know yet. */
typedef struct {
    int64_t count;
    const double *rows[PENDING]; /* of the curvature */
    double by[PENDING];
} Moves;

INLINE double slope_at(const Quadratic *given, const Moves *moves, int64_t place) {
    double sum = given->slope[place];
    for (int64_t i = 0; i < moves->count; i++) sum += moves->by[i] * moves->rows[i][place];
    return sum;
}

/* Add up what the moves do to the slope, and forget them. */
static void settle(const Quadratic *given, Moves *moves) {
    int64_t size = given->features * given->outputs, c = 0;
    for (int64_t i = moves->count; i < PENDING; i++) {
        moves->rows[i] = given->curvature;
        moves->by[i] = 0;
    }
    const double *rows[PENDING];
    double by[PENDING], *slope = given->slope;
    memcpy(rows, moves->rows, sizeof rows); /* nothing that is written to may lie in them */
    memcpy(by, moves->by, sizeof by);
    for (; c + WIDE <= size; c += WIDE) {
        doubles sum = *(doubles *)(slope + c);
        UNROLL for (int i = 0; i < PENDING; i++) sum += by[i] * *(const doubles *)(rows[i] + c);
        *(doubles *)(slope + c) = sum;
    }
    for (; c < size; c++)
        UNROLL for (int i = 0; i < PENDING; i++) slope[c] += by[i] * rows[i][c];
    moves->count = 0;
}

INLINE void note(const Quadratic *given, Moves *moves, int64_t place, double by) {
    int64_t size = given->features * given->outputs;
    moves->rows[moves->count] = given->curvature + place * size;
    moves->by[moves->count++] = by;
    if (moves->count == PENDING) settle(given, moves);
}

INLINE void move(const Quadratic *given, Moves *moves, int64_t place, double to) {
    double by = to - given->weights[place];
    given->weights[place] = to;
    note(given, moves, place, by);
}

static void descend_alone(const Quadratic *given, Moves *moves, int64_t place, const Pull *pull) {
    int64_t size = given->features * given->outputs;
    double bend = given->curvature[place * size + place], before = given->weights[place];
    if (bend + 2 * pull->l2 <= 0) return; /* a constant column says nothing */
    double slope = slope_at(given, moves, place);
    double after = shrunk(bend * before - slope, pull->l1) / (bend + 2 * pull->l2);
    if (after != before) move(given, moves, place, after);
}

/* A block with a group's penalty: a proximal step under a bound of its curvature. */
static void descend_together(const Quadratic *given, Moves *moves, int64_t feature) {
    const Pull *pull = given->pulls + feature;
    int64_t outputs = given->outputs, first = feature * outputs, size = given->features * outputs;
    double bound = 0, after[outputs];
    for (int64_t k = 0; k < outputs; k++) { /* of the largest eigenvalue, by Gershgorin's circles */
        double sum = 0;
        for (int64_t l = 0; l < outputs; l++)
            sum += fabs(given->curvature[(first + k) * size + first + l]);
        bound = sum > bound ? sum : bound;
    }
    if (bound + 2 * pull->l2 <= 0) return;
    for (int64_t k = 0; k < outputs; k++)
        after[k] = shrunk(bound * given->weights[first + k] - slope_at(given, moves, first + k),
                          pull->l1);
    double length = norm(after, outputs);
    double factor = length > pull->group ? (1 - pull->group / length) / (bound + 2 * pull->l2) : 0;
    for (int64_t k = 0; k < outputs; k++)
        if (after[k] * factor != given->weights[first + k])
            move(given, moves, first + k, after[k] * factor);
}

static void sweep(const Quadratic *given) {
    Moves moves = {0};
    for (int64_t j = 0; j < given->features; j++) {
        if (given->pulls[j].group > 0 && given->outputs > 1) descend_together(given, &moves, j);
        else {
            Pull alone = given->pulls[j];
            alone.l1 += alone.group; /* a group of one */
            for (int64_t k = 0; k < given->outputs; k++)
                descend_alone(given, &moves, j * given->outputs + k, &alone);
        }
    }
    settle(given, &moves);
}

/* What the model gains from weights and their slope to its own. */
static double gained(const Quadratic *given, const double *weights, const double *slope) {
    int64_t outputs = given->outputs;
    double sum = 0;
    for (int64_t j = 0; j < given->features; j++) {
        int64_t at = j * outputs;
        for (int64_t c = at; c < at + outputs; c++)
            sum += (given->weights[c] - weights[c]) * (given->slope[c] + slope[c]) / 2;
        sum += penalty(given->pulls + j, given->weights + at, outputs) -
               penalty(given->pulls + j, weights + at, outputs);
    }
    return sum;
}

/* Shares, which add up to one, of the last sweeps, with which their moves (count, size) cancel best; 0
   where there are none. */
static int best_mix(const double *moves, int count, int64_t size, double *shares) {
    double system[LOOKS_BACK][LOOKS_BACK], sum = 0, trace = 0;
    for (int i = 0; i < count; i++) {
        for (int j = 0; j <= i; j++)
            system[i][j] = system[j][i] = dot(moves + i * size, moves + j * size, size);
        shares[i] = 1;
        trace += system[i][i];
    }
    for (int i = 0; i < count; i++) system[i][i] += SINGULAR * trace;
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++) {
            double factor = system[j][i] / system[i][i];
            for (int k = i; k < count; k++) system[j][k] -= factor * system[i][k];
            shares[j] -= factor * shares[i];
        }
    for (int i = count - 1; i >= 0; i--) {
        for (int j = i + 1; j < count; j++) shares[i] -= system[i][j] * shares[j];
        shares[i] /= system[i][i];
        sum += shares[i];
    }
    for (int i = 0; i < count; i++) shares[i] /= sum;
    return isfinite(sum) && sum != 0;
}

/* Sweep, and go on from there to where the last sweeps tend, if that lowers the model: Anderson's
   extrapolation (Bertrand & Massias 2021). The slope there is a mix of theirs. */
static void accelerate(const Quadratic *given, const Scratch *room, int64_t *swept) {
    int64_t size = given->features * given->outputs, place = (*swept)++ % LOOKS_BACK * size;
    int count = *swept < LOOKS_BACK ? (int)*swept : LOOKS_BACK;
    double *moves = room->past, *ends = moves + LOOKS_BACK * size, *slopes = ends + LOOKS_BACK * size;
    double shares[LOOKS_BACK];
    for (int64_t c = 0; c < size; c++) moves[place + c] = -given->weights[c];
    sweep(given);
    add_scaled(moves + place, 1, given->weights, size);
    memcpy(ends + place, given->weights, size * sizeof *ends);
    memcpy(slopes + place, given->slope, size * sizeof *slopes);
    if (count > 1 && best_mix(moves, count, size, shares)) {
        memset(given->weights, 0, size * sizeof *ends);
        memset(given->slope, 0, size * sizeof *slopes);
        for (int i = 0; i < count; i++) {
            add_scaled(given->weights, shares[i], ends + i * size, size);
            add_scaled(given->slope, shares[i], slopes + i * size, size);
        }
        if (gained(given, ends + place, slopes + place) < 0) return;
        memcpy(given->weights, ends + place, size * sizeof *ends);
        memcpy(given->slope, slopes + place, size * sizeof *slopes);
        *swept = 0;
    }
}

/* --- Newton steps on what is not zero ------------------------------------------------------------ */

/* sums (4, 4) of the products of four rows with four others, over their first columns; a quarter of
   the loads that one by one would take. */
INLINE void four_by_four(const double *own, const double *other, int64_t size, int64_t count,
                         double sums[4][4]) {
    for (int half = 0; half < 4; half += 2) { /* all sums at once would not fit into the registers */
        doubles parts[4][2];
        UNROLL for (int r = 0; r < 4; r++) parts[r][0] = parts[r][1] = (doubles){0};
        const double *b = other + half * size;
        for (int64_t i = 0; i < count; i += WIDE) {
            doubles left = *(const doubles *)(b + i), right = *(const doubles *)(b + size + i);
            KEEP(left);
            KEEP(right);
            UNROLL for (int r = 0; r < 4; r++) {
                doubles a = *(const doubles *)(own + r * size + i);
                parts[r][0] += a * left;
                parts[r][1] += a * right;
            }
        }
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 2; c++)
                sums[r][half + c] =
                    (parts[r][c][0] + parts[r][c][1]) + (parts[r][c][2] + parts[r][c][3]);
    }
}

/* Factor row i, of which the first columns before `from` are done; sums: products of these columns
   with those of the rows that follow. */
INLINE void factor_row(double *matrix, int64_t size, int64_t i, int64_t from, int64_t until,
                       const double *sums) {
    double *row = matrix + i * size;
    for (int64_t j = from; j < until; j++) {
        const double *other = matrix + j * size;
        double left = row[j] - sums[j - from];
        for (int64_t c = from; c < j; c++) left -= row[c] * other[c];
        row[j] = left / other[j];
    }
}

/* Factor a symmetric matrix (size, size) in place into its lower triangle. A coordinate that those
   before it determine, but for the noise and the slack, gets an infinite pivot: it is held where it
   is. */
static void factorise(double *matrix, int64_t size, double noise, double slack) {
    for (int64_t first = 0; first < size; first += TALL) {
        int64_t tall = size - first < TALL ? size - first : TALL;
        double sums[4][4];
        for (int64_t from = 0; from < first; from += 4)
            for (int64_t top = first; top < first + tall; top += 4) {
                int64_t high = first + tall - top < 4 ? first + tall - top : 4;
                if (high == 4) {
                    four_by_four(matrix + top * size, matrix + from * size, size, from, sums);
                } else
                    for (int64_t r = 0; r < high; r++)
                        for (int64_t c = 0; c < 4; c++)
                            sums[r][c] =
                                dot(matrix + (top + r) * size, matrix + (from + c) * size, from);
                for (int64_t r = 0; r < high; r++)
                    factor_row(matrix, size, top + r, from, from + 4, sums[r]);
            }
        for (int64_t i = first; i < first + tall; i++) {
            double *row = matrix + i * size;
            for (int64_t j = first; j < i; j++)
                row[j] = (row[j] - dot(row, matrix + j * size, j)) / matrix[j * size + j];
            double left = row[i] - dot(row, row, i);
            double most = NEARLY * row[i];
            double held = noise * row[i] + (slack < most ? slack : most);
            row[i] = left > held ? sqrt(left) : INFINITY;
        }
    }
}

static void solve_factored(const double *factor, int64_t size, double *x) {
    for (int64_t i = 0; i < size; i++)
        x[i] = (x[i] - dot(factor + i * size, x, i)) / factor[i * size + i];
    for (int64_t i = size - 1; i >= 0; i--) {
        x[i] /= factor[i * size + i];
        add_scaled(x, -x[i], factor + i * size, i);
    }
}

/* The curvature of a group's penalty between two weights of its feature. */
INLINE double group_bend(double group, const double *weights, int64_t outputs, int64_t k, int64_t l) {
    double length = norm(weights, outputs);
    if (group == 0 || length == 0) return 0;
    double along = weights[k] * weights[l] / (length * length);
    return group / length * ((k == l) - along);
}

/* Fill the factor with the curvature between free coordinates. */
static void free_curvature(const Quadratic *given, const Scratch *room, int64_t count) {
    int64_t outputs = given->outputs, size = given->features * outputs;
    for (int64_t i = 0; i < count; i++) {
        int64_t place = room->places[i], feature = place / outputs;
        const Pull *pull = given->pulls + feature;
        for (int64_t j = 0; j <= i; j++) {
            int64_t other = room->places[j];
            double bend = given->curvature[place * size + other];
            if (pull->group > 0 && other / outputs == feature)
                bend += group_bend(pull->group, given->weights + feature * outputs, outputs,
                                   place % outputs, other % outputs);
            room->factor[i * count + j] = bend;
        }
        room->factor[i * count + i] += 2 * pull->l2;
    }
}

/* Weights that a step has carried across zero stay there; so do whole groups that it has turned. */
static void hold_at_zero(const Quadratic *given, const double *kept) {
    int64_t outputs = given->outputs;
    for (int64_t j = 0; j < given->features; j++) {
        const double *before = kept + j * outputs;
        double *after = given->weights + j * outputs;
        if (given->pulls[j].l1 > 0)
            for (int64_t k = 0; k < outputs; k++)
                if (before[k] * after[k] < 0) after[k] = 0;
        if (given->pulls[j].group > 0 && dot(before, after, outputs) < 0)
            memset(after, 0, outputs * sizeof *after);
    }
}

static double penalties(const Quadratic *given, const double *weights) {
    double sum = 0;
    for (int64_t j = 0; j < given->features; j++)
        sum += penalty(given->pulls + j, weights + j * given->outputs, given->outputs);
    return sum;
}

/* List the coordinates that a Newton step may move; their number. */
static int64_t free_coordinates(const Quadratic *given, int64_t *places) {
    int64_t outputs = given->outputs, size = given->features * outputs, count = 0;
    for (int64_t c = 0; c < size; c++) {
        const Pull *pull = given->pulls + c / outputs;
        if (given->weights[c] != 0 || (pull->l1 == 0 && pull->group == 0)) places[count++] = c;
    }
    return count;
}

/* What the objective gains at first along a direction (count) of the free coordinates; NaN for
   groups, whose norm bends. */
static double gain(const Quadratic *given, const Scratch *room, const double *along, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t place = room->places[i];
        const Pull *pull = given->pulls + place / given->outputs;
        double weight = given->weights[place], l1 = pull->l1;
        if (pull->group > 0 && given->outputs > 1) return NAN;
        if (given->outputs == 1) l1 += pull->group;
        sum += (given->slope[place] + 2 * pull->l2 * weight) * along[i];
        sum += weight == 0 ? l1 * fabs(along[i]) : weight > 0 ? l1 * along[i] : -l1 * along[i];
    }
    return sum;
}

/* Move a held coordinate together with those that determine it, downhill until one of them comes to
   zero: the model hardly bends there. 1 if they moved. */
static int slide(const Quadratic *given, const Scratch *room, int64_t held, int64_t count) {
    int64_t size = given->features * given->outputs, first = -1;
    double *along = room->step;
    memset(along, 0, count * sizeof *along);
    for (int64_t j = 0; j < held; j++) along[j] = -room->factor[held * count + j];
    for (int64_t j = held - 1; j >= 0; j--) {
        along[j] /= room->factor[j * count + j];
        add_scaled(along, -along[j], room->factor + j * count, j);
    }
    along[held] = 1;
    for (int64_t j = 0; j < held; j++)
        if (fabs(along[j]) < given->noise) along[j] = 0;
    for (int64_t j = 0; j < held; j++) { /* what has come to zero since then stays there */
        int64_t place = room->places[j];
        const Pull *pull = given->pulls + place / given->outputs;
        if (along[j] != 0 && given->weights[place] == 0 && (pull->l1 > 0 || pull->group > 0)) return 0;
    }
    double slope = gain(given, room, along, count);
    if (!(slope < 0)) {
        for (int64_t j = 0; j <= held; j++) along[j] = -along[j];
        slope = gain(given, room, along, count);
    }
    if (!(slope < 0)) return 0;
    memset(room->bent, 0, size * sizeof *room->bent);
    double bend = 0, length = INFINITY;
    for (int64_t j = 0; j <= held; j++)
        add_scaled(room->bent, along[j], given->curvature + room->places[j] * size, size);
    for (int64_t j = 0; j <= held; j++) {
        const Pull *pull = given->pulls + room->places[j] / given->outputs;
        bend += along[j] * (room->bent[room->places[j]] + 2 * pull->l2 * along[j]);
    }
    if (bend > 0) length = -slope / bend;
    for (int64_t j = 0; j <= held; j++) {
        double weight = given->weights[room->places[j]];
        if (weight * along[j] < 0 && -weight / along[j] < length) {
            length = -weight / along[j];
            first = j;
        }
    }
    if (first < 0) return 0; /* what bends the model is rounding */
    for (int64_t j = 0; j <= held; j++) given->weights[room->places[j]] += length * along[j];
    given->weights[room->places[first]] = 0;
    add_scaled(given->slope, length, room->bent, size);
    return 1;
}

/* How often features may slide to where some are zero: once where no penalty holds them there. */
static int rounds_of_slides(const Quadratic *given) {
    for (int64_t j = 0; j < given->features; j++)
        if (given->pulls[j].l1 + given->pulls[j].group > 0) return SLIDES;
    return 1;
}

/* Below which a pivot is put down to l2: where weights determine each other, some levels of categories
   times classes at once, only l2 bends the model. 0 where that is enough for a Newton step. */
static double bend_of_l2(const Quadratic *given) {
    double most = 0;
    for (int64_t j = 0; j < given->features; j++) {
        const Pull *pull = given->pulls + j;
        if (pull->l2 < pull->l1 && pull->l2 > most) most = pull->l2;
    }
    return TOGETHER * most;
}

/* Factor the curvature between the free coordinates, once those that the others all but determine
   have gone to where some are zero; the number of the free ones. */
static int64_t factor_free(const Quadratic *given, const Scratch *room) {
    double slack = bend_of_l2(given);
    int most = rounds_of_slides(given);
    for (int turn = 0;; turn++) {
        int64_t count = free_coordinates(given, room->places);
        free_curvature(given, room, count);
        factorise(room->factor, count, given->noise, turn < most ? slack : 0);
        if (turn == most) return count;
        int held = 0, moved = 0;
        for (int64_t i = 0; i < count; i++) {
            if (room->factor[i * count + i] != INFINITY) continue;
            moved |= slide(given, room, i, count);
            held = 1;
        }
        if (!moved && (!held || slack == 0)) return count;
        if (!moved) turn = most - 1; /* what l2 bends is for the Newton step */
    }
}

/* Go this part of the step (count) of the free coordinates from the weights that were kept; 1 if that
   lowers the model. Otherwise all stays. */
static int go(const Quadratic *given, const Scratch *room, double length, int64_t count) {
    int64_t size = given->features * given->outputs;
    for (int64_t i = 0; i < count; i++)
        given->weights[room->places[i]] = room->kept[room->places[i]] + length * room->step[i];
    hold_at_zero(given, room->kept);
    memset(room->bent, 0, size * sizeof *room->bent);
    double gained = penalties(given, given->weights) - penalties(given, room->kept);
    for (int64_t i = 0; i < count; i++) {
        double by = given->weights[room->places[i]] - room->kept[room->places[i]];
        add_scaled(room->bent, by, given->curvature + room->places[i] * size, size);
    }
    for (int64_t c = 0; c < size; c++)
        gained += (given->weights[c] - room->kept[c]) * (given->slope[c] + room->bent[c] / 2);
    if (gained < 0) add_scaled(given->slope, 1, room->bent, size);
    else memcpy(given->weights, room->kept, size * sizeof *room->kept);
    return gained < 0;
}

/* The part of the step after which l1 or a group's penalty holds the first weight at zero, and a little
   more; 1 where there is none. */
static double first_zero(const Quadratic *given, const Scratch *room, int64_t count) {
    double length = 1;
    for (int64_t i = 0; i < count; i++) {
        const Pull *pull = given->pulls + room->places[i] / given->outputs;
        double reached = -given->weights[room->places[i]] / room->step[i];
        if (pull->l1 + pull->group > 0 && reached > 0 && reached < length) length = reached;
    }
    return length * (1 + 1e-12);
}

/* Take a Newton step on the free coordinates, or a shorter one, if it lowers the model: that to the
   first zero does, as until there the model is all but quadratic. */
static void newton(const Quadratic *given, const Scratch *room, double *left) {
    int64_t size = given->features * given->outputs, count = factor_free(given, room);
    largest_subgradient(given, left);
    for (int64_t i = 0; i < count; i++) room->step[i] = -left[room->places[i]];
    solve_factored(room->factor, count, room->step);
    memcpy(room->kept, given->weights, size * sizeof *room->kept);
    for (double length = 1; length > 0.02; length /= 3)
        if (go(given, room, length, count)) return;
    double length = first_zero(given, room, count);
    if (length < 1) go(given, room, length, count);
}

/* Minimise until no entry of the smallest subgradient is above the tolerance; what is left of it.
   A Newton step is taken when as much has been spent on sweeps as it takes. */
static double minimise(const Quadratic *given, const Scratch *room, double tolerance, int64_t most) {
    int64_t size = given->features * given->outputs;
    double *left = room->step + size, spent = 0;
    int64_t swept = 0;
    double residual = largest_subgradient(given, left);
    for (int64_t round = 0; round < most && residual > tolerance; round++) {
        accelerate(given, room, &swept);
        residual = largest_subgradient(given, left);
        if (!(residual > tolerance)) break;
        double count = free_coordinates(given, room->places);
        spent += count * size;
        if (spent < count * count * count / 6) continue;
        spent = 0;
        swept = 0;
        newton(given, room, left);
        residual = largest_subgradient(given, left);
    }
    return residual;
}
