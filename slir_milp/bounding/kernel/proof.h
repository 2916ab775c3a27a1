/* The log: what was done to each region, as entries of a proof file, byte for byte (docs/proof-format.md).
 *
 * Nothing is believed because it stands there.  An entry tells with which lines and multipliers a bound was found; whoever
 * checks it finds the bound again. */

enum { ENTRY_TIGHTEN = 1, ENTRY_NEURON, ENTRY_SPLIT_INPUT, ENTRY_SPLIT_NEURON, ENTRY_CASES, ENTRY_REFUTED, ENTRY_EMPTY };
enum { WITH_START = 1, WITH_COMBINATION = 2, NO_LAYER = 0xFFFF };

static void put_number(slir_log *log, uint64_t number, int bytes) {
    if (log->size + 8 > log->capacity) {
        size_t capacity = 2 * log->capacity + 65536;
        uint8_t *grown = realloc(log->bytes, capacity);
        if (!grown) { log->failed = 1; return; }
        log->bytes = grown, log->capacity = capacity;
    }
    for (int b = 0; b < bytes; b++) log->bytes[log->size++] = (uint8_t)(number >> (8 * b));
}

static void put_double(slir_log *log, double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_number(log, bits, 8);
}

static void put_doubles(slir_log *log, const double *numbers, int count) {
    for (int i = 0; i < count; i++) put_double(log, numbers[i]);
}

/* Begins an entry; returns where it stands, for `finish`. */
static size_t begin(slir_log *log, int kind, int flags, int from, double node) {
    size_t at = log->size;
    put_number(log, (uint64_t)kind, 1), put_number(log, (uint64_t)flags, 1), put_number(log, (uint64_t)from, 2);
    put_number(log, 0, 4), put_number(log, (uint64_t)node, 8);
    return at;
}

static void finish(slir_log *log, size_t at) {
    uint64_t size = log->size - at - 16;
    if (log->failed || size > UINT32_MAX) { log->failed = 1; return; }
    for (int b = 0; b < 4; b++) log->bytes[at + 4 + (size_t)b] = (uint8_t)(size >> (8 * b));
}

static void add(slir_list *list, int index, double first, double second) {
    if (!(fabs(first) < INFINITY && fabs(second) < INFINITY)) return;
    list->index[list->count] = index, list->first[list->count] = first, list->second[list->count++] = second;
}

static void put_indices(slir_log *log, const slir_list *list) {
    put_number(log, (uint64_t)list->count, 4);
    for (int i = 0; i < list->count; i++) put_number(log, (uint64_t)list->index[i], log->index_bytes);
}

/* Numbers, and exact fractions, of which this program has none. */
static void put_list(slir_log *log, slir_list *list) {
    put_indices(log, list), put_doubles(log, list->first, list->count);
    put_number(log, 0, 4);
    list->count = 0;
}

/* Writes the lines that were collected. */
static void put_lines(slir_space *s) {
    slir_log *log = &s->log;
    put_indices(log, &s->shares);
    for (int i = 0; i < s->shares.count; i++) put_number(log, (uint64_t)s->shares.first[i], 1);
    put_list(log, &s->slopes);
    put_indices(log, &s->pairs), put_doubles(log, s->pairs.first, s->pairs.count), put_doubles(log, s->pairs.second, s->pairs.count);
    s->shares.count = s->pairs.count = 0;
}

/* Collects the slope of a hinge's free line, unless it is the usual one. */
static void add_hinge(slir_space *s, int k, int i, double slope) {
    const slir_map *map = &s->net->maps[k];
    int neuron = s->net->first[k] + i;
    double negative = map->negative[i], positive = map->positive[i];
    double share = floor(SHARES * (slope - negative) / (positive - negative) + 0.5);
    if (slope == s->start_slopes[neuron]) return;
    if (share >= 0 && share <= SHARES && shared_slope(negative, positive, share) == slope)
        add(&s->shares, neuron, share, 0.0);
    else
        add(&s->slopes, neuron, slope, 0.0);
}

/* START: slopes of both lines around the unstable curves of the first `upto` layers, as their neurons were bounded with.
 * Hinges start from the usual lines. */
static void put_start(slir_space *s, int upto) {
    const double *lower = s->start_slopes, *upper = lower + s->net->neurons;
    for (int k = 0; k < upto; k++) {
        const slir_level *v = &s->levels[k];
        for (int i = 0; i < v->alive; i++) {
            int neuron = s->net->first[k] + v->index[i];
            if (v->open[i] && v->curve[i]) add(&s->pairs, neuron, lower[neuron], upper[neuron]);
        }
    }
    put_lines(s);
}

static int start_flag(const slir_space *s, int from) {
    return from != NO_LAYER && s->has_curves ? WITH_START : 0;
}

/* Remembers which lines the last single row used, in the first `upto` levels. */
static void keep_used(slir_space *s, int upto) {
    if (!s->log.on) return;
    for (int k = 0; k < upto; k++) {
        const slir_level *v = &s->levels[k];
        for (int i = 0; i < v->alive; i++) {
            int neuron = s->net->first[k] + v->index[i];
            s->used_sides[neuron] = v->trace[i] > 0 ? 1 : v->trace[i] < 0 ? -1 : 0;
            s->used_slopes[neuron] = v->trace[i] > 0 ? v->lower_slope[i] : v->upper_slope[i];
        }
    }
}

