/* Lines shifted until they touch a function that is known by a table (table.py has the contract, touch.py the theorems).
 *
 * Everything is said for lines above; a line below f is a line above −f mirrored, `sign` is −1 then.  All results are
 * rounded outward, and infinite where nothing is known; only additions, multiplications and divisions are used.
 */
#ifndef SLIR_CURVE_H
#define SLIR_CURVE_H

#include <float.h>
#include <math.h>
#include <stdint.h>

#define SLIR_DEGREE 7

typedef struct { /* as Table's arrays of the same names, one segment after another */
    double centre, coefficient[SLIR_DEGREE + 1];
    double error_low, error_high, slope_error, slope_low, slope_high, low, high;
} slir_segment;

typedef struct {
    int segments, pieces;
    int straight; /* whether some segment is exactly a line */
    const double *knot, *knot_low, *knot_high; /* segments + 1 */
    const slir_segment *segment;
    const int32_t *first;                      /* pieces + 1 */
    const int8_t *curvature;                   /* pieces */
    const int32_t *piece;                      /* of each segment */
    const double *steepness;                   /* segments: slope of the polynomial at the left knot */
} slir_curve;

/* An interval of arguments, what the polynomials say at its ends, and the extreme slopes in between. */
typedef struct {
    double lower, upper;
    int first, last;                  /* segments that hold the ends */
    double value_lower, value_upper;  /* of the polynomials */
    double slope_lower, slope_upper;
    double least, greatest;           /* all slopes of the function are between them */
} slir_interval;

#define SLIR_UNIT 0x1p-53

static inline int slir_segment_at(const slir_curve *c, double x) {
    int low = 0, count = c->segments;
    while (count > 1) {
        int half = count / 2;
        low = c->knot[low + half] <= x ? low + half : low;
        count -= half;
    }
    return low;
}

/* Value of the segment's polynomial and of its derivative. */
static inline double slir_polynomial(const slir_segment *s, double x, double *slope) {
    double t = x - s->centre, p = s->coefficient[SLIR_DEGREE], d = 0.0;
    for (int k = SLIR_DEGREE - 1; k >= 0; k--) {
        d = d * t + p;
        p = p * t + s->coefficient[k];
    }
    *slope = d;
    return p;
}

/* Upper end of sign·f at a point of segment i where the polynomial has the value p. */
static inline double slir_value(const slir_curve *c, int i, double sign, double x, double p) {
    const slir_segment *s = &c->segment[i];
    double error = sign > 0 ? s->error_high : s->error_low;
    if (error < INFINITY) {
        double value = sign * p + error;
        return value + 2 * SLIR_UNIT * fabs(value);
    }
    if (x == c->knot[i]) return sign > 0 ? c->knot_high[i] : -c->knot_low[i];
    if (x == c->knot[i + 1]) return sign > 0 ? c->knot_high[i + 1] : -c->knot_low[i + 1];
    double best = sign > 0 ? s->high : -s->low;
    for (int right = 0; right < 2; right++) {
        double from = c->knot[i + right], at = sign > 0 ? c->knot_high[i + right] : -c->knot_low[i + right];
        double rise = (sign > 0) != right ? s->slope_high : s->slope_low; /* of f, in the direction that lets it rise */
        double move = sign * rise * (x - from);
        double value = at + move;
        value += 4 * SLIR_UNIT * (fabs(at) + fabs(move)) + DBL_MIN;
        if (value < best) best = value;
    }
    return best;
}

/* value − slope·x, rounded up; plus infinity where it overflows. */
static inline double slir_height(double value, double slope, double x) {
    double product = slope * x, height = value - product;
    height += 4 * SLIR_UNIT * (fabs(value) + fabs(product)) + DBL_MIN;
    return height < INFINITY ? height : INFINITY;
}

