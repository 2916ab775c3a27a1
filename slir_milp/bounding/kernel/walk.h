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
static inline void through_lines(const slir_level *v, double *c, int multiplied, double *constant, double *error,
                                 double *mass) {
    vec sum = splat(0.0), charged = splat(0.0), heavy = splat(0.0);
    for (int j = 0; j < v->padded; j += WIDTH) {
        vec x = load(c + j);
        vec rising = positive_part(x), falling = negative_part(x, rising);
        /* Where nothing bounds a neuron its offset is infinite: a row that does not speak of it goes on. */
        vec low = (vec)((mask)(rising * load(v->lower_offset + j)) & (mask)(x > splat(0.0)));
        vec high = (vec)((mask)(falling * load(v->upper_offset + j)) & (mask)(x < splat(0.0)));
        vec y = rising * load(v->lower_slope + j) + falling * load(v->upper_slope + j);
        if (multiplied) {
            vec extra = load(v->multiplier + j), cost = load(v->multiplied + j);
            y += extra;
            sum += cost, heavy += magnitude(cost);
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
            through_lines(v, *rows + (int64_t)r * s->width, trace && s->settings.split_activations,
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

/* What rounding is charged when a row is minimised over the box. */
static double input_charge(const slir_space *s, const double *row) {
    double sum = 0.0;
    for (int q = 0; q < s->inputs; q++) sum += 2.0 * fabs(row[q]) * s->charge[q];
    return sum;
}

/* Whether a quantity in which so much was charged for rounding is positive, with the margin that is asked for. */
static int is_past(const slir_space *s, double value, double charge) {
    return s->settings.margin > 0 ? value > s->settings.margin * charge : value > 0;
}

/* The multiplier β ≥ 0 of a half-space for which the dual function is greatest; see minimise() in backward.py.  Breakpoints
 * are selected one after another, least first, until the slope turns. */
static double best_multiplier(slir_space *s, const double *row, const double *normal, double offset) {
    double slope = offset;
    int count = 0;
    for (int q = 0; q < s->inputs; q++) {
        double g = normal[q], direction = row[q] != 0.0 ? row[q] : g;
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
        slope -= fabs(normal[q]) * (s->upper[q] - s->lower[q]);
        if (slope <= 0) return last;
    }
    return last;
}

/* Which half-space was mixed into a row last, and with which multiplier; −1 if none was. */
typedef struct {
    int last;
    double beta;
} slir_mix;

/* Lower bound of row·x + constant over the region: the half-spaces are mixed in one after another, each with the best
 * multiplier for the row as it is by then, and kept if that helps.  Leaves the row before the last mix in `s->before`. */
static double region_minimum(slir_space *s, const double *row, double constant, slir_mix *mix) {
    double value = box_minimum(s, row, constant);
    mix->last = -1, mix->beta = 0.0;
    const double *current = row;
    size_t size = (size_t)s->padded_inputs * sizeof(double);
    for (int h = 0; h < s->half_spaces; h++) {
        const double *normal = s->normals + (int64_t)h * s->padded_inputs;
        double beta = best_multiplier(s, current, normal, s->offsets[h]);
        s->betas[h] = 0.0;
        if (!(beta > 0)) continue;
        vec charged = splat(0.0);
        for (int j = 0; j < s->padded_inputs; j += WIDTH) {
            vec part = splat(beta) * load(normal + j);
            charged += magnitude(part) * load(s->charge + j);
            store(s->trial + j, load(current + j) + part);
        }
        double shift = beta * s->offsets[h];
        double base = constant + shift - total(charged) * (1.0 + 0x1p-30) -
                      8 * 0x1p-53 * (fabs(shift) + fabs(constant)) - s->net->underflow;
        double improved = box_minimum(s, s->trial, base);
        if (!(improved > value)) continue;
        value = improved, constant = base, mix->last = h, mix->beta = s->betas[h] = beta;
        memcpy(s->before, current, size);
        memcpy(s->mixed, s->trial, size);
        current = s->mixed;
    }
    return value;
}

/* A point where the row takes its minimum over the region, up to rounding; for gradients and candidates, not for bounds. */
static void minimiser(const slir_space *s, const double *row, slir_mix mix, double *point) {
    if (mix.last < 0) {
        for (int q = 0; q < s->inputs; q++) point[q] = row[q] > 0 ? s->lower[q] : s->upper[q];
        return;
    }
    const double *normal = s->normals + (int64_t)mix.last * s->padded_inputs;
    double level = s->offsets[mix.last];
    for (int q = 0; q < s->inputs; q++) {
        double part = mix.beta * normal[q], mixed = s->before[q] + part;
        int tied = fabs(mixed) <= 1e-12 * (fabs(s->before[q]) + fabs(part));
        point[q] = (tied ? normal[q] : mixed) > 0 ? s->lower[q] : s->upper[q];
        level += normal[q] * point[q];
    }
    /* Tied inputs started where the half-space is met best; now back to its boundary. */
    for (int q = 0; q < s->inputs && level < 0; q++) {
        double part = mix.beta * normal[q];
        if (normal[q] == 0.0 || fabs(s->before[q] + part) > 1e-12 * (fabs(s->before[q]) + fabs(part))) continue;
        double step = -level / fabs(normal[q]), room = s->upper[q] - s->lower[q];
        if (step > room) step = room;
        point[q] += normal[q] > 0 ? step : -step;
        level += step * fabs(normal[q]);
    }
}
