/* Backward evaluation of a block of rows, and the minimum over the region (the theorem and its proof: backward.py). */

/* c ← c·(restricted matrix of level k), a block of rows. */
static void through_matrix(const slir_space *s, int k, int rows, const double *a, int a_stride, double *b, int b_stride) {
    const slir_level *v = &s->levels[k];
    int columns = k ? s->levels[k - 1].padded : s->padded_inputs;
    if (s->net->maps[k].dense) {
        multiply(rows, v->alive, columns, a, a_stride, v->weight, v->stride, b, b_stride);
        return;
    }
    for (int r = 0; r < rows; r++) {
        const double *c = a + (int64_t)r * a_stride;
        double *to = b + (int64_t)r * b_stride;
        memset(to, 0, (size_t)columns * sizeof(double));
        for (int i = 0; i < v->alive; i++) {
            double factor = c[i];
            if (factor == 0.0) continue;
            for (int p = v->start[i]; p < v->start[i + 1]; p++) to[v->column[p]] += factor * v->value[p];
        }
    }
}

/* Chooses the lower or upper line by the sign of each coefficient; adds what it costs. */
static inline void through_lines(const slir_level *v, double *c, const double *multiplied, double *constant, double *error,
                                 double *mass) {
    vec sum = splat(0.0), charged = splat(0.0), heavy = splat(0.0);
    for (int j = 0; j < v->padded; j += WIDTH) {
        vec x = load(c + j);
        vec rising = positive_part(x), falling = negative_part(x, rising);
        vec low = rising * load(v->lower_offset + j), high = falling * load(v->upper_offset + j);
        vec y = rising * load(v->lower_slope + j) + falling * load(v->upper_slope + j);
        if (multiplied) {
            vec extra = load(multiplied + j);
            y += extra;
            charged += magnitude(extra) * load(v->charge + j);
        }
        sum += low + high + y * load(v->bias + j);
        heavy += magnitude(low) + magnitude(high);
        charged += magnitude(y) * load(v->charge + j);
        store(c + j, y);
    }
    *constant += total(sum), *error += total(charged), *mass += total(heavy);
}

/* Walks a block of rows, given over the activations of level k − 1, back to the inputs.
 *
 * `*rows` holds the block (stride s->width) and is exchanged with `*spare`; `constants`, `errors` and `masses` are added
 * to.  With `trace` (one row only) the coefficients met at every level are kept, and side multipliers are applied. */
static void walk_back(slir_space *s, int k, int count, double **rows, double **spare, double *constants, double *errors,
                      double *masses, int trace) {
    for (int j = k - 1; j >= 0; j--) {
        slir_level *v = &s->levels[j];
        if (trace) memcpy(v->trace, *rows, (size_t)v->padded * sizeof(double));
        for (int r = 0; r < count; r++)
            through_lines(v, *rows + (int64_t)r * s->width, trace && s->settings.split_activations ? v->multiplier : NULL,
                          &constants[r], &errors[r], &masses[r]);
        through_matrix(s, j, count, *rows, s->width, *spare, s->width);
        double *other = *rows;
        *rows = *spare, *spare = other;
    }
}

/* The constant of a walked row with all rounding subtracted; minus infinity where anything overflowed. */
static double settled(const slir_space *s, double constant, double error, double mass) {
    double value = constant - (error * (1.0 + 0x1p-30) + s->net->offset_charge * mass + s->net->underflow);
    value -= 4 * 0x1p-53 * fabs(value);
    return value == value ? value : -INFINITY;
}

/* Lower bound of row·x + constant over the box. */
static double box_minimum(const slir_space *s, const double *row, double constant) {
    vec sum = splat(0.0), charged = splat(0.0);
    for (int j = 0; j < s->padded_inputs; j += WIDTH) {
        vec c = load(row + j);
        vec rising = positive_part(c), falling = negative_part(c, rising);
        sum += rising * load(s->lower + j) + falling * load(s->upper + j);
        charged += magnitude(c) * load(s->charge + j);
    }
    double value = constant + total(sum) - total(charged) * (1.0 + 0x1p-30);
    value -= 4 * 0x1p-53 * (fabs(value) + fabs(constant)) + s->net->underflow;
    return value == value ? value : -INFINITY;
}