/* Upper bound of sign·f − slope·x on [a, b] inside segment i, of which no curvature is known. */
static double slir_rough(const slir_curve *c, int i, double sign, double slope, double a, double b, double *x) {
    const slir_segment *s = &c->segment[i];
    double unused, top = sign > 0 ? s->high : -s->low, best = INFINITY;
    double pa = a > -INFINITY && a < INFINITY ? slir_polynomial(s, a, &unused) : 0.0;
    double pb = b > -INFINITY && b < INFINITY ? slir_polynomial(s, b, &unused) : 0.0;
    double fa = a > -INFINITY ? slir_value(c, i, sign, a, pa) : INFINITY;
    double fb = b < INFINITY ? slir_value(c, i, sign, b, pb) : INFINITY;
    double rise = sign > 0 ? s->slope_high : -s->slope_low, fall = sign > 0 ? s->slope_low : -s->slope_high;
    /* Three lines are above: from the left end as steep as can be, to the right end, and the level of the top. */
    double m[3], at_a[3], at_b[3];
    int lines = 0, smooth = (sign > 0 ? s->error_high : s->error_low) < INFINITY;
    double width = b - a;
    if (fa < INFINITY && rise < INFINITY) {
        double move = rise * width;
        if (width == 0.0) move = 0.0;
        m[lines] = rise, at_a[lines] = fa, at_b[lines++] = fa + move + 4 * SLIR_UNIT * (fabs(fa) + fabs(move));
    }
    if (fb < INFINITY && fall > -INFINITY) {
        double move = fall * width;
        if (width == 0.0) move = 0.0;
        m[lines] = fall, at_b[lines] = fb, at_a[lines++] = fb - move + 4 * SLIR_UNIT * (fabs(fb) + fabs(move));
    }
    if (top < INFINITY) m[lines] = 0.0, at_a[lines] = at_b[lines] = top, lines++;
    *x = fabs(a) < fabs(b) ? a : b;
    for (int k = 0; k < lines; k++) {
        /* One line alone. */
        double left = a > -INFINITY ? slir_height(at_a[k], slope, a) : m[k] >= slope ? -INFINITY : INFINITY;
        double right = b < INFINITY ? slir_height(at_b[k], slope, b) : m[k] <= slope ? -INFINITY : INFINITY;
        if (left == -INFINITY && right == -INFINITY) left = slir_height(at_a[k], 0.0, 0.0);
        double bound = left > right ? left : right;
        if (bound < best) best = bound, *x = left > right ? a : b;
        /* Two lines mixed so that the mixture is as steep as the line sought: then it matters little where. */
        for (int l = 0; l < lines && width < INFINITY; l++) {
            if (!(m[k] > slope && slope > m[l])) continue;
            double share = (slope - m[l]) / (m[k] - m[l]), rest = 1.0 - share;
            left = slir_height(share * at_a[k] + rest * at_a[l], slope, a);
            right = slir_height(share * at_b[k] + rest * at_b[l], slope, b);
            bound = left > right ? left : right;
            bound += 8 * SLIR_UNIT * (fabs(share * at_a[k]) + fabs(rest * at_a[l]) + fabs(share * at_b[k]) + fabs(rest * at_b[l]));
            if (bound < best) best = bound, *x = a + (at_a[l] - at_a[k]) / (m[k] - m[l]);
        }
    }
    if (smooth && width < INFINITY) { /* |p''| ≤ bend: the polynomial is at most its chord and bend·width²/8 */
        double from = fabs(a - s->centre), to = fabs(b - s->centre), radius = from > to ? from : to, bend = 0.0;
        for (int k = SLIR_DEGREE; k >= 2; k--) bend = bend * radius + k * (k - 1) * fabs(s->coefficient[k]);
        double left = slir_height(fa, slope, a), right = slir_height(fb, slope, b);
        double bound = left > right ? left : right, room = 0.125 * bend * width * width * (1 + 64 * SLIR_UNIT);
        bound += room + 4 * SLIR_UNIT * (fabs(bound) + room);
        if (bound < best) best = bound, *x = left > right ? a : b;
    }
    if (!(*x >= a)) *x = a;
    if (*x > b) *x = b;
    return best < INFINITY ? best : INFINITY;
}

/* Where the derivative of the segment's polynomial takes a value, by Newton's method from the secant; any answer will do.
 * Leaves the values of polynomial and derivative there. */
static inline double slir_root(const slir_segment *s, double wanted, double a, double b, double from, double to, double *value,
                               double *slope) {
    double share = (from - wanted) / (from - to), x = a + share * (b - a);
    double enough = s->slope_error + 0x1p-44 * fabs(wanted);
    if (!(x >= a && x <= b)) x = 0.5 * a + 0.5 * b;
    for (int step = 0;; step++) {
        double t = x - s->centre, p = s->coefficient[SLIR_DEGREE], d = 0.0, e = 0.0;
        for (int k = SLIR_DEGREE - 1; k >= 0; k--) {
            e = e * t + d;
            d = d * t + p;
            p = p * t + s->coefficient[k];
        }
        *value = p, *slope = d;
        double gap = d - wanted, next = e != 0.0 ? x - 0.5 * gap / e : b; /* e is half of the second derivative */
        if (!(next >= a)) next = a;
        if (next > b) next = b;
        if (fabs(gap) <= enough || next == x || step == 12) return x;
        x = next;
    }
}

