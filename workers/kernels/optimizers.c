/* An optimiser's step with its proximal step, in one pass over memory. The same maths in torch
   operations, which tests compare this with, is in workers/optimizers/optimizers.py.

   One step of rows (m, columns) of weights, gradient and state, in place. Columns are a multiple of
   16, the penalised ones first. coefficients (K, m): ridge, sign, threshold, group and the
   optimiser's own, as in workers/optimizers/optimizers.py. For group lasso, whose step comes after, metric
   (m, columns) and the group thresholds (m) are kept where metric is not NULL. */

#include "real.h"

static inline REAL sign(REAL x) { return (REAL)((x > 0) - (x < 0)); }

static inline REAL clamped(REAL x, REAL limit) { return x > limit ? limit : x < -limit ? -limit : x; }

typedef struct {
    int64_t rows, columns, penalised;
    int64_t stride; /* from one coefficient of a row to its next */
    double clip_norm; /* infinity: no clipping */
    int32_t l1, decoupled;
} Step;

static inline REAL coefficient(const Step *step, const REAL *coefficients, int k, int64_t row) {
    return coefficients[k * step->stride + row];
}

/* Adds the l2 and subgradient parts to a row's gradient; what clipping shortens it by. */
static REAL complete(const Step *step, const REAL *weights, REAL *gradient, REAL ridge, REAL pull) {
    if (ridge != 0)
        for (int64_t j = 0; j < step->penalised; j++) gradient[j] += ridge * weights[j];
    if (pull != 0)
        for (int64_t j = 0; j < step->penalised; j++) gradient[j] += pull * sign(weights[j]);
    if (isinf(step->clip_norm)) return 1;
    REAL squares[16] = {0}, total = 0;
    for (int64_t j = 0; j < step->columns; j += 16)
        for (int k = 0; k < 16; k++) squares[k] += gradient[j + k] * gradient[j + k];
    for (int k = 0; k < 16; k++) total += squares[k];
    REAL factor = (REAL)step->clip_norm / (REAL)sqrt(total);
    return factor > 1 ? 1 : factor;
}

INLINE void adam_columns(
    int64_t first, int64_t last, REAL *restrict weights, const REAL *restrict gradient,
    REAL *restrict mean, REAL *restrict square, REAL *restrict metric, REAL factor,
    REAL threshold, REAL slope, REAL offset, REAL decay, int l1, int decoupled) {
    const REAL to_mean = 1 - 0.9, to_square = 1 - 0.999, beta2 = 0.999;
    for (int64_t j = first; j < last; j++) {
        REAL weight = weights[j], slope_here = gradient[j] * factor;
        if (decoupled)
            weight *= decay;
        else
            slope_here += decay * weight;
        REAL m = mean[j] + to_mean * (slope_here - mean[j]);
        REAL v = beta2 * square[j] + to_square * slope_here * slope_here;
        REAL d = SQRT(v) * slope + offset, inverse = 1 / d;
        mean[j] = m;
        square[j] = v;
        weight -= m * inverse;
        weights[j] = l1 ? weight - clamped(weight, threshold * inverse) : weight;
        if (metric) metric[j] = d;
    }
}

void adam(const Step *step, REAL *weights, REAL *gradient, REAL *mean, REAL *square,
          const REAL *coefficients, REAL *metric, REAL *groups) {
    for (int64_t row = 0; row < step->rows; row++) {
        int64_t start = row * step->columns, columns = step->columns;
        REAL own[7];
        for (int k = 0; k < 7; k++) own[k] = coefficient(step, coefficients, k, row);
        REAL *w = weights + start, *g = gradient + start, *m = mean + start, *v = square + start;
        REAL factor = complete(step, w, g, own[0], own[1]), threshold = own[2] * factor;
        int64_t thresholded = step->l1 && threshold > 0 ? step->penalised : 0;
#define COLUMNS(first, last, metric, l1, decoupled)                                               \
    adam_columns(first, last, w, g, m, v, metric, factor, threshold, own[4], own[5], own[6], l1,  \
                 decoupled)
        if (metric) {
            REAL *d = metric + start;
            groups[row] = own[3] * factor;
            if (step->decoupled) {
                COLUMNS(0, thresholded, d, 1, 1);
                COLUMNS(thresholded, columns, d, 0, 1);
            } else {
                COLUMNS(0, thresholded, d, 1, 0);
                COLUMNS(thresholded, columns, d, 0, 0);
            }
        } else if (step->decoupled) {
            COLUMNS(0, thresholded, NULL, 1, 1);
            COLUMNS(thresholded, columns, NULL, 0, 1);
        } else {
            COLUMNS(0, thresholded, NULL, 1, 0);
            COLUMNS(thresholded, columns, NULL, 0, 0);
        }
#undef COLUMNS
    }
}

/* The metric of SGD is 1: group lasso needs the thresholds alone. */
void sgd(const Step *step, REAL *weights, REAL *gradient, REAL *previous,
         const REAL *coefficients, REAL *groups) {
    for (int64_t row = 0; row < step->rows; row++) {
        int64_t start = row * step->columns;
        REAL own[7];
        for (int k = 0; k < 7; k++) own[k] = coefficient(step, coefficients, k, row);
        REAL *restrict w = weights + start, *restrict g = gradient + start;
        REAL *restrict before = previous + start;
        REAL factor = complete(step, w, g, own[0], own[1]);
        REAL threshold = own[2] * factor, rate = own[4], momentum = own[5], decay = own[6];
        for (int64_t j = 0; j < step->columns; j++) {
            REAL weight = w[j], slope = g[j] * factor + decay * weight;
            w[j] = weight + (momentum * (weight - before[j]) - rate * slope);
            before[j] = weight;
        }
        if (step->l1 && threshold > 0)
            for (int64_t j = 0; j < step->penalised; j++) w[j] -= clamped(w[j], threshold);
        if (groups) groups[row] = own[3] * factor;
    }
}
