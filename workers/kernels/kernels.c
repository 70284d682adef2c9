/* What a training step does between its matrix products, in one pass over memory each.

   Compiled once for REAL = float and once for REAL = double (workers/kernels/library.py). The same
   maths in torch operations, which tests compare this with, is in workers/optimizers.py and
   workers/losses.py. Every row, model and batch is treated by itself, in one order, so that no
   model's bits depend on its company. Not compiled with -ffast-math: NaN and infinity must show. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 32 /* rows of a batch come in multiples of it (ROW_ALIGNMENT in workers/batches.py) */

#ifdef SINGLE
#define REAL float
#define SQRT sqrtf
#else
#define REAL double
#define SQRT sqrt
#endif

static inline REAL sign(REAL x) { return (REAL)((x > 0) - (x < 0)); }

static inline REAL clamped(REAL x, REAL limit) { return x > limit ? limit : x < -limit ? -limit : x; }

/* --- optimisers ---------------------------------------------------------------------------------
   One step of rows (m, columns) of weights, gradient and state, in place. Columns are a multiple of
   16, the penalised ones first. coefficients (K, m): ridge, sign, threshold, group and the
   optimiser's own, as in workers/optimizers.py. For group lasso, whose step comes after, metric
   (m, columns) and the group thresholds (m) are kept where metric is not NULL. */

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

static inline __attribute__((always_inline)) void adam_columns(
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

/* --- activations ------------------------------------------------------------------------------- */

/* The sum of numbers, BLOCK partial ones side by side. */
static REAL total_of(const REAL *numbers, int64_t count) {
    REAL partial[BLOCK] = {0}, total = 0;
    for (int64_t block = 0; block < count; block += BLOCK)
        for (int b = 0; b < BLOCK; b++) partial[b] += numbers[block + b];
    for (int b = 0; b < BLOCK; b++) total += partial[b];
    return total;
}

/* max(x + bias, 0) of x (models, units, batch); bias (models, units), `stride` numbers from one model
   to the next. A NaN stays one. */
void bias_relu(int64_t models, int64_t units, int64_t batch, REAL *restrict x,
               const REAL *restrict bias, int64_t stride) {
    for (int64_t model = 0; model < models; model++)
        for (int64_t unit = 0; unit < units; unit++) {
            REAL *row = x + (model * units + unit) * batch, shift = bias[model * stride + unit];
            for (int64_t b = 0; b < batch; b++) {
                REAL sum = row[b] + shift;
                row[b] = sum <= 0 ? 0 : sum;
            }
        }
}

/* gradient (models, units, batch) where the activation was above zero, else 0; and its sums over
   the batch (models, units), `stride` numbers from one model to the next. */
void relu_backward(int64_t models, int64_t units, int64_t batch, REAL *restrict gradient,
                   const REAL *restrict activation, REAL *restrict sums, int64_t stride) {
    for (int64_t model = 0; model < models; model++)
        for (int64_t unit = 0; unit < units; unit++) {
            REAL *row = gradient + (model * units + unit) * batch;
            const REAL *above = activation + (model * units + unit) * batch;
            for (int64_t b = 0; b < batch; b++) row[b] = above[b] <= 0 ? 0 : row[b];
            sums[model * stride + unit] = total_of(row, batch);
        }
}

/* --- losses, in single precision -----------------------------------------------------------------
   In double libm's exp leaves nothing to gain over torch operations. */

#ifdef SINGLE

/* exp and log by polynomials that vectorise, within 2 units in the last place where a softmax needs
   them; coefficients of the Cephes library (Moshier 1992). */

static inline float exponential(float x) { /* of x <= 0, or NaN */
    x = x < -87.3f ? -87.3f : x;
    float n = nearbyintf(x * 1.44269504f);
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static inline float logarithm(float x) { /* of a normal number x > 0, or NaN */
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t shifted = bits - 0x3f3504f3; /* of sqrt(1/2): the fraction lies in [sqrt(1/2), sqrt(2)) */
    float n = (float)(shifted >> 23);
    int32_t fraction_bits = (shifted & 0x007fffff) + 0x3f3504f3;
    float fraction;
    memcpy(&fraction, &fraction_bits, sizeof fraction);
    float r = fraction - 1.0f, z = r * r;
    float p = 7.0376836292e-2f;
    p = p * r - 1.1514610310e-1f;
    p = p * r + 1.1676998740e-1f;
    p = p * r - 1.2420140846e-1f;
    p = p * r + 1.4249322787e-1f;
    p = p * r - 1.6668057665e-1f;
    p = p * r + 2.0000714765e-1f;
    p = p * r - 2.4999993993e-1f;
    p = p * r + 3.3333331174e-1f;
    float found = r * z * p - 2.12194440e-4f * n - 0.5f * z + r + 0.693359375f * n;
    return x < INFINITY ? found : x; /* infinity and NaN as they are */
}

/* Weighted cross entropies (F, P) of logits (F, P, classes, B) + bias (F, P, classes), which become
   their gradient; its sums over B go to `sums` (F, P, classes). targets (F, B); weights (F, B): a
   row's in the loss; smoothing (P) or NULL. Strides: from one model's bias or sums to the next. */
void softmax(int64_t folds, int64_t members, int64_t classes, int64_t batch, float *logits,
             const float *biases, int64_t bias_stride, const int64_t *targets,
             const float *weights, const float *smoothing, float *losses, float *sums,
             int64_t sums_stride) {
    for (int64_t model = 0; model < folds * members; model++) {
        int64_t fold = model / members;
        const float *bias = biases + model * bias_stride;
        float share = smoothing ? smoothing[model % members] : 0, partial[BLOCK] = {0}, loss = 0;
        for (int64_t start = 0; start < batch; start += BLOCK) {
            float *x = logits + model * classes * batch + start;
            const int64_t *target = targets + fold * batch + start;
            const float *weight = weights + fold * batch + start;
            float top[BLOCK], aim[BLOCK], total[BLOCK] = {0}, mean[BLOCK] = {0};
            for (int b = 0; b < BLOCK; b++) top[b] = -INFINITY;
            for (int64_t c = 0; c < classes; c++)
                for (int b = 0; b < BLOCK; b++) {
                    float each = x[c * batch + b] + bias[c];
                    x[c * batch + b] = each;
                    top[b] = each > top[b] ? each : top[b];
                }
            for (int b = 0; b < BLOCK; b++) aim[b] = x[target[b] * batch + b] - top[b];
            for (int64_t c = 0; c < classes; c++)
                for (int b = 0; b < BLOCK; b++) {
                    float below = x[c * batch + b] - top[b], e = exponential(below);
                    mean[b] += below;
                    total[b] += e;
                    x[c * batch + b] = e;
                }
            float scale[BLOCK], even[BLOCK];
            for (int b = 0; b < BLOCK; b++) {
                aim[b] += share * (mean[b] / classes - aim[b]);
                partial[b] += (logarithm(total[b]) - aim[b]) * weight[b];
                scale[b] = weight[b] / total[b];
                even[b] = weight[b] * share / classes;
            }
            for (int64_t c = 0; c < classes; c++)
                for (int b = 0; b < BLOCK; b++)
                    x[c * batch + b] = x[c * batch + b] * scale[b] - even[b];
            for (int b = 0; b < BLOCK; b++) x[target[b] * batch + b] -= weight[b] * (1 - share);
        }
        for (int b = 0; b < BLOCK; b++) loss += partial[b];
        losses[model] = loss;
        for (int64_t c = 0; c < classes; c++)
            sums[model * sums_stride + c] = total_of(logits + (model * classes + c) * batch, batch);
    }
}

#endif