/* How much steeper than the line the function may be, rounded up; zero if it is not. */
static inline double slir_excess(double steepness, double error, double slope) {
    double excess = (steepness - slope) + error + 4 * SLIR_UNIT * (fabs(steepness) + fabs(slope) + error);
    return excess > 0 ? excess : 0.0;
}

/* Upper bound of sign·f − slope·x on [a, b], which lies in segments first … last of a piece where sign·f is concave.
 * (Whatever x0 is, f(x) ≤ f(x0) + d(x − x0) with a one-sided derivative d there.) */
static double slir_concave(const slir_curve *c, double sign, double slope, const slir_interval *v, int first, int last,
                           double a, double b, double *x) {
    double left, right, pa = v->value_lower, pb = v->value_upper, wanted = sign * slope, at, p;
    if (first == v->first && a == v->lower) left = v->slope_lower;
    else pa = slir_polynomial(&c->segment[first], a, &left);
    if (last == v->last && b == v->upper) right = v->slope_upper;
    else pb = slir_polynomial(&c->segment[last], b, &right);
    int i = -1;
    double after = 0.0, before = 0.0; /* what the right derivative exceeds the slope by, and the left one lacks */
    if (sign * left - slope <= 0)
        i = first, at = a, p = pa, after = slir_excess(sign * left, c->segment[first].slope_error, slope);
    else if (sign * right - slope >= 0)
        i = last, at = b, p = pb, before = slir_excess(-sign * right, c->segment[last].slope_error, -slope);
    else {
        /* The slopes fall from segment to segment: the last one that begins steeper than the line has the touching
         * point, or its end is a corner. */
        int beyond = last + 1;
        i = first;
        while (beyond - i > 1) {
            int middle = (i + beyond) / 2;
            if (sign * c->steepness[middle] > slope) i = middle;
            else beyond = middle;
        }
        const slir_segment *s = &c->segment[i];
        double from = i == first ? a : c->knot[i], to = i == last ? b : c->knot[i + 1], d, end;
        double begin = i == first ? left : c->steepness[i];
        end = i == last ? right : c->steepness[i + 1]; /* at a corner the slope of the next: the root is at the end then */
        at = slir_root(s, wanted, from, to, begin, end, &p, &d);
        after = slir_excess(sign * d, s->slope_error, slope), before = slir_excess(-sign * d, s->slope_error, -slope);
        /* Past a point where the slope is known to have fallen below the line's, nothing can touch. */
        if (i > first && slir_excess(-sign * begin, s->slope_error, -slope) == 0.0) a = from;
        if (i < last) {
            double next = slir_excess(sign * c->steepness[i + 1], c->segment[i + 1].slope_error, slope);
            if (next == 0.0) b = to;
            if (at == to) after = next;
        }
    }
    *x = at;
    double height = slir_height(slir_value(c, i, sign, at, p), slope, at), ahead = after * (b - at), behind = before * (at - a);
    height += (ahead > behind ? ahead : behind) * (1 + 8 * SLIR_UNIT) + 2 * SLIR_UNIT * fabs(height) + DBL_MIN;
    return height < INFINITY ? height : INFINITY;
}

/* The least offset that the table proves: sign·f(x) ≤ slope·x + offset for all x of the interval; where it touches. */
static inline double slir_offset(const slir_curve *c, double sign, double slope, const slir_interval *v, double *x) {
    double best = -INFINITY, at;
    *x = v->lower;
    for (int j = c->piece[v->first]; j <= c->piece[v->last]; j++) {
        int first = c->first[j] > v->first ? c->first[j] : v->first;
        int last = c->first[j + 1] - 1 < v->last ? c->first[j + 1] - 1 : v->last;
        double a = first == v->first ? v->lower : c->knot[first], b = last == v->last ? v->upper : c->knot[last + 1];
        double height;
        if (c->curvature[j] == 0) {
            height = -INFINITY;
            at = a;
            for (int i = first; i <= last; i++) {
                double from = i == first ? a : c->knot[i], to = i == last ? b : c->knot[i + 1], where;
                double here = slir_rough(c, i, sign, slope, from, to, &where);
                if (here > height) height = here, at = where;
            }
        } else if (sign * c->curvature[j] > 0) {
            double unused;
            double pa = first == v->first ? v->value_lower : slir_polynomial(&c->segment[first], a, &unused);
            double pb = last == v->last ? v->value_upper : slir_polynomial(&c->segment[last], b, &unused);
            height = slir_height(slir_value(c, first, sign, a, pa), slope, a), at = a;
            double right = slir_height(slir_value(c, last, sign, b, pb), slope, b);
            if (right > height) height = right, at = b;
        } else
            height = slir_concave(c, sign, slope, v, first, last, a, b, &at);
        if (!(height <= best)) best = height, *x = at;
    }
    return best < INFINITY ? best : INFINITY;
}

