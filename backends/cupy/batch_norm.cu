// Sums over the rows of a matrix, and what is the same for every row: batch_norm.py.
//
// One thread works on one column of one part of the rows (`part_of`); columns.cu adds up what the
// parts have. What is computed again from x, such as where ReLU let a number through, need not be
// read.

extern "C" __global__ void part_sums(
    const Any* x, int format, Real* sums, long long groups, long long length, int channels,
    int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Real sum = 0;
    for (long long m = part.first; m < part.last; m++)
        sum += read(x, m * channels + part.column, format);
    sums[part.number * channels + part.column] = sum;
}

// The same, and x rounded to half precision on the way.
extern "C" __global__ void halves_and_part_sums(
    const Real* x, unsigned short* halves, int format, Real* sums, long long groups, long long length,
    int channels, int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Real sum = 0;
    for (long long m = part.first; m < part.last; m++) {
        Real value = x[m * channels + part.column];
        halves[m * channels + part.column] = half_bits(value, format);
        sum += value;
    }
    sums[part.number * channels + part.column] = sum;
}

extern "C" __global__ void add_biased(
    const Real* x, const Any* y, int y_format, const Real* bias, Real* total, long long groups,
    long long length, int channels, int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Real shift = bias[part.column];
    for (long long m = part.first; m < part.last; m++) {
        long long i = m * channels + part.column;
        total[i] = x[i] + (read(y, i, y_format) + shift);
    }
}

extern "C" __global__ void follow_moments(
    Real* mean, Real* variance, const Real* new_mean, const Real* new_variance, Real share,
    long long count)
{
    EACH(i, count)
    {
        mean[i] += share * (new_mean[i] - mean[i]);
        variance[i] += share * (new_variance[i] - variance[i]);
    }
}

// Of each part the mean of a column, and the sum of the squared distances from it. Distances from the
// first number keep their digits; those from zero would not.
extern "C" __global__ void part_moments(
    const Real* x, Real* means, Real* squares, long long groups, long long length, int channels,
    int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Real origin = x[part.first * channels + part.column], sum = 0, square = 0;
    for (long long m = part.first; m < part.last; m++) {
        Real distance = x[m * channels + part.column] - origin;
        sum += distance;
        square += distance * distance;
    }
    Real shift = sum / (part.last - part.first);
    means[part.number * channels + part.column] = origin + shift;
    squares[part.number * channels + part.column] = square - sum * shift;
}

// Mean and variance of each column from those of its parts, all but the last of part_rows rows.
extern "C" __global__ void join_moments(
    const Real* means, const Real* squares, Real* mean, Real* variance, long long rows, int channels,
    int part_rows, int parts)
{
    __shared__ Real scratch[2][ACROSS * ACROSS];
    int column = blockIdx.x * ACROSS + threadIdx.x, place = threadIdx.y * ACROSS + threadIdx.x;
    Real total = 0;
    for (int pass = 0; pass < 2; pass++) {
        Real centre = total / rows, sum = 0;
        if (column < channels)
            for (int part = threadIdx.y; part < parts; part += ACROSS) {
                long long i = (long long)part * channels + column;
                Real count = min((long long)part_rows, rows - (long long)part * part_rows);
                Real distance = means[i] - centre;
                sum += pass ? squares[i] + count * distance * distance : count * means[i];
            }
        scratch[pass][place] = sum;
        __syncthreads();
        total = 0;
        for (int y = 0; y < ACROSS; y++) total += scratch[pass][y * ACROSS + threadIdx.x];
        if (threadIdx.y == 0 && column < channels) (pass ? variance : mean)[column] = total / rows;
    }
}

// What batch normalisation does to one column.
struct Normalization {
    Real mean, inverse, factor, offset;
    __device__ Normalization(
        const Real* means, const Real* variances, const Real* scales, const Real* offsets, Real epsilon,
        int c)
        : mean(means[c]), inverse(1 / sqrt(variances[c] + epsilon)), factor(scales[c] * inverse),
          offset(offsets[c])
    {
    }
    __device__ Real operator()(Real x) const { return (x - mean) * factor + offset; }
    // Whether a cotangent gets through what follows.
    __device__ bool open(Real x, int relu) const { return !relu || (*this)(x) > 0; }
};

extern "C" __global__ void normalize(
    const Real* x, const Real* mean, const Real* variance, const Real* scale, const Real* offset,
    Real epsilon, int relu, Any* y, int y_format, long long groups, long long length, int channels,
    int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Normalization normalized(mean, variance, scale, offset, epsilon, part.column);
    for (long long m = part.first; m < part.last; m++) {
        Real value = normalized(x[m * channels + part.column]);
        write(y, m * channels + part.column, y_format, relu && value < 0 ? Real(0) : value);
    }
}

// sums is (parts, 2, channels): of dy, and of dy times the normalised x.
extern "C" __global__ void part_parameter_gradients(
    const Real* x, const Real* mean, const Real* variance, const Real* scale, const Real* offset,
    Real epsilon, int relu, const Any* dy, int dy_format, Real* sums, long long groups,
    long long length, int channels, int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Normalization normalized(mean, variance, scale, offset, epsilon, part.column);
    Real plain = 0, product = 0;
    for (long long m = part.first; m < part.last; m++) {
        long long i = m * channels + part.column;
        Real d = normalized.open(x[i], relu) ? read(dy, i, dy_format) : Real(0);
        plain += d;
        product += d * (x[i] - normalized.mean);
    }
    sums[part.number * 2 * channels + part.column] = plain;
    sums[(part.number * 2 + 1) * channels + part.column] = product * normalized.inverse;
}

extern "C" __global__ void normalize_input_gradient(
    const Real* x, const Real* mean, const Real* variance, const Real* scale, const Real* offset,
    Real epsilon, int relu, const Any* dy, int dy_format, const Real* d_offset, const Real* d_scale,
    Real count, const Real* onto, int adds, Real* dx, long long groups, long long length, int channels,
    int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Normalization normalized(mean, variance, scale, offset, epsilon, part.column);
    Real constant = normalized.factor * d_offset[part.column] / count;
    Real slope = normalized.factor * normalized.inverse * d_scale[part.column] / count;
    for (long long m = part.first; m < part.last; m++) {
        long long i = m * channels + part.column;
        Real d = normalized.open(x[i], relu) ? read(dy, i, dy_format) : Real(0);
        d = d * normalized.factor - (x[i] - normalized.mean) * slope - constant;
        dx[i] = adds ? onto[i] + d : d;
    }
}
