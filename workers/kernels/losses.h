/* The loss of a panel's rows, and its gradient in place of the logits (outputs, BLOCK). Each function
   adds a row's loss times the row's weight to its place in losses (BLOCK). smoothing: share of a
   target that is spread over all classes. Tests compare them with the same maths in torch
   operations, workers/objectives/losses.py. */

#ifdef SINGLE

/* exp and log by polynomials that vectorise, within 2 units in the last place; coefficients of the
   Cephes library (Moshier 1992). */

INLINE float exponential(float x) { /* of x <= 0, or NaN; 0 where it would not be a normal number */
    float normal = x < -87.3f ? -87.3f : x;
    float n = nearbyintf(normal * 1.44269504f);
    n = n == n ? n : 0; /* p stays NaN */
    float r = normal - n * 0.693359375f + n * 2.12194440e-4f;
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
    return x < normal ? 0 : p * scale;
}

INLINE float logarithm(float x) { /* of a normal number x > 0, or NaN */
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

#else

INLINE double exponential(double x) { return exp(x); }
INLINE double logarithm(double x) { return log(x); }

#endif

static void squared_error(int64_t outputs, REAL *x, const REAL *targets, const REAL *weights,
                          REAL *losses) {
    for (int64_t o = 0; o < outputs; o++)
        for (int b = 0; b < BLOCK; b++) {
            REAL error = x[o * BLOCK + b] - targets[b];
            losses[b] += weights[b] * error * error;
            x[o * BLOCK + b] = 2 * weights[b] * error;
        }
}

/* e² up to |e| = delta, 2 delta |e| - delta² beyond. */
static void huber(REAL *x, const REAL *targets, const REAL *weights, REAL delta, REAL *losses) {
    for (int b = 0; b < BLOCK; b++) {
        REAL error = x[b] - targets[b];
        REAL within = error > delta ? delta : error < -delta ? -delta : error;
        losses[b] += weights[b] * within * (2 * error - within);
        x[b] = 2 * weights[b] * within;
    }
}

/* (1 - level) e above 0, -level e below, e = x - target; a slope of 0 where there is none. */
static void pinball(REAL *x, const REAL *targets, const REAL *weights, REAL level, REAL *losses) {
    for (int b = 0; b < BLOCK; b++) {
        REAL error = x[b] - targets[b];
        REAL slope = error > 0 ? 1 - level : error < 0 ? -level : 0;
        losses[b] += weights[b] * slope * error;
        x[b] = weights[b] * slope;
    }
}

/* Of a Poisson distribution whose expectation is exp(x), but for what depends on the target alone. */
static void poisson(REAL *x, const REAL *targets, const REAL *weights, REAL *losses) {
    for (int b = 0; b < BLOCK; b++) {
        REAL e = exponential(x[b] > 0 ? -x[b] : x[b]), expected = x[b] > 0 ? 1 / e : e;
        losses[b] += weights[b] * (expected - targets[b] * x[b]);
        x[b] = weights[b] * (expected - targets[b]);
    }
}

/* One logit of two classes; targets 0 or 1. */
static void binary_cross_entropy(REAL *x, const REAL *targets, const REAL *weights, REAL smoothing,
                                 REAL *losses) {
    for (int b = 0; b < BLOCK; b++) {
        REAL target = targets[b] + smoothing * ((REAL)0.5 - targets[b]);
        REAL e = exponential(x[b] > 0 ? -x[b] : x[b]), likelier = 1 / (1 + e);
        REAL above = x[b] <= 0 ? 0 : x[b];
        /* log(1 + e) loses the digits of a small e: it is the loss alone, which nobody reports. */
        losses[b] += weights[b] * (logarithm(1 + e) + above - x[b] * target);
        x[b] = weights[b] * ((x[b] > 0 ? likelier : e * likelier) - target);
    }
}

static void cross_entropy(int64_t classes, REAL *x, const int64_t *targets, const REAL *weights,
                          REAL smoothing, REAL *losses) {
    REAL top[BLOCK], aim[BLOCK], total[BLOCK] = {0}, mean[BLOCK] = {0};
    for (int b = 0; b < BLOCK; b++) top[b] = -INFINITY;
    for (int64_t c = 0; c < classes; c++)
        for (int b = 0; b < BLOCK; b++) {
            REAL each = x[c * BLOCK + b];
            top[b] = each > top[b] ? each : top[b];
        }
    for (int b = 0; b < BLOCK; b++) aim[b] = x[targets[b] * BLOCK + b] - top[b];
    for (int64_t c = 0; c < classes; c++)
        for (int b = 0; b < BLOCK; b++) {
            REAL below = x[c * BLOCK + b] - top[b], e = exponential(below);
            mean[b] += below;
            total[b] += e;
            x[c * BLOCK + b] = e;
        }
    REAL scale[BLOCK], even[BLOCK];
    for (int b = 0; b < BLOCK; b++) {
        aim[b] += smoothing > 0 ? smoothing * (mean[b] / classes - aim[b]) : 0;
        losses[b] += (logarithm(total[b]) - aim[b]) * weights[b];
        scale[b] = weights[b] / total[b];
        even[b] = weights[b] * smoothing / classes;
    }
    for (int64_t c = 0; c < classes; c++)
        for (int b = 0; b < BLOCK; b++)
            x[c * BLOCK + b] = x[c * BLOCK + b] * scale[b] - even[b];
    for (int b = 0; b < BLOCK; b++) x[targets[b] * BLOCK + b] -= weights[b] * (1 - smoothing);
}
