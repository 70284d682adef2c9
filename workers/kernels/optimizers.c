/* An optimiser's step with its proximal step, in one pass over memory. Tests compare it with the same
   maths in torch operations, workers/optimizers.

   A step changes many models in place, one after the other: rows of weights, gradient and state.
   Columns are a multiple of 16, and the penalised ones come first. Group lasso's step comes after
   this one; it needs the metric and the groups' thresholds. */

#include "real.h"

/* What all steps of a job have in common. */
typedef struct {
    int64_t penalised;   /* columns that are */
    double clip_norm;    /* longest gradient; infinity: no clipping */
    double beta1, beta2; /* of Adam: how slowly mean and square follow the gradient */
    int32_t l1;          /* 1: soft-threshold the penalised columns */
    int32_t decoupled;   /* 1: weight decay as AdamW has it */
    const REAL *factors; /* (penalised): of each column's penalty; NULL: all are one */
} Optimizer;

/* One step. Matrices are (rows, columns), a model a row. */
typedef struct {
    int64_t rows, columns;
    REAL *weights, *gradient;
    REAL *mean, *square;      /* state of Adam: of the gradient and of its square */
    REAL *previous;           /* state of SGD: the weights before the last step */
    const REAL *coefficients; /* (count, rows), in the order of Common and what follows it */
    int64_t stride;           /* from one coefficient of a model to its next */
    REAL *metric;             /* of Adam, where group lasso needs it; else NULL */
    REAL *groups;             /* (rows): thresholds of group lasso; else NULL */
} Step;

/* --- one model's coefficients, as workers/optimizers lays them out ------------------------------- */

typedef struct {
    REAL ridge;     /* pulls penalised weights to zero in proportion to their size */
    REAL pull;      /* pulls them to zero by the same amount whatever their size */
    REAL threshold; /* of the l1 norm */
    REAL group;     /* threshold of the groups' norms */
} Common;

typedef struct {
    REAL slope, offset; /* the metric is slope * sqrt(square) + offset */
    REAL decay;         /* decoupled: the weights' factor; else their factor in the gradient */
} AdamRates;

typedef struct {
    REAL rate, momentum, decay;
} SgdRates;

INLINE REAL coefficient(const Step *step, int64_t model, int place) {
    return step->coefficients[place * step->stride + model];
}

INLINE Common common_of(const Step *step, int64_t model) {
    return (Common){
        .ridge = coefficient(step, model, 0),
        .pull = coefficient(step, model, 1),
        .threshold = coefficient(step, model, 2),
        .group = coefficient(step, model, 3),
    };
}

INLINE AdamRates adam_rates_of(const Step *step, int64_t model) {
    return (AdamRates){
        .slope = coefficient(step, model, 4),
        .offset = coefficient(step, model, 5),
        .decay = coefficient(step, model, 6),
    };
}

INLINE SgdRates sgd_rates_of(const Step *step, int64_t model) {
    return (SgdRates){
        .rate = coefficient(step, model, 4),
        .momentum = coefficient(step, model, 5),
        .decay = coefficient(step, model, 6),
    };
}

/* --- one model ----------------------------------------------------------------------------------- */

static inline REAL sign(REAL x) { return (REAL)((x > 0) - (x < 0)); }

static inline REAL clamped(REAL x, REAL limit) { return x > limit ? limit : x < -limit ? -limit : x; }

/* Adds the l2 penalty's slope and the l1 penalty's subgradient to a model's gradient. */
static void add_penalties(const Optimizer *optimizer, Common own, const REAL *weights,
                          REAL *gradient) {
    const REAL *factors = optimizer->factors;
    int64_t penalised = optimizer->penalised;
    if (own.ridge != 0 && factors)
        for (int64_t j = 0; j < penalised; j++) gradient[j] += own.ridge * factors[j] * weights[j];
    else if (own.ridge != 0)
        for (int64_t j = 0; j < penalised; j++) gradient[j] += own.ridge * weights[j];
    if (own.pull != 0 && factors)
        for (int64_t j = 0; j < penalised; j++)
            gradient[j] += own.pull * factors[j] * sign(weights[j]);
    else if (own.pull != 0)
        for (int64_t j = 0; j < penalised; j++) gradient[j] += own.pull * sign(weights[j]);
}

/* Completes a model's gradient. Returns the factor that clipping shortens it by. */
static REAL complete(const Optimizer *optimizer, int64_t columns, Common own, const REAL *weights,
                     REAL *gradient) {
    add_penalties(optimizer, own, weights, gradient);
    if (isinf(optimizer->clip_norm)) return 1;
    REAL squares[16] = {0}, total = 0;
    for (int64_t j = 0; j < columns; j += 16)
        for (int k = 0; k < 16; k++) squares[k] += gradient[j + k] * gradient[j + k];
    for (int k = 0; k < 16; k++) total += squares[k];
    REAL factor = (REAL)optimizer->clip_norm / (REAL)sqrt(total);
    return factor > 1 ? 1 : factor;
}

