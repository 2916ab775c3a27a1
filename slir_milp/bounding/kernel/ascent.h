/* The bound of the conjunction, and its ascent over the slopes, the multipliers and the rows' weights.
 *
 * A counterexample makes every row ≤ 0, hence every convex combination.  By Danskin's theorem the derivative of the bound
 * by anything that was chosen is its partial derivative at the minimiser: walk back (coefficients), take the minimiser,
 * walk it forward along the lines that were used; then a slope's derivative is coefficient × (argument − touching point),
 * a multiplier's is argument − end, and a row's weight gets the row's value there.
 */

/* Starts `rows` of the clause (or their combination) at the outputs and takes them through the output map. */
static void start_row(slir_space *s, const double *coefficients, double *to, double *constant, double *error) {
    const slir_map *map = &s->net->maps[s->net->depth];
    const slir_level *below = s->net->depth ? &s->levels[s->net->depth - 1] : NULL;
    int columns = below ? below->alive : s->inputs, padded = below ? below->padded : s->padded_inputs;
    for (int j = 0; j < padded; j++) to[j] = 0.0;
    double sum = 0.0, charged = 0.0;
    for (int o = 0; o < map->rows; o++) {
        double c = coefficients[o];
        if (c == 0.0) continue;
        sum += c * map->bias[o], charged += fabs(c) * map->charge[o];
        if (map->dense) {
            const double *w = map->dense + (int64_t)o * map->stride;
            if (below)
                for (int j = 0; j < columns; j++) to[j] += c * w[below->index[j]];
            else
                for (int j = 0; j < columns; j++) to[j] += c * w[j];
        } else {
            gather_row(s, s->net->depth, o, 1.0, s->forward_a);
            for (int j = 0; j < columns; j++) to[j] += c * s->forward_a[j];
        }
    }
    *constant += sum, *error += charged;
}

static void add_inputs(const slir_space *s, const double *direct, double *row, double *error) {
    double charged = 0.0;
    for (int q = 0; q < s->inputs; q++) {
        charged += (fabs(direct[q]) + fabs(row[q])) * s->charge[q];
        row[q] += direct[q];
    }
    *error += charged;
}

/* Walks a point forward along the lines that the last row used: argument and result of the first `upto` levels. */
static void walk_forward(slir_space *s, const double *point, int upto) {
    const slir_net *net = s->net;
    const double *below = point;
    int padded = s->padded_inputs;
    for (int k = 0; k < upto; k++) {
        slir_level *v = &s->levels[k];
        if (net->maps[k].dense)
            apply(v->alive, padded, v->weight, v->stride, below, v->argument);
        else
            for (int i = 0; i < v->alive; i++) {
                double sum = 0.0;
                for (int p = v->start[i]; p < v->start[i + 1]; p++) sum += v->value[p] * below[v->column[p]];
                v->argument[i] = sum;
            }
        for (int j = 0; j < v->padded; j += WIDTH) {
            vec x = load(v->argument + j) + load(v->bias + j);
            mask up = (mask)(load(v->trace + j) > splat(0.0));
            vec slope = choose(up, load(v->lower_slope + j), load(v->upper_slope + j));
            vec offset = choose(up, load(v->lower_offset + j), load(v->upper_offset + j));
            store(v->argument + j, x);
            offset = choose((mask)(magnitude(offset) < splat(INFINITY)), offset, splat(0.0));
            store(v->result + j, slope * x + offset);
        }
        below = v->result, padded = v->padded;
    }
}

/* Values of the clause's rows there. */
static void value_rows(slir_space *s, const double *point, double *row_values) {
    const slir_net *net = s->net;
    const double *below = net->depth ? s->levels[net->depth - 1].result : point;
    int padded = net->depth ? s->levels[net->depth - 1].padded : s->padded_inputs;
    const slir_clause *clause = s->clause;
    const slir_map *map = &net->maps[net->depth];
    for (int o = 0; o < map->rows; o++) {
        gather_row(s, net->depth, o, 1.0, s->forward_a);
        s->outputs[o] = dot(padded, s->forward_a, below) + map->bias[o];
    }
    for (int r = 0; r < clause->rows; r++) {
        double value = clause->constants[r];
        for (int o = 0; o < clause->outputs; o++) value += clause->coefficients[(int64_t)r * clause->outputs + o] * s->outputs[o];
        for (int q = 0; q < s->inputs; q++) value += clause->inputs[(int64_t)r * s->inputs + q] * point[q];
        row_values[r] = value;
    }
}

