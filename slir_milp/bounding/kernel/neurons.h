/* Bounds of every pre-activation of a region, layer by layer. */

/* Takes a neuron's new bounds over where they tighten the old ones, given what rounding was charged in them.  Returns 0 if
 * that leaves no value; if it does so by no more than the margin, the old bounds stay. */
static int tighten(slir_space *s, double low, double high, double charge, double *lower, double *upper) {
    low = low > *lower ? low : *lower, high = high < *upper ? high : *upper;
    if (low > high) return !is_past(s, low - high, charge);
    *lower = low, *upper = high;
    return 1;
}

/* Plain interval arithmetic from the activations below, for the unstable neurons in `list`; tightens lower and upper.
 * Returns 0 if one of them has no value left. */
static int interval_step(slir_space *s, int k, const int *list, int count, double *lower, double *upper) {
    const slir_map *map = &s->net->maps[k];
    const slir_level *below = &s->levels[k - 1];
    double *centre = s->interval_centre, *radius = s->interval_radius;
    for (int j = 0; j < below->alive; j++) {
        double low = below->range_low[j], high = below->range_high[j];
        centre[j] = 0.5 * low + 0.5 * high;
        radius[j] = (high - centre[j] > centre[j] - low ? high - centre[j] : centre[j] - low) * (1.0 + 8 * 0x1p-53);
    }
    for (int j = below->alive; j < below->padded; j++) centre[j] = radius[j] = 0.0;
    double *row = s->forward_a;
    for (int c = 0; c < count; c++) {
        int i = list[c];
        gather_row(s, k, i, 1.0, row);
        vec middle = splat(0.0), reach = splat(0.0);
        for (int j = 0; j < below->padded; j += WIDTH) {
            vec w = load(row + j);
            middle += w * load(centre + j);
            reach += magnitude(w) * load(radius + j);
        }
        /* Both sums are over at most `columns` terms of size |W|·m: the charge bounds each one's rounding. */
        double mid = total(middle) + map->bias[i], far = total(reach) + 4.0 * map->charge[i] + s->net->underflow;
        if (!tighten(s, mid - far, mid + far, 8.0 * map->charge[i] + s->net->underflow, &lower[i], &upper[i])) return 0;
    }
    return 1;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int must_stop(const slir_space *s) { return (s->cancel && *s->cancel) || now() > s->deadline; }

/* Bounds at most chunk / 2 neurons of layer k by backward evaluation; the levels below are restricted already.  Returns 0 if
 * one of them has no value left, so that the region holds no counterexample. */
static int bound_some(slir_space *s, int k, const int *list, int count, double *lower, double *upper) {
    const slir_net *net = s->net;
    const slir_map *map = &net->maps[k];
    int padded = k ? s->levels[k - 1].padded : s->padded_inputs;
    double *a = s->rows_a, *b = s->rows_b;
    for (int c = 0; c < count; c++) {
        int i = list[c], r = 2 * c;
        double *plus = a + (int64_t)r * s->width, *minus = plus + s->width;
        gather_row(s, k, i, 1.0, plus);
        for (int j = 0; j < padded; j++) minus[j] = -plus[j];
        s->constants[r] = map->bias[i], s->constants[r + 1] = -map->bias[i];
        s->errors[r] = s->errors[r + 1] = map->charge[i];
        s->masses[r] = s->masses[r + 1] = fabs(map->bias[i]);
    }
    walk_back(s, k, 2 * count, &a, &b, s->constants, s->errors, s->masses, 0);
    for (int c = 0; c < count; c++) {
        int i = list[c], r = 2 * c;
        slir_mix mix;
        const double *plus = a + (int64_t)r * s->width, *minus = plus + s->width;
        double at_plus = settled(s, s->constants[r], s->errors[r], s->masses[r]);
        double at_minus = settled(s, s->constants[r + 1], s->errors[r + 1], s->masses[r + 1]);
        double low = region_minimum(s, plus, at_plus, &mix), high = -region_minimum(s, minus, at_minus, &mix), charge = 0.0;
        if (s->settings.margin > 0)
            charge = s->constants[r] - at_plus + s->constants[r + 1] - at_minus + input_charge(s, plus) + input_charge(s, minus);
        if (!tighten(s, low, high, charge, &lower[i], &upper[i])) {
            s->crossed = net->first[k] + i;
            return 0;
        }
        if (s->settings.split_inputs) {
            double sum = 0.0, *share = s->share_all + (int64_t)(net->first[k] + i) * s->inputs;
            for (int q = 0; q < s->inputs; q++) sum += share[q] = (fabs(plus[q]) + fabs(minus[q])) * s->half_width[q];
            double scale = sum > 0 ? 1.0 / sum : 0.0;
            for (int q = 0; q < s->inputs; q++) share[q] *= scale;
        }
    }
    return 1;
}

/* The first layer whose neurons are bounded afresh: a split of a neuron leaves the layers before its own as they were, but
 * where inputs are split the shares in the widths would be missing. */
static int first_bounded(const slir_space *s, const double *record) {
    return s->settings.split_inputs ? 0 : (int)record[s->layout.settled];
}

/* Bounds all but the first `settled` layers.  Returns SLIR_OPEN,
 * SLIR_CLOSED_EMPTY if some neuron has no value left, or SLIR_STOPPED; what was tightened is sound. */
static int bound_neurons(slir_space *s, int settled, double *neuron_lower, double *neuron_upper, const int8_t *sides) {
    const slir_net *net = s->net;
    s->restricted = 0;
    for (int k = 0; k < net->depth; k++) {
        const slir_map *map = &net->maps[k];
        double *lower = neuron_lower + net->first[k], *upper = neuron_upper + net->first[k];
        const int8_t *side = sides ? sides + net->first[k] : NULL;
        int *list = s->unstable, count = 0;
        if (side)
            for (int i = 0; i < map->rows; i++) {
                if (!curve_of(net, map, i)) {
                    if (side[i] > 0 && lower[i] < 0) lower[i] = 0;
                    if (side[i] < 0 && upper[i] > 0) upper[i] = 0;
                }
            }
        int known = k < settled;
        if (k && s->settings.interval_step && !known) {
            for (int i = 0; i < map->rows; i++)
                if (is_unstable(net, map, i, lower[i], upper[i])) list[count++] = i;
            if (!interval_step(s, k, list, count, lower, upper)) return SLIR_CLOSED_EMPTY;
            count = 0;
        }
        for (int i = 0; i < map->rows && !known; i++)
            if (is_unstable(net, map, i, lower[i], upper[i])) list[count++] = i;
        for (int from = 0; from < count; from += s->chunk / 2) {
            if (s->width > 128 && must_stop(s)) return SLIR_STOPPED;
            int upto = from + s->chunk / 2 < count ? from + s->chunk / 2 : count;
            if (!bound_some(s, k, list + from, upto - from, lower, upper)) return SLIR_CLOSED_EMPTY;
        }
        restrict_level(s, k, lower, upper, side);
        restrict_matrix(s, k);
        s->restricted = k + 1;
    }
    return SLIR_OPEN;
}

/* Bounds inherited from ancestors hold for counterexamples only, since half-spaces went into them.  A point of the box may
 * therefore lie outside, and then the box may hold no counterexample at all: the neurons whose true values at the
 * minimiser (in `s->true_values`) contradict their bounds are bounded afresh.  Returns 0 if that leaves one no value, and
 * nothing is changed otherwise: bounds that took the row's lines are hardly tighter, and would make a proof longer. */
static int check_contradictions(slir_space *s, double *neuron_lower, double *neuron_upper) {
    enum { most = 16 };
    double kept_lower[most], kept_upper[most];
    for (int k = 0; k < s->net->depth; k++) {
        double *lower = neuron_lower + s->net->first[k], *upper = neuron_upper + s->net->first[k];
        const double *at = s->true_values + s->net->first[k];
        int count = 0, *list = s->unstable;
        for (int i = 0; i < s->net->maps[k].rows && count < most; i++)
            if (at[i] < lower[i] - 1e-9 || at[i] > upper[i] + 1e-9)
                kept_lower[count] = lower[i], kept_upper[count] = upper[i], list[count++] = i;
        if (!count) continue;
        int some = bound_some(s, k, list, count, lower, upper);
        for (int c = 0; c < count; c++) lower[list[c]] = kept_lower[c], upper[list[c]] = kept_upper[c];
        return some;
    }
    return 1;
}
