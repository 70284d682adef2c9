/* What all kernels share. Each is compiled once for REAL = float and once for REAL = double
   (library.py). Every model is treated by itself, in one order of operations, so that no model's
   bits depend on its company. Not compiled with -ffast-math: NaN and infinity must show. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef SINGLE
#define REAL float
#define INTEGER int32_t
#define SQRT sqrtf
#else
#define REAL double
#define INTEGER int64_t
#define SQRT sqrt
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
