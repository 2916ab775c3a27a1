/* Lines around each activation, and the restriction of a layer to the neurons that matter (see lines.py). */

/* Lines of one neuron; `kink` is the proposed slope of the line through the kink.  Returns whether the neuron is unstable. */
static int lines_of(double negative, double positive, double lower, double upper, double kink, double *lower_slope,
                    double *lower_offset, double *upper_slope, double *upper_offset, double *height) {
    *height = 0.0;
    if (!(lower < 0 && upper > 0) || negative == positive) {
        *lower_slope = *upper_slope = lower >= 0 ? positive : negative;
        *lower_offset = *upper_offset = 0.0;
        return 0;
    }
    double least = negative < positive ? negative : positive, greatest = negative < positive ? positive : negative;
    double chord = (positive * upper - negative * lower) / (upper - lower);
    if (!(chord >= least)) chord = least; /* NaN too */
    if (chord > greatest) chord = greatest;
    if (!(kink >= least)) kink = least;
    if (kink > greatest) kink = greatest;
    double right = fabs(positive - chord) * upper, left = fabs(chord - negative) * -lower;
    double offset = (right > left ? right : left) * (1.0 + 8.0 * 0x1p-53) + DBL_MIN;
    if (!(right < INFINITY && left < INFINITY)) offset = INFINITY;
    if (positive > negative) {
        *lower_slope = kink, *lower_offset = 0.0, *upper_slope = chord, *upper_offset = offset;
    } else {
        *lower_slope = chord, *lower_offset = -offset, *upper_slope = kink, *upper_offset = 0.0;
    }
    *height = offset;
    return 1;
}

/* The longer half-line of a hinge; one that is as long but for rounding does not count as longer, so that everybody who
 * bounds the region chooses alike. */
static inline double start_slope(double negative, double positive, double lower, double upper) {
    return upper > -lower * (1.0 + 0x1p-20) ? positive : negative;
}

/* Slopes of a hinge's free line are multiples of a share of the way between the hinge's own: a proof is to be small. */
#define SHARES 128.0

static inline double shared_slope(double negative, double positive, double k) {
    return k <= 0 ? negative : k >= SHARES ? positive : negative + (positive - negative) * (k / SHARES);
}

/* Range of a hinge over an interval, not rounded. */
static inline void hinge_range(double negative, double positive, double lower, double upper, double *low, double *high) {
    double left = lower < 0 ? negative : positive, right = upper < 0 ? negative : positive;
    double a = left == 0.0 ? 0.0 : left * lower, b = right == 0.0 ? 0.0 : right * upper; /* not 0·∞ */
    *low = a < b ? a : b, *high = a < b ? b : a;
    if (lower < 0 && upper > 0) *low = *low < 0 ? *low : 0.0, *high = *high > 0 ? *high : 0.0;
}

/* Shifts one line of alive neuron a, a curve, to the slope it has. */
static inline void shift_lower(slir_level *v, int a) {
    v->lower_offset[a] = -slir_offset(v->curve[a], -1.0, -v->lower_slope[a], &v->interval[a], &v->lower_touch[a]);
}
static inline void shift_upper(slir_level *v, int a) {
    v->upper_offset[a] = slir_offset(v->curve[a], 1.0, v->upper_slope[a], &v->interval[a], &v->upper_touch[a]);
}

/* Height of a curve's envelope in the middle of its interval: the area between its lines for the interval's width. */
static inline double middle_height(const slir_level *v, int a) {
    double middle = 0.5 * v->interval[a].lower + 0.5 * v->interval[a].upper;
    double height = (v->upper_slope[a] - v->lower_slope[a]) * middle + (v->upper_offset[a] - v->lower_offset[a]);
    return height < 1e300 ? height : 1e300;
}

/* Lines around a curve, as alive neuron a: those of least area, unless the usual rule is asked for. */
static void lines_of_curve(const slir_space *s, slir_level *v, int a, const slir_curve *curve, double lower, double upper) {
    slir_interval *interval = &v->interval[a];
    double slope;
    v->curve[a] = curve;
    slir_prepare(curve, lower, upper, interval);
    if (s->settings.hand_crafted) {
        v->upper_offset[a] = slir_hand_crafted(curve, 1.0, interval, &v->upper_slope[a], &v->upper_touch[a]);
        v->lower_offset[a] = -slir_hand_crafted(curve, -1.0, interval, &slope, &v->lower_touch[a]);
    } else {
        v->upper_offset[a] = slir_least_area(curve, 1.0, interval, &v->upper_slope[a], &v->upper_touch[a]);
        v->lower_offset[a] = -slir_least_area(curve, -1.0, interval, &slope, &v->lower_touch[a]);
    }
    v->lower_slope[a] = -slope;
    if (!(v->upper_offset[a] < INFINITY)) v->upper_slope[a] = 0.0;
    if (!(v->lower_offset[a] > -INFINITY)) v->lower_slope[a] = 0.0;
    v->height[a] = middle_height(v, a);
    if (s->settings.interval_step) slir_range(curve, interval, &v->range_low[a], &v->range_high[a]);
}

static inline const slir_curve *curve_of(const slir_net *net, const slir_map *map, int i) {
    return map->curve && map->curve[i] >= 0 ? net->curves[map->curve[i]] : NULL;
}

static inline int is_unstable(const slir_net *net, const slir_map *map, int i, double lower, double upper) {
    const slir_curve *curve = curve_of(net, map, i);
    if (curve) return lower < upper && !(curve->straight && slir_is_line(curve, lower, upper));
    return lower < 0 && upper > 0 && map->negative[i] != map->positive[i];
}

