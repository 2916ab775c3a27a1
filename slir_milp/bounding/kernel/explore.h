/* One region, and the depth-first search below a region. */

static void enter_region(slir_space *s, const double *record) {
    const slir_layout *at = &s->layout;
    for (int q = 0; q < s->inputs; q++) {
        double low = record[at->lower + q], high = record[at->upper + q];
        s->lower[q] = low, s->upper[q] = high;
        s->centre[q] = 0.5 * low + 0.5 * high;
        s->half_width[q] = 0.5 * (high - low);
    }
    s->half_spaces = s->own_half_spaces;
    if (record[at->has_half_space] != 0.0) {
        memcpy(s->normals + (int64_t)s->half_spaces * s->padded_inputs, record + at->normal,
               (size_t)s->inputs * sizeof(double));
        s->charges[s->half_spaces] = record[at->charge];
        s->offsets[s->half_spaces++] = record[at->offset];
    }
}

/* Bounds the region in `record`, whose neuron bounds are tightened in place.  `*value` is the best bound found. */
static int bound_region(slir_space *s, double *record, const int8_t *sides, double *value, double *constant,
                        slir_counts *counts) {
    const slir_layout *at = &s->layout;
    const slir_net *net = s->net;
    enter_region(s, record);
    *value = INFINITY, *constant = 0.0;
    for (int h = 0; h < s->half_spaces; h++) {
        const double *normal = s->normals + (int64_t)h * s->padded_inputs;
        double least = box_minimum(s, normal, s->offsets[h]);
        if (least > 0 && is_past(s, least, s->charges[h] + input_charge(s, normal))) return SLIR_CLOSED_INHERITED;
    }
    int end = bound_neurons(s, first_bounded(s, record), record + at->neuron_lower, record + at->neuron_upper, sides), tight = 0;
    if (end != SLIR_OPEN) return end;
    if (s->settings.warm_start && record[at->has_slope] != 0.0) {
        memcpy(s->weights, record + at->weight, (size_t)s->clause->rows * sizeof(double));
        for (int k = 0; k < net->depth; k++) {
            slir_level *v = &s->levels[k];
            const double *lower = record + at->slope + net->first[k], *upper = lower + net->neurons;
            for (int i = 0; i < v->alive; i++) {
                if (!v->open[i]) continue;
                int neuron = v->index[i];
                if (v->curve[i]) {
                    v->lower_slope[i] = lower[neuron], v->upper_slope[i] = upper[neuron];
                    shift_lower(v, i), shift_upper(v, i);
                } else /* within the hinge's slopes, as every slope that the ascent leaves */
                    *(v->convex[i] ? &v->lower_slope[i] : &v->upper_slope[i]) = lower[neuron];
            }
        }
    } else
        start_weights(s);
    *value = ascend(s, constant, &tight, counts);
    if (refutes(s, *value)) return SLIR_CLOSED_BOUND;
    return tight && s->settings.report_tight ? SLIR_TIGHT : SLIR_OPEN;
}

static void evaluate(slir_space *s, const double *x, double *outputs) {
    const slir_net *net = s->net;
    double *below = s->forward_a, *above = s->forward_b;
    memcpy(below, x, (size_t)s->inputs * sizeof(double));
    for (int q = s->inputs; q < s->padded_inputs; q++) below[q] = 0.0;
    for (int k = 0; k <= net->depth; k++) {
        const slir_map *map = &net->maps[k];
        if (map->dense)
            apply(map->rows, PAD(map->columns), map->dense, map->stride, below, above);
        else
            for (int i = 0; i < map->rows; i++) {
                double sum = 0.0;
                for (int p = map->start[i]; p < map->start[i + 1]; p++) sum += map->value[p] * below[map->column[p]];
                above[i] = sum;
            }
        for (int i = 0; i < map->rows; i++) {
            double z = above[i] + map->bias[i];
            if (k < net->depth) s->true_values[net->first[k] + i] = z;
            const slir_curve *curve = k < net->depth ? curve_of(net, map, i) : NULL;
            double unused;
            above[i] = k == net->depth ? z : curve ? slir_evaluate(curve, z, &unused) : z * (z < 0 ? map->negative[i] : map->positive[i]);
        }
        for (int i = map->rows; i < PAD(map->rows); i++) above[i] = 0.0;
        double *other = below;
        below = above, above = other;
    }
    for (int o = 0; o < net->maps[net->depth].rows; o++) outputs[o] = below[o];
    memset(s->forward_b, 0, (size_t)s->width * sizeof(double));
    memset(s->forward_a, 0, (size_t)s->width * sizeof(double));
}