/* Prepares an interval. */
static inline void slir_prepare(const slir_curve *c, double lower, double upper, slir_interval *v) {
    v->lower = lower, v->upper = upper;
    v->first = slir_segment_at(c, lower), v->last = slir_segment_at(c, upper);
    if (v->last > v->first && upper == c->knot[v->last]) v->last--; /* segments are closed */
    const slir_segment *first = &c->segment[v->first], *last = &c->segment[v->last];
    v->value_lower = v->value_upper = v->slope_lower = v->slope_upper = 0.0;
    if (lower > -INFINITY) v->value_lower = slir_polynomial(first, lower, &v->slope_lower);
    if (upper < INFINITY) v->value_upper = slir_polynomial(last, upper, &v->slope_upper);
    double least = INFINITY, greatest = -INFINITY;
    for (int j = c->piece[v->first]; j <= c->piece[v->last]; j++) {
        int from = c->first[j] > v->first ? c->first[j] : v->first;
        int to = c->first[j + 1] - 1 < v->last ? c->first[j + 1] - 1 : v->last;
        double ends[2];
        if (c->curvature[j] != 0) {
            /* Monotone slopes: the ends have the extremes. */
            const slir_segment *s = &c->segment[from], *t = &c->segment[to];
            int rising = c->curvature[j] > 0;
            double first_error = rising ? -s->slope_error : s->slope_error, last_error = rising ? t->slope_error : -t->slope_error;
            ends[0] = from == v->first ? v->slope_lower + 2 * first_error : rising ? s->slope_low : s->slope_high;
            ends[1] = to == v->last ? v->slope_upper + 2 * last_error : rising ? t->slope_high : t->slope_low;
        } else {
            ends[0] = INFINITY, ends[1] = -INFINITY;
            for (int i = from; i <= to; i++) {
                const slir_segment *s = &c->segment[i];
                if (s->slope_low < ends[0]) ends[0] = s->slope_low;
                if (s->slope_high > ends[1]) ends[1] = s->slope_high;
            }
        }
        for (int e = 0; e < 2; e++) {
            if (ends[e] < least) least = ends[e];
            if (ends[e] > greatest) greatest = ends[e];
        }
    }
    v->least = least, v->greatest = greatest;
}

/* Bounds of the function's values on the interval. */
static inline void slir_range(const slir_curve *c, const slir_interval *v, double *low, double *high) {
    double at;
    if (v->least >= 0 && v->upper < INFINITY && v->lower > -INFINITY) { /* it never falls */
        *low = -slir_value(c, v->first, -1.0, v->lower, v->value_lower);
        *high = slir_value(c, v->last, 1.0, v->upper, v->value_upper);
        return;
    }
    *high = slir_offset(c, 1.0, 0.0, v, &at);
    *low = -slir_offset(c, -1.0, 0.0, v, &at);
}

/* Whether the function is one line on the interval. */
static inline int slir_is_line(const slir_curve *c, double lower, double upper) {
    int first = slir_segment_at(c, lower), last = slir_segment_at(c, upper);
    if (last > first && upper == c->knot[last]) last--;
    double slope = c->segment[first].slope_low;
    for (int i = first; i <= last; i++)
        if (c->segment[i].slope_low != slope || c->segment[i].slope_high != slope) return 0;
    return 1;
}

