/* Scratch memory of one thread, laid out once for a network and a conjunction. */

/* One hidden layer, restricted to the neurons that are alive in the current region: those whose lines are not both zero. */
typedef struct {
    int alive, padded;
    int *index;                    /* alive neuron → neuron of the layer */
    double *lower_slope, *lower_offset, *upper_slope, *upper_offset; /* padded with zeros */
    double *charge, *bias;         /* padded with zeros */
    double *weight;                /* dense: alive × padded of the layer below (inputs for the first) */
    int stride;
    int *start, *column;           /* sparse: the same matrix by its non-zeros */
    double *value;
    double *height;                /* of each alive neuron's envelope: a hinge's at the kink, a curve's in the middle */
    double *range_low, *range_high; /* of each alive neuron's values */
    const slir_curve **curve;      /* NULL for a hinge */
    slir_interval *interval;       /* of a curve's arguments */
    double *lower_touch, *upper_touch; /* where a curve's lines touch it */
    double *trace;                 /* the last single row's coefficients before a line was chosen */
    double *argument;              /* pre-activations at the minimiser of the relaxed row, walked forward */
    double *result;                /* the lines' values there */
    double *multiplier;            /* μ: μ·(argument − end) ≤ 0 with the upper end where μ > 0, the lower where μ < 0 */
    double *multiplied;            /* −μ·end */
    int8_t *side;                  /* as in a region's sides */
    uint8_t *open;                 /* unstable in this region */
    uint8_t *convex;
} slir_level;

/* Neurons or rows with a number or two for each, collected for an entry of the log. */
typedef struct {
    int count;
    int *index;
    double *first, *second;
} slir_list;

struct slir_space {
    const slir_net *net;
    const slir_clause *clause;
    slir_settings settings;
    slir_log log;
    slir_layout layout;
    slir_level *levels;            /* depth */
    int inputs, padded_inputs, chunk, width;
    double *lower, *upper, *charge; /* the box, padded with zeros */
    double *half_width, *centre;
    int half_spaces;               /* conditions normal·x + offset ≤ 0: the clause's rows on inputs alone, the parent's row */
    int own_half_spaces;           /* how many of them are the clause's */
    double *normals, *offsets;     /* half-spaces × padded inputs */
    double *betas;                 /* their multipliers in the last minimum over the region */
    double *charges;               /* what rounding was charged in each of them */
    int *own_rows;                 /* which row of the clause each of its own half-spaces is */
    double *mixed, *before, *trial; /* a row with multiples of half-spaces added, without the last, with one more */
    double *rows_a, *rows_b;       /* chunk × width */
    double *constants, *errors, *masses, *values;
    int *unstable;
    double *share_all;             /* neurons × inputs, by neuron */
    double *interval_centre, *interval_radius;
    double *best_slopes;           /* 2 × neurons: lower lines, upper lines */
    double *best_multipliers;      /* neurons */
    double best_rounding;          /* what rounding was charged in the best bound */
    int crossed;                   /* the neuron that was left without a value last, by its index over all layers */
    int restricted;                /* levels restricted to the region that was bounded last */
    double *start_slopes;          /* as best_slopes: slopes that the region's neurons were bounded with; for the log, as
                                    * all that follows here */
    double *used_slopes;           /* neurons: slopes of the lines that a single row used */
    int8_t *used_sides;            /* neurons: 1 if that was the lower line, −1 the upper one, 0 none */
    int has_curves;                /* whether the net has any */
    slir_list shares, slopes, pairs;
    double *weights, *best_weights, *row_values, *scores;
    double *point, *best_point, *row, *best_row, *outputs, *forward_a, *forward_b;
    int *order;
    double deadline;               /* on the monotonic clock */
    const volatile int *cancel;    /* NULL: nobody can */
    double *breakpoints;
    int largest_row;               /* of the last point evaluated */
    double *true_values;           /* neurons: pre-activations at the last point evaluated */
    double *scratch;               /* a record */
    void **blocks;
    int block_count;
};

static void *take(slir_space *s, size_t count, size_t size) {
    void *p = NULL;
    if (s->block_count < 0) return NULL;
    if (posix_memalign(&p, 64, (count + LANES) * size + 64)) { s->block_count = -s->block_count - 1; return NULL; }
    memset(p, 0, (count + LANES) * size + 64);
    void **grown = realloc(s->blocks, (size_t)(s->block_count + 1) * sizeof(void *));
    if (!grown) { free(p); s->block_count = -s->block_count - 1; return NULL; }
    s->blocks = grown;
    s->blocks[s->block_count++] = p;
    return p;
}
#define DOUBLES(n) take(s, (size_t)(n), sizeof(double))
#define INTS(n) take(s, (size_t)(n), sizeof(int))

static void space_close(slir_space *s) {
    if (!s) return;
    int count = s->block_count < 0 ? -s->block_count - 1 : s->block_count;
    for (int i = 0; i < count; i++) free(s->blocks[i]);
    free(s->blocks);
    free(s->log.bytes);
    free(s);
}

static void open_list(slir_space *s, slir_list *list, int size) {
    list->index = INTS(size), list->first = DOUBLES(size), list->second = DOUBLES(size);
}