/* Whether the point meets every row of the conjunction in plain float64: worth replaying.  `*margin` is the largest row. */
static int looks_like_a_witness(slir_space *s, const double *x, double *margin) {
    const slir_clause *c = s->clause;
    int meets = 1;
    *margin = -INFINITY, s->largest_row = 0;
    evaluate(s, x, s->outputs);
    for (int r = 0; r < c->rows; r++) {
        double value = c->constants[r];
        for (int o = 0; o < c->outputs; o++) value += c->coefficients[(int64_t)r * c->outputs + o] * s->outputs[o];
        for (int q = 0; q < s->inputs; q++) value += c->inputs[(int64_t)r * s->inputs + q] * x[q];
        if (c->strict[r] ? !(value < 0) : !(value <= 0)) meets = 0;
        if (!(value <= *margin)) *margin = value, s->largest_row = r;
        s->row_values[r] = value;
    }
    return meets;
}

/* Descends towards a witness inside the root: in a small box around the point the relaxed conjunction is minimised, the
 * minimiser becomes the next point if its true margin is less, and the box grows or shrinks with success.  Unlike a
 * gradient, the relaxation sees past kinks and weighs the rows against each other.  Returns
 * whether `x` meets the rows. */
static int descend(slir_space *s, const double *root, double *x, double radius, int steps,
                   double deadline, const volatile int *cancel, double *margin) {
    const slir_layout *at = &s->layout;
    double *record = s->scratch;
    s->cancel = cancel, s->deadline = deadline;
    int met = looks_like_a_witness(s, x, margin);
    for (int t = 0; t < steps && radius > 1e-6 && !met && !must_stop(s); t++) {
        double value, constant, there;
        memcpy(record, root, (size_t)at->size * sizeof(double));
        for (int q = 0; q < s->inputs; q++) {
            double low = root[at->lower + q], high = root[at->upper + q], reach = radius * (high - low);
            if (x[q] - reach > low) record[at->lower + q] = x[q] - reach;
            if (x[q] + reach < high) record[at->upper + q] = x[q] + reach;
        }
        int end = bound_region(s, record, NULL, &value, &constant, NULL);
        if (end == SLIR_STOPPED) break;
        if (end != SLIR_OPEN && end != SLIR_TIGHT) { /* nothing here: look farther */
            if (radius >= 1.0) break;
            radius = radius * 2.5 < 1.0 ? radius * 2.5 : 1.0;
            continue;
        }
        int meets = looks_like_a_witness(s, s->best_point, &there);
        if (there < *margin) {
            memcpy(x, s->best_point, (size_t)s->inputs * sizeof(double));
            *margin = there, met = meets;
            radius = radius * 1.5 < 1.0 ? radius * 1.5 : 1.0;
        } else
            radius *= 0.5;
    }
    return met;
}

static int analyse(slir_space *s, double *record, int8_t *sides, int claim, double deadline, const volatile int *cancel,
                   double *value, double *row, double *minimiser_out, double *slopes, double *weights) {
    double constant;
    s->cancel = cancel, s->deadline = deadline;
    int end = bound_region(s, record, sides, value, &constant, NULL);
    log_end(s, record, end == SLIR_CLOSED_BOUND && !claim ? SLIR_OPEN : end, constant);
    if (end == SLIR_STOPPED) *value = -INFINITY;
    if (end == SLIR_OPEN || end == SLIR_TIGHT || end == SLIR_CLOSED_BOUND) {
        memcpy(row, s->best_row, (size_t)s->inputs * sizeof(double));
        row[s->inputs] = constant;
        memcpy(minimiser_out, s->best_point, (size_t)s->inputs * sizeof(double));
        memcpy(slopes, s->best_slopes, 2 * (size_t)s->net->neurons * sizeof(double));
        memcpy(weights, s->best_weights, (size_t)s->clause->rows * sizeof(double));
    }
    return end;
}

static int reserve(slir_stack *stack, int64_t more, int64_t record_size, int64_t neurons) {
    if (stack->count + more <= stack->capacity) return 1;
    int64_t capacity = stack->capacity * 2 + more + 16;
    double *records = realloc(stack->records, (size_t)(capacity * record_size) * sizeof(double));
    if (!records) return 0;
    stack->records = records;
    int8_t *sides = realloc(stack->sides, (size_t)(capacity * neurons + 1));
    if (!sides) return 0;
    stack->sides = sides;
    stack->capacity = capacity;
    return 1;
}