/* Plain value and slope at a point: no bound. */
static inline double slir_evaluate(const slir_curve *c, double x, double *slope) {
    int i = slir_segment_at(c, x);
    const slir_segment *s = &c->segment[i];
    if (s->error_low < INFINITY && s->error_high < INFINITY) return slir_polynomial(s, x, slope);
    double at = i == 0 ? 1 : i; /* a tail: from its knot, as steep as the middle of what is known */
    int knot = (int)at;
    double low = s->slope_low > -INFINITY ? s->slope_low : s->slope_high, high = s->slope_high < INFINITY ? s->slope_high : low;
    *slope = low > -INFINITY && low < INFINITY ? 0.5 * low + 0.5 * high : 0.0;
    double from = 0.5 * c->knot_low[knot] + 0.5 * c->knot_high[knot];
    double value = from + *slope * (x - c->knot[knot]);
    if (value > s->high) value = s->high;
    if (value < s->low) value = s->low;
    return value;
}

/* The slope of the line of least area, and its offset and touching point.
 *
 * The area between function and line is width·(slope·m + offset(slope)) up to a constant, with the middle m: it is least
 * for the supporting line of the hull at m.  The slope's derivative is m − (touching point), so contacts left and right
 * of m close in on it: the next slope is that of the chord between them. */
static inline double slir_least_area(const slir_curve *c, double sign, const slir_interval *v, double *slope, double *x) {
    double width = v->upper - v->lower, middle = 0.5 * v->lower + 0.5 * v->upper, d;
    if (!(width < INFINITY)) {
        *slope = 0.0;
        return slir_offset(c, sign, 0.0, v, x);
    }
    slir_evaluate(c, middle, &d);
    double s = sign * d, at, best_offset = slir_offset(c, sign, s, v, &at), best = best_offset + s * middle, best_slope = s;
    *x = at;
    double left = v->lower, right = v->upper;
    double f_left = sign * v->value_lower, f_right = sign * v->value_upper;
    if (c->segment[v->first].error_low == INFINITY) f_left = sign * slir_evaluate(c, left, &d);
    if (c->segment[v->last].error_low == INFINITY) f_right = sign * slir_evaluate(c, right, &d);
    for (int step = 0; step < 6 && fabs(at - middle) > 1e-3 * width; step++) {
        if (step > 0 || (at > left && at < right)) {
            double value = sign * slir_evaluate(c, at, &d);
            if (at < middle) {
                if (!(at > left) && step > 0) break;
                left = at, f_left = value;
            } else {
                if (!(at < right) && step > 0) break;
                right = at, f_right = value;
            }
        }
        double next = (f_right - f_left) / (right - left);
        if (!(fabs(next) < INFINITY) || next == s) break;
        s = next;
        double offset = slir_offset(c, sign, s, v, &at), area = offset + s * middle;
        if (area < best || !(best < INFINITY)) {
            double gain = best - area;
            best = area, best_offset = offset, best_slope = s, *x = at;
            if (gain < 1e-6 * fabs(area)) break;
        }
        if ((at <= left && left == v->lower) || (at >= right && right == v->upper)) break;
    }
    *slope = best_slope;
    return best_offset;
}

/* The usual rule of other verifiers, for comparison: the tangent at the middle of a concave function; else the chord where
 * it is valid; else the tangent through that end of the graph which leaves less area. */
static inline double slir_hand_crafted(const slir_curve *c, double sign, const slir_interval *v, double *slope, double *x) {
    double middle = 0.5 * v->lower + 0.5 * v->upper, d, best = INFINITY, best_offset = INFINITY;
    int concave = 1;
    for (int j = c->piece[v->first]; j <= c->piece[v->last]; j++) concave &= sign * c->curvature[j] < 0;
    if (concave || !(v->upper > v->lower) || !(v->upper - v->lower < INFINITY)) {
        slir_evaluate(c, middle, &d);
        *slope = v->upper - v->lower < INFINITY ? sign * d : 0.0;
        return slir_offset(c, sign, *slope, v, x);
    }
    double left = sign * slir_evaluate(c, v->lower, &d), right = sign * slir_evaluate(c, v->upper, &d);
    double chord = (right - left) / (v->upper - v->lower);
    for (int e = 0; e < 2; e++) {
        double end = e ? v->upper : v->lower, value = e ? right : left, s = chord, at, offset = slir_offset(c, sign, s, v, &at);
        for (int turn = 0; turn < 8 && at > v->lower && at < v->upper; turn++) {
            double next = (offset + s * at - value) / (at - end);
            if (!(fabs(next) < INFINITY) || fabs(next - s) <= 1e-9 * fabs(s)) break;
            s = next, offset = slir_offset(c, sign, s, v, &at);
        }
        if (offset + s * middle < best) best = offset + s * middle, best_offset = offset, *slope = s, *x = at;
    }
    return best_offset;
}

#endif
