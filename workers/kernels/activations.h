/* Activations of numbers (count), in place, and their derivatives. ReLU is not among them: the product
   before it applies it, and its outputs show its derivative. */

enum { RELU, TANH, SILU, GELU };

INLINE REAL logistic(REAL x) {
    REAL e = exponential(x > 0 ? -x : x), likelier = 1 / (1 + e);
    return x > 0 ? likelier : e * likelier;
}

#ifdef SINGLE

/* Coefficients of the Cephes library (Moshier 1992) near zero, where 1 - e would lose digits. */

INLINE float hyperbolic_tangent(float x) {
    float size = fabsf(x), e = exponential(-2 * size), z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float near = p * z * x + x, far = copysignf((1 - e) / (1 + e), x);
    return size < 0.625f ? near : far;
}

/* Beyond 1 by Abramowitz and Stegun (1964), 7.1.26: to 1.5e-7. e is exp(-x²). */
INLINE float error_function(float x, float e) {
    float size = fabsf(x), z = x * x, t = 1 / (1 + 0.3275911f * size);
    float p = 7.853861353153693e-5f;
    p = p * z - 8.010193625184903e-4f;
    p = p * z + 5.188327685732524e-3f;
    p = p * z - 2.685381193529856e-2f;
    p = p * z + 1.128358514861418e-1f;
    p = p * z - 3.761262582423300e-1f;
    p = p * z + 1.128379165726710f;
    float q = 1.061405429f;
    q = q * t - 1.453152027f;
    q = q * t + 1.421413741f;
    q = q * t - 0.284496736f;
    q = q * t + 0.254829592f;
    float far = copysignf(1 - q * t * e, x);
    return size < 1 ? p * x : far;
}

#else

INLINE double hyperbolic_tangent(double x) { return tanh(x); }
INLINE double error_function(double x, double e) { return (void)e, erf(x); }

#endif

static void activate(int64_t activation, int64_t count, REAL *restrict x,
                     REAL *restrict derivative) {
    if (activation == TANH)
        for (int64_t i = 0; i < count; i++) {
            REAL y = hyperbolic_tangent(x[i]);
            x[i] = y;
            derivative[i] = 1 - y * y;
        }
    else if (activation == SILU)
        for (int64_t i = 0; i < count; i++) {
            REAL share = logistic(x[i]);
            derivative[i] = share * (1 + x[i] * (1 - share));
            x[i] *= share;
        }
    else if (activation == GELU)
        for (int64_t i = 0; i < count; i++) {
            const REAL root = (REAL)0.70710678118654752, density = (REAL)0.39894228040143268;
            REAL z = x[i] * root, e = exponential(-z * z);
            REAL share = (REAL)0.5 * (1 + error_function(z, e));
            derivative[i] = share + x[i] * density * e;
            x[i] *= share;
        }
}
