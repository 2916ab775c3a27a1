/* Bounds of the neurons that a conjunction pays for most, each by an ascent of its own.
 *
 * The lines below a neuron are chosen for the conjunction's row, or for least area; for the neuron's own bounds others are
 * better.  On a large region this tightens them by what no ascent on the last row can make up for.  It costs a walk back
 * and one forward for each neuron, side and step, so it is for roots, and for neurons whose envelopes cost the bound most. */

/* Lines of all levels, to be put back after an ascent. */
static void exchange_lines(slir_space *s, int upto, double *kept, int restore) {
    for (int k = 0; k < upto; k++) {
        slir_level *v = &s->levels[k];
        double *parts[] = {v->lower_slope, v->lower_offset, v->lower_touch, v->upper_slope, v->upper_offset, v->upper_touch};
        for (int p = 0; p < 6; p++, kept += v->padded)
            if (restore) memcpy(parts[p], kept, (size_t)v->padded * sizeof(double));
            else memcpy(kept, parts[p], (size_t)v->padded * sizeof(double));
    }
}

/* Lower bound of sign·(pre-activation i of layer k), by an ascent from the lines as they are, and what rounding was charged
 * in it. */
static double ascend_neuron(slir_space *s, int k, int i, double sign, int steps, double *charge) {
    const slir_map *map = &s->net->maps[k];
    double best = -INFINITY, step = s->settings.first_step, curve_step = s->settings.curve_step;
    for (int t = 0;; t++) {
        double *a = s->rows_a, *b = s->rows_b, constant = sign * map->bias[i], error = map->charge[i], mass = fabs(map->bias[i]);
        slir_mix mix;
        gather_row(s, k, i, sign, a);
        walk_back(s, k, 1, &a, &b, &constant, &error, &mass, 1);
        double base = settled(s, constant, error, mass), value = region_minimum(s, a, base, &mix);
        if (value > best || t == 0) {
            best = value, *charge = constant - base + input_charge(s, a);
            keep_used(s, k);
        }
        if (t >= steps || !(value > -INFINITY)) return best;
        minimiser(s, a, mix, s->point);
        walk_forward(s, s->point, k);
        step_slopes(s, k, step, curve_step);
        step *= s->settings.decay, curve_step *= s->settings.curve_decay;
    }
}

static int by_score(const void *a, const void *b) {
    double x = **(const double *const *)a, y = **(const double *const *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Tightens a region's bounds: at most `most` neurons beyond the first layer get `steps` steps for either side.  The region
 * has been bounded before, so that every level's trace and height tell what its envelopes cost. */
static int sharpen(slir_space *s, double *record, const int8_t *sides, int most, int steps, double deadline,
                   const volatile int *cancel) {
    const slir_net *net = s->net;
    double value, constant;
    s->cancel = cancel, s->deadline = deadline;
    int end = bound_region(s, record, sides, &value, &constant, NULL), divided = s->settings.split_activations;
    log_end(s, record, end, constant);
    if (end != SLIR_OPEN && end != SLIR_TIGHT) return end;
    double *paid = calloc((size_t)net->neurons + 1, sizeof *paid), *kept = malloc(((size_t)net->neurons + 8u * (size_t)net->depth + 8) * 6 * sizeof *kept);
    double **order = malloc(((size_t)net->neurons + 1) * sizeof *order);
    if (!paid || !kept || !order) end = -1;
    int count = 0;
    for (int k = 1; k < net->depth && end >= 0; k++) { /* the first layer's bounds are exact up to rounding */
        const slir_level *v = &s->levels[k];
        for (int a = 0; a < v->alive; a++) {
            int neuron = net->first[k] + v->index[a];
            paid[neuron] = v->open[a] ? fabs(v->trace[a]) * v->height[a] : 0.0;
            if (paid[neuron] > 0) order[count++] = &paid[neuron];
        }
    }
    if (end >= 0) qsort(order, (size_t)count, sizeof *order, by_score);
    for (int r = most; r < count && end >= 0; r++) *order[r] = 0.0;
    s->settings.split_activations = 0; /* no multipliers: they are chosen for the conjunction's row */
    if (net->depth && end >= 0) /* nor are its lines */
        restrict_level(s, 0, record + s->layout.neuron_lower, record + s->layout.neuron_upper, sides);
    for (int k = 1; k < net->depth && end >= 0 && end != SLIR_STOPPED; k++) {
        double *lower = record + s->layout.neuron_lower + net->first[k], *upper = record + s->layout.neuron_upper + net->first[k];
        const slir_map *map = &net->maps[k];
        /* First all of them with the lines as they are now, then the dear ones each with lines of its own. */
        int *list = s->unstable, open = 0;
        for (int i = 0; i < map->rows; i++)
            if (is_unstable(net, map, i, lower[i], upper[i])) list[open++] = i;
        log_tightening(s, record, k, k + 1);
        for (int from = 0; from < open; from += s->chunk / 2) {
            int upto = from + s->chunk / 2 < open ? from + s->chunk / 2 : open;
            if (!bound_some(s, k, list + from, upto - from, lower, upper)) { end = SLIR_CLOSED_EMPTY; break; }
            if (must_stop(s)) { end = SLIR_STOPPED; break; }
        }
        if (end == SLIR_CLOSED_EMPTY || end == SLIR_STOPPED) break;
        exchange_lines(s, k, kept, 0);
        for (int i = 0; i < map->rows; i++) {
            if (!(paid[net->first[k] + i] > 0)) continue;
            double ends[2], charges[2];
            for (int side = 0; side < 2; side++) {
                double bound = ascend_neuron(s, k, i, side ? -1.0 : 1.0, steps, &charges[side]);
                ends[side] = side ? -bound : bound;
                if (side ? ends[1] < upper[i] : ends[0] > lower[i]) log_neuron(s, record, k, net->first[k] + i, side ? -1 : 1);
                exchange_lines(s, k, kept, 1);
            }
            if (!tighten(s, ends[0], ends[1], charges[0] + charges[1], &lower[i], &upper[i])) { end = SLIR_CLOSED_EMPTY; break; }
            if (must_stop(s)) { end = SLIR_STOPPED; break; }
        }
        if (end == SLIR_CLOSED_EMPTY || end == SLIR_STOPPED) break;
        restrict_level(s, k, lower, upper, sides ? sides + net->first[k] : NULL);
        restrict_matrix(s, k);
    }
    if (end == SLIR_CLOSED_EMPTY) log_empty(s, record, NO_LAYER);
    s->settings.split_activations = divided;
    free(paid), free(kept), free(order);
    return end;
}