/* Writes those lines; of curves all, or only what differs from START. */
static void put_used(slir_space *s, int upto, int all) {
    for (int k = 0; k < upto; k++) {
        const slir_level *v = &s->levels[k];
        for (int i = 0; i < v->alive; i++) {
            int neuron = s->net->first[k] + v->index[i], side = s->used_sides[neuron];
            double slope = s->used_slopes[neuron];
            if (!v->open[i] || !side) continue;
            if (!v->curve[i]) {
                if ((side > 0) == v->convex[i]) add_hinge(s, k, v->index[i], slope);
            } else if (all || slope != s->start_slopes[neuron + (side > 0 ? 0 : s->net->neurons)])
                add(&s->slopes, neuron, slope, 0.0);
        }
    }
    put_lines(s);
}

/* The best combination: as the function of the input that children inherit, or, to refute, with the multiples of half-spaces
 * that its minimum over the region takes. */
static void put_combination(slir_space *s, int refuted, double constant) {
    slir_log *log = &s->log;
    slir_list *list = &s->slopes;
    slir_mix mix;
    double *weights = s->row_values;
    memcpy(weights, s->best_weights, (size_t)s->clause->rows * sizeof(double));
    if (refuted) {
        region_minimum(s, s->best_row, constant, &mix);
        for (int h = 0; h < s->own_half_spaces; h++) weights[s->own_rows[h]] += s->betas[h];
    }
    for (int r = 0; r < s->clause->rows; r++)
        if (weights[r] * log->scales[r] > 0) add(list, (int)log->atoms[r], weights[r] * log->scales[r], 0.0);
    put_list(log, list);
    put_double(log, refuted && s->half_spaces > s->own_half_spaces ? s->betas[s->own_half_spaces] : 0.0);
    put_used(s, s->net->depth, 0);
    for (int k = 0; k < s->net->depth && s->settings.split_activations; k++) {
        const slir_level *v = &s->levels[k];
        for (int i = 0; i < v->alive; i++) {
            int neuron = s->net->first[k] + v->index[i];
            if (v->side[i] && s->best_multipliers[neuron] != 0.0) add(list, neuron, s->best_multipliers[neuron], 0.0);
        }
    }
    put_list(log, list);
}

/* Layers from … until − 1 of a region were bounded afresh. */
static void log_tightening(slir_space *s, const double *record, int from, int until) {
    if (!s->log.on) return;
    int flag = start_flag(s, from);
    size_t at = begin(&s->log, ENTRY_TIGHTEN, flag, from, record[s->layout.node]);
    if (flag) put_start(s, until == NO_LAYER ? s->restricted : until - 1);
    put_number(&s->log, (uint64_t)until, 2);
    finish(&s->log, at);
}

static void log_empty(slir_space *s, const double *record, int from) {
    if (!s->log.on) return;
    int flag = start_flag(s, from);
    size_t at = begin(&s->log, ENTRY_EMPTY, flag, from, record[s->layout.node]);
    if (flag) put_start(s, s->restricted);
    finish(&s->log, at);
}

/* How bound_region() left a region; one that stays open had its bounds tightened. */
static void log_end(slir_space *s, const double *record, int end, double constant) {
    if (!s->log.on || end == SLIR_STOPPED) return;
    int from = first_bounded(s, record), flag = start_flag(s, from);
    if (end == SLIR_CLOSED_INHERITED) log_empty(s, record, NO_LAYER);
    else if (end == SLIR_CLOSED_EMPTY) log_empty(s, record, from);
    else if (end == SLIR_CLOSED_BOUND) {
        size_t at = begin(&s->log, ENTRY_REFUTED, flag | WITH_COMBINATION, from, record[s->layout.node]);
        if (flag) put_start(s, s->restricted);
        put_combination(s, 1, constant);
        finish(&s->log, at);
    } else
        log_tightening(s, record, from, NO_LAYER);
}

/* A neuron of layer k was bounded with lines of its own: below by those that the last kept row used (side 1; −1 for above),
 * or from both sides (0) by all that the levels have now. */
static void log_neuron(slir_space *s, const double *record, int k, int neuron, int side) {
    if (!s->log.on) return;
    size_t at = begin(&s->log, ENTRY_NEURON, 0, NO_LAYER, record[s->layout.node]);
    put_number(&s->log, (uint64_t)neuron, s->log.index_bytes);
    put_number(&s->log, (uint64_t)side, 1);
    if (side) put_used(s, k, 1);
    else {
        for (int j = 0; j < k; j++) {
            const slir_level *v = &s->levels[j];
            for (int i = 0; i < v->alive; i++) {
                if (!v->open[i]) continue;
                if (v->curve[i]) add(&s->pairs, s->net->first[j] + v->index[i], v->lower_slope[i], v->upper_slope[i]);
                else add_hinge(s, j, v->index[i], v->convex[i] ? v->lower_slope[i] : v->upper_slope[i]);
            }
        }
        put_lines(s);
    }
    finish(&s->log, at);
}

/* The neuron that crossed last proves that the region is empty. */
static void log_contradiction(slir_space *s, const double *record) {
    int k = 0;
    if (!s->log.on) return;
    while (k + 1 < s->net->depth && s->net->first[k + 1] <= s->crossed) k++;
    log_tightening(s, record, first_bounded(s, record), NO_LAYER);
    log_neuron(s, record, k, s->crossed, 0);
    log_empty(s, record, NO_LAYER);
}

/* A split: numbers the two regions that it makes. */
static void log_split(slir_space *s, int kind, int from, int index, double value, int inherits, double *first, double *second) {
    slir_log *log = &s->log;
    if (!log->on) return;
    int flag = start_flag(s, from);
    size_t at = begin(log, kind, flag | (inherits ? WITH_COMBINATION : 0), from, *first);
    if (flag) put_start(s, s->restricted);
    put_number(log, (uint64_t)index, log->index_bytes), put_double(log, value), put_number(log, log->next_node, 8);
    if (inherits) put_combination(s, 0, 0.0);
    finish(log, at);
    *first = (double)log->next_node++, *second = (double)log->next_node++;
}