/* The multiplier β ≥ 0 of the half-space for which the dual function is greatest; see minimise() in backward.py.
 * Sorting by insertion suits the few inputs of narrow problems; for wide ones the breakpoints are taken off a heap-free
 * selection, which stops early. */
static double best_multiplier(slir_space *s, const double *row) {
    double slope = s->offset;
    int count = 0;
    for (int q = 0; q < s->inputs; q++) {
        double g = s->normal[q], direction = row[q] != 0.0 ? row[q] : g;
        slope += g * (direction > 0 ? s->lower[q] : s->upper[q]);
        if (g != 0.0 && row[q] != 0.0 && (row[q] > 0) != (g > 0)) {
            double at = -row[q] / g;
            if (at < INFINITY) s->breakpoints[q] = at, s->order[count++] = q;
        }
    }
    if (!(slope > 0)) return 0.0;
    double last = 0.0;
    for (int done = 0; done < count; done++) {
        int least = done;
        for (int p = done + 1; p < count; p++)
            if (s->breakpoints[s->order[p]] < s->breakpoints[s->order[least]]) least = p;
        int q = s->order[least];
        s->order[least] = s->order[done], s->order[done] = q;
        last = s->breakpoints[q];
        slope -= fabs(s->normal[q]) * (s->upper[q] - s->lower[q]);
        if (slope <= 0) return last;
    }
    return last;
}

/* Lower bound of row·x + constant over the region; `*used` is the multiplier of the half-space. */
static double region_minimum(slir_space *s, const double *row, double constant, double *used) {
    double value = box_minimum(s, row, constant);
    *used = 0.0;
    if (!s->has_half_space) return value;
    double beta = best_multiplier(s, row);
    if (!(beta > 0)) return value;
    double *mixed = s->forward_a;
    vec charged = splat(0.0);
    for (int j = 0; j < s->padded_inputs; j += WIDTH) {
        vec part = splat(beta) * load(s->normal + j);
        charged += magnitude(part) * load(s->charge + j);
        store(mixed + j, load(row + j) + part);
    }
    double shift = beta * s->offset;
    double base = constant + shift - total(charged) * (1.0 + 0x1p-30) -
                  8 * 0x1p-53 * (fabs(shift) + fabs(constant)) - s->net->underflow;
    double improved = box_minimum(s, mixed, base);
    if (!(improved > value)) return value;
    *used = beta;
    return improved;
}

/* A point where row·x takes its minimum over the region, up to rounding; for gradients and candidates, not for bounds. */
static void minimiser(const slir_space *s, const double *row, double beta, double *point) {
    for (int q = 0; q < s->inputs; q++) {
        double mixed = row[q] + beta * s->normal[q];
        point[q] = mixed > 0 ? s->lower[q] : s->upper[q];
    }
    if (!(beta > 0)) return;
    double level = s->offset;
    for (int q = 0; q < s->inputs; q++) {
        double part = beta * s->normal[q];
        if (fabs(row[q] + part) <= 1e-12 * (fabs(row[q]) + fabs(part)))
            point[q] = s->normal[q] > 0 ? s->lower[q] : s->upper[q];
        level += s->normal[q] * point[q];
    }
    for (int q = 0; q < s->inputs && level < 0; q++) {
        double part = beta * s->normal[q];
        if (s->normal[q] == 0.0 || fabs(row[q] + part) > 1e-12 * (fabs(row[q]) + fabs(part))) continue;
        double step = -level / fabs(s->normal[q]), room = s->upper[q] - s->lower[q];
        if (step > room) step = room;
        point[q] += s->normal[q] > 0 ? step : -step;
        level += step * fabs(s->normal[q]);
    }
}