/* Fills level k from the bounds of its neurons: which are alive, their lines, and the matrix between the alive ones. */
static void restrict_level(slir_space *s, int k, const double *lower, const double *upper, const int8_t *sides) {
    const slir_map *map = &s->net->maps[k];
    slir_level *v = &s->levels[k];
    double *best_lower = s->best_slopes + s->net->first[k], *best_upper = best_lower + s->net->neurons;
    int m = 0;
    for (int i = 0; i < map->rows; i++) {
        const slir_curve *curve = curve_of(s->net, map, i);
        int side = sides ? sides[i] : 0, open;
        if (curve) {
            lines_of_curve(s, v, m, curve, lower[i], upper[i]);
            open = is_unstable(s->net, map, i, lower[i], upper[i]);
            best_lower[i] = v->lower_slope[m], best_upper[i] = v->upper_slope[m];
        } else {
            double ls, lo, us, uo, height, kink = start_slope(map->negative[i], map->positive[i], lower[i], upper[i]);
            open = lines_of(map->negative[i], map->positive[i], lower[i], upper[i], kink, &ls, &lo, &us, &uo, &height);
            best_lower[i] = best_upper[i] = kink;
            if (!open && ls == 0.0 && us == 0.0 && !side) continue;
            v->lower_slope[m] = ls, v->lower_offset[m] = lo, v->upper_slope[m] = us, v->upper_offset[m] = uo;
            v->height[m] = height, v->convex[m] = map->positive[i] > map->negative[i], v->curve[m] = NULL;
            hinge_range(map->negative[i], map->positive[i], lower[i], upper[i], &v->range_low[m], &v->range_high[m]);
        }
        if (s->log.on) {
            double *start = s->start_slopes + s->net->first[k] + i;
            start[0] = best_lower[i], start[s->net->neurons] = best_upper[i];
        }
        v->index[m] = i, v->open[m] = (uint8_t)open;
        v->charge[m] = map->charge[i], v->bias[m] = map->bias[i];
        v->side[m] = (int8_t)side, v->multiplier[m] = v->multiplied[m] = 0.0;
        m++;
    }
    v->alive = m, v->padded = PAD(m);
    for (int i = m; i < v->padded; i++) {
        v->lower_slope[i] = v->lower_offset[i] = v->upper_slope[i] = v->upper_offset[i] = 0.0;
        v->charge[i] = v->bias[i] = v->height[i] = v->trace[i] = v->argument[i] = v->result[i] = 0.0;
        v->multiplier[i] = v->multiplied[i] = 0.0;
        v->open[i] = 0, v->side[i] = 0, v->curve[i] = NULL;
    }
}

/* Copies the rows of map k that are alive, on the columns that are alive below. */
static void restrict_matrix(slir_space *s, int k) {
    const slir_map *map = &s->net->maps[k];
    slir_level *v = &s->levels[k];
    const slir_level *below = k ? &s->levels[k - 1] : NULL;
    if (map->dense) {
        int columns = below ? below->alive : s->inputs;
        v->stride = below ? below->padded : s->padded_inputs;
        for (int a = 0; a < v->alive; a++) {
            const double *from = map->dense + (int64_t)v->index[a] * map->stride;
            double *to = v->weight + (int64_t)a * v->stride;
            if (below)
                for (int j = 0; j < columns; j++) to[j] = from[below->index[j]];
            else
                memcpy(to, from, (size_t)columns * sizeof(double));
            for (int j = columns; j < v->stride; j++) to[j] = 0.0;
        }
        return;
    }
    /* For a sparse matrix `order`-like renaming of columns: position of each neuron below, or −1. */
    int *position = s->unstable; /* free at this point */
    if (below) {
        for (int j = 0; j < map->columns; j++) position[j] = -1;
        for (int j = 0; j < below->alive; j++) position[below->index[j]] = j;
    }
    int filled = 0;
    for (int a = 0; a < v->alive; a++) {
        v->start[a] = filled;
        for (int p = map->start[v->index[a]]; p < map->start[v->index[a] + 1]; p++) {
            int j = below ? position[map->column[p]] : map->column[p];
            if (j >= 0) v->column[filled] = j, v->value[filled++] = map->value[p];
        }
    }
    v->start[v->alive] = filled;
    v->stride = below ? below->padded : s->padded_inputs;
}

/* One row of map k (hidden or output) on the columns alive below, times `sign`. */
static void gather_row(const slir_space *s, int k, int row, double sign, double *to) {
    const slir_map *map = &s->net->maps[k];
    const slir_level *below = k ? &s->levels[k - 1] : NULL;
    int columns = below ? below->alive : s->inputs, padded = below ? below->padded : s->padded_inputs;
    if (map->dense) {
        const double *from = map->dense + (int64_t)row * map->stride;
        if (below)
            for (int j = 0; j < columns; j++) to[j] = sign * from[below->index[j]];
        else
            for (int j = 0; j < columns; j++) to[j] = sign * from[j];
        for (int j = columns; j < padded; j++) to[j] = 0.0;
        return;
    }
    double *full = s->forward_b; /* scattered, then gathered */
    for (int j = 0; j < padded; j++) to[j] = 0.0;
    if (!below) {
        for (int p = map->start[row]; p < map->start[row + 1]; p++) to[map->column[p]] = sign * map->value[p];
        return;
    }
    for (int p = map->start[row]; p < map->start[row + 1]; p++) full[map->column[p]] = sign * map->value[p];
    for (int j = 0; j < columns; j++) to[j] = full[below->index[j]];
    for (int p = map->start[row]; p < map->start[row + 1]; p++) full[map->column[p]] = 0.0;
}
