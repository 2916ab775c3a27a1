/* The kernel for processors with AVX2. */
#include "includes.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,fma")
#pragma GCC diagnostic ignored "-Wpsabi"
#define SLIR_NAME avx2
#define VECTOR_BYTES 32
#include "body.h"
#else
typedef int slir_variant_not_built;
#endif
