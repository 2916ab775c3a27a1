/* What the compiled kernel works on: a network, one conjunction of the query, and the settings of a search.
 *
 * Everything here is read only while the kernel runs, so any number of threads may share it.  Vectors over neurons join
 * the hidden layers in order; "map" k leads into hidden layer k, and map `depth` into the outputs.
 */
#ifndef SLIR_H
#define SLIR_H

#include <stdint.h>

#include "curve.h"

#define LANES 8 /* every row of a matrix is padded to a multiple of it: the numbers in the widest vector */

typedef struct {
    int rows, columns;
    int stride;             /* of a row of `dense` */
    const double *dense;    /* rows × stride, or NULL: then the three below hold the matrix by its non-zeros */
    const int32_t *start;   /* rows + 1 */
    const int32_t *column;
    const double *value;
    const double *bias;     /* rows */
    const double *charge;   /* rows: rounding charge per unit of each coefficient, see magnitude.py */
    const double *negative; /* rows: slope of each activation left of zero; NULL for the output map */
    const double *positive; /* rows: slope right of zero */
    const int32_t *curve;   /* rows: index of the activation among the net's curves, −1 for a hinge; NULL if all are */
} slir_map;

typedef struct {
    int inputs, depth, neurons, widest;
    const slir_map *maps;       /* depth + 1 */
    const int *first;           /* depth + 1: where each hidden layer begins in a vector over neurons */
    const slir_curve *const *curves;
    const double *input_charge; /* inputs */
    double offset_charge, underflow;
} slir_net;

/* Rows `coefficients·y + inputs·x + constants`: a counterexample makes every one of them ≤ 0 (< 0 where strict). */
typedef struct {
    int rows, outputs;
    const double *coefficients; /* rows × outputs */
    const double *inputs;       /* rows × inputs */
    const double *constants;    /* rows */
    const double *cost;         /* rows: what forming a combination can cost, per unit of weight */
    const uint8_t *strict;      /* rows */
    const double *least_width;  /* inputs: an input no wider is not split */
} slir_clause;

typedef struct {
    int ascent_steps;
    double first_step, decay; /* step t moves a hinge's slope by first_step·decay^t of its range, and weights likewise */
    double curve_step, curve_decay; /* the same for a curve's slopes, whose start is nearly as good as can be */
    double patience;          /* after two steps go on only if this many times the gain so far would be enough */
    int split_inputs;         /* may inputs be split? */
    int split_activations;    /* may activations be split? */
    int warm_start;           /* start from the parent's slopes and weights? */
    int interval_step;        /* intersect with plain interval arithmetic before going backward? */
    int use_half_space;       /* inherit the parent's refuting row? */
    int report_tight;         /* set regions aside that only rounding keeps open? */
    double tight_tolerance;   /* how much more than rounding may keep them open */
    int hand_crafted;         /* start from the usual tangents and chords, not from least area? */
    double least_interval;    /* a curve's interval is split only if it is wider than that many times its larger end (or one) */
    double margin;            /* by how many times its rounding charge a bound has to be past zero to close a region */
} slir_settings;

/* A region as the search stores it: `record_size` doubles, and one byte per neuron for the side it is on:
 * −1 below and +1 above the point it was split at; for a curve the points are the neuron's bounds, and 2 means both. */
typedef struct {
    int lower, upper;             /* offsets of the box */
    int neuron_lower, neuron_upper;
    int slope;                    /* slopes of the parent's best bound: every neuron's lower line, then the upper ones */
    int weight;                   /* the parent's weights of the rows */
    int normal, offset;           /* the half-space normal·x + offset ≤ 0 */
    int charge;                   /* what rounding was charged in it */
    int has_half_space, has_slope;
    int settled;                  /* layers whose bounds the last split did not touch */
    int depth;
    int volume;                   /* share of the root */
    int bound;                    /* the parent's bound */
    int node;                     /* the region's number in a proof, below 2^53 */
    int size;
} slir_layout;

enum { /* how a region ended */
    SLIR_OPEN = 0,
    SLIR_CLOSED_BOUND,     /* by the bound of its rows */
    SLIR_CLOSED_INHERITED, /* by its parent's half-space alone */
    SLIR_CLOSED_EMPTY,     /* no point has the sides or bounds that it asks for */
    SLIR_LEAF,             /* nothing is left to split */
    SLIR_TIGHT,            /* open by no more than rounding: worth a look in exact arithmetic */
    SLIR_STOPPED,          /* the clock or the caller stopped the work on it */
    SLIR_ENDS
};

typedef struct {
    int64_t regions, ended[SLIR_ENDS], input_splits, activation_splits, steps;
    double closed_volume;
    double max_depth;
} slir_counts;

typedef struct {
    double *records;   /* capacity × layout.size */
    int8_t *sides;     /* capacity × neurons */
    int64_t count, capacity;
} slir_stack;

/* What is to become a proof: entries in the format of the proof file, one after another. */
typedef struct {
    int on, index_bytes;   /* bytes of the number of a neuron, input or row */
    int failed;            /* for want of memory */
    uint8_t *bytes;
    size_t size, capacity;
    uint64_t next_node;    /* number of the next region that a split makes */
    const uint32_t *atoms; /* rows of the clause: numbers of the inequalities they are multiples of */
    const double *scales;  /* rows of the clause: how many times the inequality the row is */
} slir_log;

typedef struct slir_space slir_space; /* scratch memory of one thread */

typedef struct { /* one set of entry points per instruction set */
    const char *name;
    /* With a log to begin with, whose bytes are NULL, or with NULL: then nothing is logged. */
    slir_space *(*open)(const slir_net *, const slir_clause *, const slir_settings *, const slir_log *);
    void (*close)(slir_space *);
    /* The log, which the caller may empty by setting its size to zero, and whose next node it may set. */
    slir_log *(*log)(slir_space *);
    /* Bounds one region; updates its neuron bounds in place.  Returns how it ended.  Without `claim` the log does not say
     * that the bound of its rows closed it. */
    int (*analyse)(slir_space *, double *record, int8_t *sides, int claim, double deadline, const volatile int *cancel,
                   double *value, double *row, double *minimiser, double *slopes, double *weights);
    /* Explores depth first until the stack is empty, `budget` regions are bounded, the clock passes `deadline`, `*cancel`
     * is set, a candidate is found, or memory runs out.  Returns the number of candidates (0 or 1), or −1. */
    int (*explore)(slir_space *, slir_stack *open, slir_stack *leaves, int64_t budget, double deadline,
                   const volatile int *cancel, double *candidate, slir_counts *);
    /* Looks for a witness around `x`, which it moves; see explore.h. */
    int (*descend)(slir_space *, const double *root, double *x, double radius, int steps, double deadline,
                   const volatile int *cancel, double *margin);
    /* Plain forward evaluation at a point; `outputs` as many as the network has.  Not a bound. */
    void (*evaluate)(slir_space *, const double *x, double *outputs);
    /* Tightens the bounds of a region's dearest neurons; see sharpen.h.  Returns how it ended, −1 without memory. */
    int (*sharpen)(slir_space *, double *record, const int8_t *sides, int most, int steps, double deadline,
                   const volatile int *cancel);
} slir_kernel;

slir_layout slir_layout_of(const slir_net *net, const slir_clause *clause);
const slir_kernel *slir_best_kernel(void);
const slir_kernel *slir_kernel_named(const char *name);

#endif
