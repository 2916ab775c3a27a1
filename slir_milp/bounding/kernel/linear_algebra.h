/* Small dense products in registers.  Rows are padded with zeros to whole vectors, so there are no remainders.
 *
 * Sums are reordered only by writing them so; the compiler is never told to assume associativity, or that NaN and
 * infinity do not occur.  A fused multiply–add rounds once where the analysis allows two roundings.
 */
typedef double vec __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
typedef int64_t mask __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));

#define WIDTH (VECTOR_BYTES / 8) /* numbers in a vector of this instruction set; divides LANES */
#define PAD(n) (((n) + LANES - 1) / LANES * LANES)

static inline vec load(const double *p) { return *(const vec *)p; }
static inline void store(double *p, vec x) { *(vec *)p = x; }
static inline vec splat(double x) { return x - (vec){0.0}; }
static inline vec magnitude(vec x) { return (vec)((mask)x & 0x7fffffffffffffffLL); }
static inline vec choose(mask m, vec yes, vec no) { return (vec)(((mask)yes & m) | ((mask)no & ~m)); }
/* The parts sum to x; where x is infinite or NaN the negative part is NaN, so that no overflow is lost on the way. */
static inline vec positive_part(vec x) { return (vec)((mask)x & (mask)(x > splat(0.0))); }
static inline vec negative_part(vec x, vec positive) { return x - positive; }
static inline double total(vec x) {
    double sum = x[0];
    for (int i = 1; i < WIDTH; i++) sum += x[i];
    return sum;
}

/* c[r][0 .. WIDTH·vectors) = Σ_i a[r][i] · b[i][...], for a few rows and vectors that stay in registers. */
static inline __attribute__((always_inline)) void tile(const int rows, const int vectors, int inner, const double *a,
                                                      int a_stride, const double *b, int b_stride, double *c,
                                                      int c_stride) {
    vec sum[4][4];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) sum[r][v] = splat(0.0);
    for (int i = 0; i < inner; i++) {
        vec line[4];
        for (int v = 0; v < vectors; v++) line[v] = load(b + (int64_t)i * b_stride + v * WIDTH);
        for (int r = 0; r < rows; r++) {
            vec factor = splat(a[(int64_t)r * a_stride + i]);
            for (int v = 0; v < vectors; v++) sum[r][v] += factor * line[v];
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) store(c + (int64_t)r * c_stride + v * WIDTH, sum[r][v]);
}

/* C = A·B with A rows × inner, B inner × columns; columns is a multiple of LANES. */
static void multiply(int rows, int inner, int columns, const double *a, int a_stride, const double *b, int b_stride,
                     double *c, int c_stride) {
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
        const double *ar = a + (int64_t)r * a_stride;
        double *cr = c + (int64_t)r * c_stride;
        int j = 0;
        for (; j + 2 * WIDTH <= columns; j += 2 * WIDTH) tile(4, 2, inner, ar, a_stride, b + j, b_stride, cr + j, c_stride);
        for (; j < columns; j += WIDTH) tile(4, 1, inner, ar, a_stride, b + j, b_stride, cr + j, c_stride);
    }
    for (; r < rows; r++) {
        const double *ar = a + (int64_t)r * a_stride;
        double *cr = c + (int64_t)r * c_stride;
        int j = 0;
        for (; j + 4 * WIDTH <= columns; j += 4 * WIDTH) tile(1, 4, inner, ar, a_stride, b + j, b_stride, cr + j, c_stride);
        for (; j < columns; j += WIDTH) tile(1, 1, inner, ar, a_stride, b + j, b_stride, cr + j, c_stride);
    }
}

/* y = M·z with M rows × columns; y is not read. */
static void apply(int rows, int columns, const double *m, int stride, const double *z, double *y) {
    int i = 0;
    for (; i + 4 <= rows; i += 4) {
        const double *p = m + (int64_t)i * stride;
        vec s0 = splat(0.0), s1 = s0, s2 = s0, s3 = s0;
        for (int j = 0; j < columns; j += WIDTH) {
            vec x = load(z + j);
            s0 += load(p + j) * x;
            s1 += load(p + stride + j) * x;
            s2 += load(p + 2 * (int64_t)stride + j) * x;
            s3 += load(p + 3 * (int64_t)stride + j) * x;
        }
        y[i] = total(s0), y[i + 1] = total(s1), y[i + 2] = total(s2), y[i + 3] = total(s3);
    }
    for (; i < rows; i++) {
        vec s = splat(0.0);
        for (int j = 0; j < columns; j += WIDTH) s += load(m + (int64_t)i * stride + j) * load(z + j);
        y[i] = total(s);
    }
}

static double dot(int columns, const double *a, const double *b) {
    vec s = splat(0.0);
    for (int j = 0; j < columns; j += WIDTH) s += load(a + j) * load(b + j);
    return total(s);
}