static void open_log(slir_space *s, const slir_log *log) {
    int neurons = s->net->neurons, most = neurons > s->clause->rows ? neurons : s->clause->rows;
    s->log = *log, s->log.on = 1;
    for (int k = 0; k < s->net->depth; k++) s->has_curves |= s->net->maps[k].curve != NULL;
    s->start_slopes = DOUBLES(2 * (size_t)neurons), s->used_slopes = DOUBLES(neurons);
    s->used_sides = take(s, (size_t)neurons, 1);
    open_list(s, &s->shares, neurons), open_list(s, &s->slopes, most), open_list(s, &s->pairs, neurons);
}

static slir_log *log_of(slir_space *s) { return &s->log; }

static slir_space *space_open(const slir_net *net, const slir_clause *clause, const slir_settings *settings,
                              const slir_log *log) {
    slir_space *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->net = net, s->clause = clause, s->settings = *settings, s->layout = slir_layout_of(net, clause);
    s->inputs = net->inputs, s->padded_inputs = PAD(net->inputs);
    s->width = PAD(net->widest > net->inputs ? net->widest : net->inputs);
    s->chunk = 32;
    if (s->chunk < clause->rows) s->chunk = clause->rows;
    int n = s->padded_inputs;
    s->lower = DOUBLES(n), s->upper = DOUBLES(n), s->charge = DOUBLES(n);
    s->normals = DOUBLES((size_t)(clause->rows + 1) * n), s->offsets = DOUBLES(clause->rows + 1);
    s->betas = DOUBLES(clause->rows + 1), s->charges = DOUBLES(clause->rows + 1), s->own_rows = INTS(clause->rows + 1);
    s->mixed = DOUBLES(n), s->before = DOUBLES(n), s->trial = DOUBLES(n);
    s->half_width = DOUBLES(n), s->centre = DOUBLES(n);
    if (s->charge) memcpy(s->charge, net->input_charge, (size_t)net->inputs * sizeof(double));
    s->rows_a = DOUBLES((size_t)s->chunk * s->width), s->rows_b = DOUBLES((size_t)s->chunk * s->width);
    s->constants = DOUBLES(s->chunk), s->errors = DOUBLES(s->chunk), s->masses = DOUBLES(s->chunk);
    s->values = DOUBLES(s->chunk);
    s->unstable = INTS(s->width);
    s->share_all = settings->split_inputs ? DOUBLES((size_t)net->neurons * net->inputs) : DOUBLES(1);
    s->interval_centre = DOUBLES(s->width), s->interval_radius = DOUBLES(s->width);
    s->best_slopes = DOUBLES(2 * (size_t)net->neurons), s->best_multipliers = DOUBLES(net->neurons);
    if (log) open_log(s, log);
    s->weights = DOUBLES(clause->rows), s->best_weights = DOUBLES(clause->rows), s->row_values = DOUBLES(clause->rows);
    s->scores = DOUBLES(n > net->neurons ? n : net->neurons);
    s->point = DOUBLES(n), s->best_point = DOUBLES(n), s->row = DOUBLES(n), s->best_row = DOUBLES(n);
    int outputs = PAD(clause->outputs > s->width ? clause->outputs : s->width);
    s->outputs = DOUBLES(outputs), s->forward_a = DOUBLES(outputs), s->forward_b = DOUBLES(outputs);
    s->true_values = DOUBLES(net->neurons);
    s->scratch = DOUBLES(s->layout.size);
    s->order = INTS(n), s->breakpoints = DOUBLES(n);
    s->levels = take(s, (size_t)net->depth, sizeof(slir_level));
    for (int k = 0; k < net->depth && s->levels; k++) {
        const slir_map *map = &net->maps[k];
        slir_level *v = &s->levels[k];
        int m = PAD(map->rows), below = PAD(map->columns);
        v->stride = below;
        v->index = INTS(m);
        v->lower_slope = DOUBLES(m), v->lower_offset = DOUBLES(m), v->upper_slope = DOUBLES(m), v->upper_offset = DOUBLES(m);
        v->charge = DOUBLES(m), v->bias = DOUBLES(m), v->height = DOUBLES(m), v->trace = DOUBLES(m);
        v->argument = DOUBLES(m), v->result = DOUBLES(m), v->multiplier = DOUBLES(m), v->multiplied = DOUBLES(m);
        v->range_low = DOUBLES(m), v->range_high = DOUBLES(m), v->lower_touch = DOUBLES(m), v->upper_touch = DOUBLES(m);
        v->curve = take(s, (size_t)m, sizeof(slir_curve *));
        v->interval = take(s, map->curve ? (size_t)m : 1, sizeof(slir_interval));
        v->side = take(s, (size_t)m, 1), v->open = take(s, (size_t)m, 1), v->convex = take(s, (size_t)m, 1);
        if (map->dense) v->weight = DOUBLES((size_t)m * below);
        else v->start = INTS(m + 1), v->column = INTS(map->start[map->rows]), v->value = DOUBLES(map->start[map->rows]);
    }
    if (s->block_count < 0) { space_close(s); return NULL; }
    for (int r = 0; r < clause->rows; r++) {
        int speaks_of_outputs = 0;
        for (int o = 0; o < clause->outputs; o++) speaks_of_outputs |= clause->coefficients[(int64_t)r * clause->outputs + o] != 0;
        if (speaks_of_outputs) continue;
        memcpy(s->normals + (int64_t)s->own_half_spaces * n, clause->inputs + (int64_t)r * net->inputs,
               (size_t)net->inputs * sizeof(double));
        s->charges[s->own_half_spaces] = clause->cost[r], s->own_rows[s->own_half_spaces] = r;
        s->offsets[s->own_half_spaces++] = clause->constants[r];
    }
    s->half_spaces = s->own_half_spaces;
    return s;
}
