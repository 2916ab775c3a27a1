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
            double x = pass ? s->half_width[q] : scores[q];
            if (x > widest) widest = x, best = q;
        }
    *score = best >= 0 ? scores[best] : 0.0;
    return best;
}

/* Best neuron to split, by its index over all layers, or −1 if none is unstable. */
static int neuron_to_split(slir_space *s, double *score) {
    int best = -1, any = -1;
    double most = 0.0;
    for (int k = 0; k < s->net->depth; k++) {
        const slir_level *v = &s->levels[k];
        for (int i = 0; i < v->alive; i++) {
            if (!v->open[i]) continue;
            if (any < 0) any = s->net->first[k] + v->index[i];
            double paid = fabs(v->trace[i]) * v->height[i];
            if (paid > most) most = paid, best = s->net->first[k] + v->index[i];
        }
    }
    *score = most;
    return best >= 0 ? best : any;
}