/* Bound of one combination of rows; leaves its input row in `s->row` and the coefficients met in every level's trace. */
static double bound_combination(slir_space *s, const double *weights, double *constant_out, slir_mix *mix,
                                double *rounding) {
    const slir_clause *clause = s->clause;
    double *combined = s->outputs, constant = 0.0, cost = 0.0, error = 0.0, mass = 0.0;
    for (int o = 0; o < clause->outputs; o++) combined[o] = 0.0;
    for (int r = 0; r < clause->rows; r++) {
        double w = weights[r];
        if (!(w > 0)) continue;
        for (int o = 0; o < clause->outputs; o++) combined[o] += w * clause->coefficients[(int64_t)r * clause->outputs + o];
        constant += w * clause->constants[r], cost += w * clause->cost[r];
        mass += w * fabs(clause->constants[r]);
    }
    double *a = s->rows_a, *b = s->rows_b;
    start_row(s, combined, a, &constant, &error);
    walk_back(s, s->net->depth, 1, &a, &b, &constant, &error, &mass, 1);
    for (int r = 0; r < clause->rows; r++) {
        double w = weights[r];
        if (!(w > 0)) continue;
        const double *direct = clause->inputs + (int64_t)r * s->inputs;
        double *scaled = s->forward_a;
        int any = 0;
        for (int q = 0; q < s->inputs; q++) any |= (scaled[q] = w * direct[q]) != 0.0;
        if (any) add_inputs(s, scaled, a, &error);
    }
    memcpy(s->row, a, (size_t)s->padded_inputs * sizeof(double));
    *constant_out = settled(s, constant - cost * (1.0 + 0x1p-30), error, mass);
    *rounding = constant - *constant_out;
    *rounding += input_charge(s, s->row);
    return region_minimum(s, s->row, *constant_out, mix);
}

/* Whether the best combination refutes the conjunction: its bound is positive, or zero and some row in it is strict.  With
 * a margin zero is not enough. */
static int refutes(const slir_space *s, double value) {
    const double *weights = s->best_weights;
    if (is_past(s, value, s->best_rounding)) return 1;
    if (!(value >= 0) || s->settings.margin > 0) return 0;
    for (int r = 0; r < s->clause->rows; r++)
        if (weights[r] > 0 && s->clause->strict[r]) return 1;
    return 0;
}

static void keep_best(slir_space *s, double value, double constant, double rounding, double *best, double *best_constant) {
    *best = value, *best_constant = constant, s->best_rounding = rounding;
    memcpy(s->best_row, s->row, (size_t)s->padded_inputs * sizeof(double));
    memcpy(s->best_point, s->point, (size_t)s->padded_inputs * sizeof(double));
    memcpy(s->best_weights, s->weights, (size_t)s->clause->rows * sizeof(double));
    for (int k = 0; k < s->net->depth; k++) {
        const slir_level *v = &s->levels[k];
        double *lower = s->best_slopes + s->net->first[k], *upper = lower + s->net->neurons;
        for (int i = 0; i < v->alive; i++) {
            if (!v->open[i]) continue;
            int own = v->curve[i] || v->convex[i], hinge = !v->curve[i];
            lower[v->index[i]] = own ? v->lower_slope[i] : v->upper_slope[i];
            upper[v->index[i]] = hinge && own ? v->lower_slope[i] : v->upper_slope[i];
        }
        for (int i = 0; i < v->alive && s->settings.split_activations; i++)
            if (v->side[i]) s->best_multipliers[s->net->first[k] + v->index[i]] = v->multiplier[i];
    }
    keep_used(s, s->net->depth);
}

/* Moves the free slope of a hinge, uphill: its line touches at zero, so the derivative is coefficient × argument. */
static void step_hinge(const slir_map *map, slir_level *v, int i, double step) {
    double rise = v->trace[i] * v->argument[i], *slope = v->convex[i] ? &v->lower_slope[i] : &v->upper_slope[i];
    double negative = map->negative[v->index[i]], positive = map->positive[v->index[i]], range = positive - negative;
    if ((v->trace[i] > 0) != v->convex[i] || !(rise != 0.0) || !(fabs(range) < INFINITY)) return;
    double move = (rise > 0) == (range > 0) ? step : -step;
    *slope = shared_slope(negative, positive, floor(SHARES * ((*slope - negative) / range + move) + 0.5));
}

/* Moves the slope that was used by a share of its range, uphill.  Its derivative is coefficient × (argument − touching
 * point). */
static void step_curve(slir_level *v, int i, double step) {
    int above = !(v->trace[i] > 0);
    double touch = above ? v->upper_touch[i] : v->lower_touch[i], least = v->interval[i].least, greatest = v->interval[i].greatest;
    double rise = v->trace[i] * (v->argument[i] - touch), range = greatest - least;
    if (!(rise != 0.0) || !(range < INFINITY)) return;
    double *slope = above ? &v->upper_slope[i] : &v->lower_slope[i];
    double next = *slope + (rise > 0 ? step : -step) * range;
    *slope = !(next > least) ? least : next > greatest ? greatest : next;
    if (above) shift_upper(v, i);
    else shift_lower(v, i);
}

