/* Where to split: gap attribution.
 *
 * The bound is lost in two ways: at the input, |row_q|·half_width_q for leaving input q free, and at every unstable neuron,
 * |coefficient|·height for the gap of its envelope.  The second is charged to the inputs by their shares in the width of
 * the neuron's own interval, or to the neuron itself.
 */

/* Best input to split, or −1 if none has room; `*score` is the part of the loss it answers for. */
static int input_to_split(slir_space *s, double *score) {
    double *scores = s->scores;
    for (int q = 0; q < s->inputs; q++) scores[q] = fabs(s->row[q]) * s->half_width[q];
    for (int k = 0; k < s->net->depth; k++) {
        const slir_level *v = &s->levels[k];
        for (int i = 0; i < v->alive; i++) {
            if (!v->open[i]) continue;
            double paid = fabs(v->trace[i]) * v->height[i];
            const double *share = s->share_all + (int64_t)(s->net->first[k] + v->index[i]) * s->inputs;
            for (int q = 0; q < s->inputs; q++) scores[q] += paid * share[q];
        }
    }
    int best = -1;
    double widest = 0.0;
    for (int pass = 0; pass < 2 && best < 0; pass++)
        for (int q = 0; q < s->inputs; q++) {
            double middle = s->centre[q];
            if (!(middle > s->lower[q] && middle < s->upper[q])) continue; /* at most one ulp wide */
            if (!(2 * s->half_width[q] > s->clause->least_width[q])) continue;
            double x = pass ? s->half_width[q] : scores[q];
            if (x > widest) widest = x, best = q;
        }
    *score = best >= 0 ? scores[best] : 0.0;
    return best;
}

/* Whether a curve's interval may be split further. */
static int is_wide(const slir_space *s, const slir_interval *v) {
    double lower = fabs(v->lower), upper = fabs(v->upper), large = lower > upper ? lower : upper;
    return v->upper - v->lower > s->settings.least_interval * (large > 1.0 ? large : 1.0) && large < INFINITY;
}

/* Best neuron to split, by its index over all layers, or −1 if none is unstable. */
static int neuron_to_split(slir_space *s, double *score) {
    int best = -1, any = -1;
    double most = 0.0;
    for (int k = 0; k < s->net->depth; k++) {
        const slir_level *v = &s->levels[k];
        for (int i = 0; i < v->alive; i++) {
            if (!v->open[i] || (v->curve[i] && !is_wide(s, &v->interval[i]))) continue;
            if (any < 0) any = s->net->first[k] + v->index[i];
            double paid = fabs(v->trace[i]) * v->height[i];
            if (paid > most) most = paid, best = s->net->first[k] + v->index[i];
        }
    }
    *score = most;
    return best >= 0 ? best : any;
}

/* Area between the lines of least area on a part of a curve's interval. */
static double area_between(const slir_curve *curve, double lower, double upper) {
    slir_interval part;
    double slope, at, middle = 0.5 * lower + 0.5 * upper;
    slir_prepare(curve, lower, upper, &part);
    double above = slir_least_area(curve, 1.0, &part, &slope, &at);
    above += slope * middle;
    double below = slir_least_area(curve, -1.0, &part, &slope, &at);
    below += slope * middle;
    return (above + below) * (upper - lower);
}

/* Where to divide a curve's interval: at the candidate that leaves the least area in both parts together.  Candidates are
 * seven even points and the ends of pieces (inflections, corners, jumps) that are not too near to an end. */
static double split_point(const slir_curve *curve, const slir_interval *v) {
    double width = v->upper - v->lower, best = 0.5 * v->lower + 0.5 * v->upper, least = INFINITY;
    int first = curve->piece[v->first] + 1, last = curve->piece[v->last];
    for (int t = 0; t < 7 + (last - first + 1 < 16 ? last - first + 1 : 16); t++) {
        double at = t < 7 ? v->lower + width * (t + 1) / 8.0 : curve->knot[curve->first[first + t - 7]];
        if (!(at > v->lower + 0.05 * width && at < v->upper - 0.05 * width)) continue;
        double area = area_between(curve, v->lower, at) + area_between(curve, at, v->upper);
        if (area < least) least = area, best = at;
    }
    return best;
}

/* Puts a neuron below its point of division in the first region, above in the second; returns that point. */
static double split_neuron(slir_space *s, int neuron, double *first, double *second, int8_t *first_side, int8_t *second_side) {
    int k = 0;
    while (k + 1 < s->net->depth && s->net->first[k + 1] <= neuron) k++;
    first[s->layout.settled] = second[s->layout.settled] = k;
    const slir_level *v = &s->levels[k];
    for (int i = 0; i < v->alive; i++)
        if (v->index[i] == neuron - s->net->first[k] && v->curve[i]) {
            double at = split_point(v->curve[i], &v->interval[i]);
            int before = first_side[neuron];
            first[s->layout.neuron_upper + neuron] = second[s->layout.neuron_lower + neuron] = at;
            first_side[neuron] = before > 0 ? 2 : -1;
            second_side[neuron] = before == -1 || before == 2 ? 2 : 1;
            return at;
        }
    first_side[neuron] = -1, second_side[neuron] = 1;
    return 0.0;
}