/* One model in Adam's step. */
typedef struct {
    REAL *weights, *gradient, *mean, *square, *metric;
    REAL factor, threshold; /* of the gradient by clipping; of the l1 norm, shortened alike */
    const REAL *factors;    /* of the threshold, where columns have their own */
    REAL to_mean, to_square, keep_square; /* 1 - beta1, 1 - beta2, beta2 */
    AdamRates rates;
} AdamModel;

enum { NO_L1, ONE_THRESHOLD, OWN_THRESHOLDS };

/* Columns from `first` to before `last`; the flags are constants where this is inlined. */
INLINE void adam_columns(const AdamModel *model, int64_t first, int64_t last, int l1,
                         int decoupled, int with_metric) {
    REAL *restrict weights = model->weights, *restrict mean = model->mean;
    REAL *restrict square = model->square, *restrict metric = model->metric;
    const REAL *restrict gradient = model->gradient, *restrict factors = model->factors;
    const REAL factor = model->factor, threshold = model->threshold;
    const REAL to_mean = model->to_mean, to_square = model->to_square;
    const REAL keep_square = model->keep_square;
    const REAL slope = model->rates.slope, offset = model->rates.offset;
    const REAL decay = model->rates.decay;
    for (int64_t j = first; j < last; j++) {
        REAL weight = weights[j], pull = gradient[j] * factor;
        if (decoupled)
            weight *= decay;
        else
            pull += decay * weight;
        REAL m = mean[j] + to_mean * (pull - mean[j]);
        REAL v = keep_square * square[j] + to_square * pull * pull;
        REAL d = SQRT(v) * slope + offset, inverse = 1 / d;
        mean[j] = m;
        square[j] = v;
        weight -= m * inverse;
        if (l1 == ONE_THRESHOLD) weight -= clamped(weight, threshold * inverse);
        if (l1 == OWN_THRESHOLDS) weight -= clamped(weight, threshold * factors[j] * inverse);
        weights[j] = weight;
        if (with_metric) metric[j] = d;
    }
}

INLINE void adam_models(const Optimizer *optimizer, const Step *step, int decoupled,
                        int with_metric) {
    for (int64_t row = 0; row < step->rows; row++) {
        int64_t columns = step->columns, start = row * columns;
        Common own = common_of(step, row);
        AdamModel model = {
            .weights = step->weights + start,
            .gradient = step->gradient + start,
            .mean = step->mean + start,
            .square = step->square + start,
            .metric = with_metric ? step->metric + start : NULL,
            .factors = optimizer->factors,
            .to_mean = (REAL)(1 - optimizer->beta1),
            .to_square = (REAL)(1 - optimizer->beta2),
            .keep_square = (REAL)optimizer->beta2,
            .rates = adam_rates_of(step, row),
        };
        model.factor = complete(optimizer, columns, own, model.weights, model.gradient);
        model.threshold = own.threshold * model.factor;
        int64_t thresholded = optimizer->l1 && model.threshold > 0 ? optimizer->penalised : 0;
        if (model.factors)
            adam_columns(&model, 0, thresholded, OWN_THRESHOLDS, decoupled, with_metric);
        else
            adam_columns(&model, 0, thresholded, ONE_THRESHOLD, decoupled, with_metric);
        adam_columns(&model, thresholded, columns, NO_L1, decoupled, with_metric);
        if (with_metric) step->groups[row] = own.group * model.factor;
    }
}

/* --- all models ---------------------------------------------------------------------------------- */

void adam(const Optimizer *optimizer, const Step *step) {
    int with_metric = step->metric != NULL;
    if (optimizer->decoupled && with_metric)
        adam_models(optimizer, step, 1, 1);
    else if (optimizer->decoupled)
        adam_models(optimizer, step, 1, 0);
    else if (with_metric)
        adam_models(optimizer, step, 0, 1);
    else
        adam_models(optimizer, step, 0, 0);
}

/* The metric of SGD is 1: group lasso needs the thresholds alone. */
void sgd(const Optimizer *optimizer, const Step *step) {
    for (int64_t row = 0; row < step->rows; row++) {
        int64_t columns = step->columns, start = row * columns;
        Common own = common_of(step, row);
        SgdRates rates = sgd_rates_of(step, row);
        REAL *restrict weights = step->weights + start, *restrict gradient = step->gradient + start;
        REAL *restrict previous = step->previous + start;
        REAL factor = complete(optimizer, columns, own, weights, gradient);
        REAL threshold = own.threshold * factor;
        for (int64_t j = 0; j < columns; j++) {
            REAL weight = weights[j], slope = gradient[j] * factor + rates.decay * weight;
            weights[j] = weight + (rates.momentum * (weight - previous[j]) - rates.rate * slope);
            previous[j] = weight;
        }
        const REAL *factors = optimizer->factors;
        if (optimizer->l1 && threshold > 0 && factors)
            for (int64_t j = 0; j < optimizer->penalised; j++)
                weights[j] -= clamped(weights[j], threshold * factors[j]);
        else if (optimizer->l1 && threshold > 0)
            for (int64_t j = 0; j < optimizer->penalised; j++)
                weights[j] -= clamped(weights[j], threshold);
        if (step->groups) step->groups[row] = own.group * factor;
    }
}