/* A neuron that was put between ends has μ·(argument − end) ≤ 0; the derivative by μ is argument − end. */
static void step_multiplier(slir_level *v, int i, double step) {
    double m = v->multiplier[i], x = v->argument[i];
    if (!v->curve[i]) { /* cut at zero: only one sign is valid */
        double sigma = -(double)v->side[i], beta = m * sigma;
        beta += step * (sigma * x > 0 ? 1.0 : -1.0);
        v->multiplier[i] = beta > 0 ? beta * sigma : 0.0;
        return;
    }
    double lower = v->side[i] != -1 ? v->interval[i].lower : -INFINITY, upper = v->side[i] != 1 ? v->interval[i].upper : INFINITY;
    double next;
    if (m >= 0 && x > upper) next = m + step;
    else if (m <= 0 && x < lower) next = m - step;
    else next = m > step ? m - step : m < -step ? m + step : 0.0;
    v->multiplier[i] = next;
    v->multiplied[i] = next == 0.0 ? 0.0 : -next * (next > 0 ? upper : lower);
}

static void step_slopes(slir_space *s, int upto, double step, double curve_step) {
    for (int k = 0; k < upto; k++) {
        slir_level *v = &s->levels[k];
        double largest = 0.0;
        if (s->settings.split_activations)
            for (int i = 0; i < v->alive; i++) largest = fabs(v->trace[i]) > largest ? fabs(v->trace[i]) : largest;
        for (int i = 0; i < v->alive; i++) {
            if (v->open[i] && v->curve[i]) step_curve(v, i, curve_step);
            else if (v->open[i]) step_hinge(&s->net->maps[k], v, i, step);
            if (v->side[i]) step_multiplier(v, i, step * largest);
        }
    }
}

static void step_weights(slir_space *s, double step) {
    int rows = s->clause->rows;
    double largest = 0.0, sum = 0.0;
    for (int r = 0; r < rows; r++) largest = fabs(s->row_values[r]) > largest ? fabs(s->row_values[r]) : largest;
    if (!(largest > 0) || rows == 1) return;
    for (int r = 0; r < rows; r++) {
        double w = s->weights[r] + step * s->row_values[r] / largest;
        s->weights[r] = w > 0 ? w : 0.0;
        sum += s->weights[r];
    }
    if (!(sum > 0)) { /* every row is negative there: go back to the best */
        memcpy(s->weights, s->best_weights, (size_t)rows * sizeof(double));
        return;
    }
    for (int r = 0; r < rows; r++) s->weights[r] /= sum;
}

/* Bounds every row by itself and starts from the best; returns its value. */
static void start_weights(slir_space *s) {
    const slir_clause *clause = s->clause;
    int rows = clause->rows, best = 0;
    for (int r = 0; r < rows; r++) s->weights[r] = 0.0;
    if (rows > 1) {
        double *a = s->rows_a, *b = s->rows_b, top = -INFINITY;
        for (int r = 0; r < rows; r++) {
            s->constants[r] = clause->constants[r], s->masses[r] = fabs(clause->constants[r]), s->errors[r] = 0.0;
            start_row(s, clause->coefficients + (int64_t)r * clause->outputs, a + (int64_t)r * s->width, &s->constants[r],
                      &s->errors[r]);
        }
        walk_back(s, s->net->depth, rows, &a, &b, s->constants, s->errors, s->masses, 0);
        for (int r = 0; r < rows; r++) {
            slir_mix mix;
            double *row = a + (int64_t)r * s->width;
            add_inputs(s, clause->inputs + (int64_t)r * s->inputs, row, &s->errors[r]);
            double value = region_minimum(s, row, settled(s, s->constants[r], s->errors[r], s->masses[r]), &mix);
            if (value > top) top = value, best = r;
        }
    }
    s->weights[best] = 1.0;
}

/* The whole ascent.  Returns the best bound; its row, minimiser, slopes and weights are in the best_… fields.  `*tight` tells
 * whether no more than rounding keeps it from being positive. */
static double ascend(slir_space *s, double *constant, int *tight, slir_counts *counts) {
    const slir_net *net = s->net;
    double best = -INFINITY, first = 0.0, step = s->settings.first_step, curve_step = s->settings.curve_step;
    *constant = -INFINITY;
    for (int t = 0;; t++) {
        slir_mix mix;
        double at, rounding, value = bound_combination(s, s->weights, &at, &mix, &rounding);
        if (counts) counts->steps++;
        minimiser(s, s->row, mix, s->point);
        if (value > best || t == 0) {
            keep_best(s, value, at, rounding, &best, constant);
            *tight = value + 4.0 * rounding + s->settings.tight_tolerance >= 0;
        }
        if (t == 0) first = value;
        if (t >= 2 && -best > s->settings.patience * (best - first)) break; /* it will not get there */
        if (refutes(s, best) || t >= s->settings.ascent_steps || !(value > -INFINITY)) break;
        walk_forward(s, s->point, net->depth);
        value_rows(s, s->point, s->row_values);
        step_slopes(s, net->depth, step, curve_step);
        step_weights(s, step);
        step *= s->settings.decay, curve_step *= s->settings.curve_decay;
    }
    return best;
}