/* Splits the region on top of the stack in two, in place, and logs that.  The caller has reserved room for one more. */
static int split_region(slir_space *s, slir_stack *open, double value, double constant, slir_counts *counts) {
    const slir_layout *at = &s->layout;
    int64_t size = at->size, neurons = s->net->neurons;
    double *first = open->records + (open->count - 1) * size, *second = first + size;
    int8_t *first_side = open->sides + (open->count - 1) * neurons, *second_side = first_side + neurons;
    double input_score = 0.0, neuron_score = 0.0;
    int input = s->settings.split_inputs ? input_to_split(s, &input_score) : -1;
    int neuron = s->settings.split_activations ? neuron_to_split(s, &neuron_score) : -1;
    if (input < 0 && neuron < 0) return 0;
    int from = first_bounded(s, first), inherits = s->settings.use_half_space && constant > -INFINITY;
    first[at->depth] += 1.0, first[at->volume] *= 0.5, first[at->bound] = value;
    if (counts->max_depth < first[at->depth]) counts->max_depth = first[at->depth];
    memcpy(first + at->slope, s->best_slopes, 2 * (size_t)neurons * sizeof(double));
    memcpy(first + at->weight, s->best_weights, (size_t)s->clause->rows * sizeof(double));
    first[at->has_slope] = 1.0;
    if (inherits) {
        memcpy(first + at->normal, s->best_row, (size_t)s->inputs * sizeof(double));
        first[at->offset] = constant, first[at->charge] = s->best_rounding, first[at->has_half_space] = 1.0;
    }
    memcpy(second, first, (size_t)size * sizeof(double));
    memcpy(second_side, first_side, (size_t)neurons);
    if (input >= 0 && (neuron < 0 || input_score >= neuron_score)) {
        first[at->upper + input] = second[at->lower + input] = s->centre[input];
        first[at->settled] = second[at->settled] = 0.0;
        log_split(s, ENTRY_SPLIT_INPUT, from, input, s->centre[input], inherits, first + at->node, second + at->node);
        counts->input_splits++;
    } else {
        double value_there = split_neuron(s, neuron, first, second, first_side, second_side);
        log_split(s, ENTRY_SPLIT_NEURON, from, neuron, value_there, inherits, first + at->node, second + at->node);
        counts->activation_splits++;
    }
    open->count++;
    return 1;
}

/* A combination that is not positive at its own minimiser cannot refute the child which holds that point, however tight
 * its bound becomes.  Then the row that is largest there has to, and the split is to help that one. */
static void aim_at_largest_row(slir_space *s) {
    double there = 0.0, at, rounding;
    slir_mix mix;
    for (int r = 0; r < s->clause->rows; r++) there += s->best_weights[r] * s->row_values[r];
    if (there > 0 || s->clause->rows == 1) return;
    for (int r = 0; r < s->clause->rows; r++) s->weights[r] = r == s->largest_row;
    bound_combination(s, s->weights, &at, &mix, &rounding);
}

static int explore(slir_space *s, slir_stack *open, slir_stack *leaves, int64_t budget, double deadline,
                   const volatile int *cancel, double *candidate, slir_counts *counts) {
    const slir_layout *at = &s->layout;
    int64_t size = at->size, neurons = s->net->neurons;
    s->cancel = cancel, s->deadline = deadline;
    for (int64_t done = 0; open->count > 0 && done < budget; done++) {
        if (must_stop(s)) break;
        if (!reserve(open, 1, size, neurons)) return -1;
        double *record = open->records + (open->count - 1) * size, value, constant;
        int8_t *sides = s->settings.split_activations ? open->sides + (open->count - 1) * neurons : NULL;
        int end = bound_region(s, record, sides, &value, &constant, counts), found = 0;
        if (end == SLIR_STOPPED) break;
        if (end != SLIR_OPEN && end != SLIR_TIGHT) log_end(s, record, end, constant);
        counts->regions++;
        if (end == SLIR_OPEN || end == SLIR_TIGHT) {
            double margin;
            found = looks_like_a_witness(s, s->best_point, &margin);
            if (found) memcpy(candidate, s->best_point, (size_t)s->inputs * sizeof(double));
            if (!found && s->settings.use_half_space &&
                !check_contradictions(s, record + at->neuron_lower, record + at->neuron_upper)) {
                end = SLIR_CLOSED_EMPTY;
                log_contradiction(s, record);
            }
            if (end == SLIR_OPEN && !found) aim_at_largest_row(s);
            if (end == SLIR_OPEN && !split_region(s, open, value, constant, counts)) end = SLIR_LEAF;
        }
        counts->ended[end]++;
        if (end == SLIR_LEAF || end == SLIR_TIGHT) {
            if (!reserve(leaves, 1, size, neurons)) return -1;
            log_end(s, record, end, constant);
            record[at->bound] = value;
            memcpy(leaves->records + leaves->count * size, record, (size_t)size * sizeof(double));
            memcpy(leaves->sides + leaves->count * neurons, open->sides + (open->count - 1) * neurons, (size_t)neurons);
            leaves->count++, open->count--;
        } else if (end != SLIR_OPEN) {
            counts->closed_volume += record[at->volume];
            open->count--;
        }
        if (s->log.failed) return -1;
        if (found) return 1;
    }
    return 0;
}
