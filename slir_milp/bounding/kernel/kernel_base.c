/* For every processor of the architecture, and the choice among the variants. */
#include "includes.h"

#define SLIR_NAME base
#define VECTOR_BYTES 16
#include "body.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
extern const slir_kernel slir_kernel_avx2;
#define HAVE_VARIANTS 1
#else
#define HAVE_VARIANTS 0
#endif

const slir_kernel *slir_kernel_named(const char *name) {
#if HAVE_VARIANTS
    __builtin_cpu_init();
    if (!strcmp(name, "avx2"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &slir_kernel_avx2 : NULL;
#endif
    return strcmp(name, "base") ? NULL : &slir_kernel_base;
}

const slir_kernel *slir_best_kernel(void) {
    const slir_kernel *kernel = slir_kernel_named("avx2");
    return kernel ? kernel : &slir_kernel_base;
}

slir_layout slir_layout_of(const slir_net *net, const slir_clause *clause) {
    slir_layout at;
    int next = 0;
    at.lower = next, next += net->inputs;
    at.upper = next, next += net->inputs;
    at.neuron_lower = next, next += net->neurons;
    at.neuron_upper = next, next += net->neurons;
    at.slope = next, next += 2 * net->neurons;
    at.weight = next, next += clause->rows;
    at.normal = next, next += net->inputs;
    at.offset = next++;
    at.charge = next++;
    at.has_half_space = next++;
    at.has_slope = next++;
    at.settled = next++;
    at.depth = next++;
    at.volume = next++;
    at.bound = next++;
    at.node = next++;
    at.size = next;
    return at;
}
