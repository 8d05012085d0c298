// Activations, gates and dropout: one pass over memory each.
//
// The formulas stand in elementwise.py, beside the references. All of these read and write
// neighbouring elements in neighbouring threads, and their speed is that of the memory. Arrays of `Any`
// are in half precision where their format says so.

struct Relu {
    __device__ Real operator()(Real x) const { return x < 0 ? Real(0) : x; }  // NaN stays NaN
    __device__ Real gradient(Real y, Real dy) const { return y > 0 ? dy : Real(0); }
};

struct Elu {
    __device__ Real operator()(Real x) const { return x > 0 ? x : expm1(x); }
    __device__ Real gradient(Real y, Real dy) const { return y > 0 ? dy : dy * (y + 1); }
};

extern "C" __global__ void relu(const Any* x, int x_format, Any* y, int y_format, long long count)
{
    EACH(i, count) write(y, i, y_format, Relu()(read(x, i, x_format)));
}

extern "C" __global__ void elu(const Any* x, int x_format, Any* y, int y_format, long long count)
{
    EACH(i, count) write(y, i, y_format, Elu()(read(x, i, x_format)));
}

extern "C" __global__ void relu_gradient(
    const Any* y, int y_format, const Any* dy, int dy_format, const Real* onto, int adds, Real* dx,
    long long count)
{
    EACH(i, count)
    {
        Real d = Relu().gradient(read(y, i, y_format), read(dy, i, dy_format));
        dx[i] = adds ? onto[i] + d : d;
    }
}

extern "C" __global__ void elu_gradient(
    const Any* y, int y_format, const Any* dy, int dy_format, const Real* onto, int adds, Real* dx,
    long long count)
{
    EACH(i, count)
    {
        Real d = Elu().gradient(read(y, i, y_format), read(dy, i, dy_format));
        dx[i] = adds ? onto[i] + d : d;
    }
}

// Activations of x + bias, (rows, channels), and their gradients with that of the bias: `sums` are those
// of the parts of the rows (`part_of`).
template <class Activation>
__device__ inline void activate(
    const Any* x, int x_format, const Real* bias, Any* y, int y_format, long long groups,
    long long length, int channels, int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Real shift = bias[part.column];
    for (long long m = part.first; m < part.last; m++) {
        long long i = m * channels + part.column;
        write(y, i, y_format, Activation()(read(x, i, x_format) + shift));
    }
}

template <class Activation>
__device__ inline void activate_gradient(
    const Any* y, int y_format, const Any* dy, int dy_format, Any* dx, int dx_format, Real* sums,
    long long groups, long long length, int channels, int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Real sum = 0;
    for (long long m = part.first; m < part.last; m++) {
        long long i = m * channels + part.column;
        Real d = Activation().gradient(read(y, i, y_format), read(dy, i, dy_format));
        write(dx, i, dx_format, d);
        sum += d;
    }
    sums[part.number * channels + part.column] = sum;
}

extern "C" __global__ void biased_relu(
    const Any* x, int x_format, const Real* bias, Any* y, int y_format, long long groups,
    long long length, int channels, int part_rows)
{
    activate<Relu>(x, x_format, bias, y, y_format, groups, length, channels, part_rows);
}

extern "C" __global__ void biased_elu(
    const Any* x, int x_format, const Real* bias, Any* y, int y_format, long long groups,
    long long length, int channels, int part_rows)
{
    activate<Elu>(x, x_format, bias, y, y_format, groups, length, channels, part_rows);
}

extern "C" __global__ void biased_relu_gradient(
    const Any* y, int y_format, const Any* dy, int dy_format, Any* dx, int dx_format, Real* sums,
    long long groups, long long length, int channels, int part_rows)
{
    activate_gradient<Relu>(y, y_format, dy, dy_format, dx, dx_format, sums, groups, length, channels,
                            part_rows);
}

extern "C" __global__ void biased_elu_gradient(
    const Any* y, int y_format, const Any* dy, int dy_format, Any* dx, int dx_format, Real* sums,
    long long groups, long long length, int channels, int part_rows)
{
    activate_gradient<Elu>(y, y_format, dy, dy_format, dx, dx_format, sums, groups, length, channels,
                           part_rows);
}

// 1 / (1 + exp(-x)) without overflow.
__device__ inline Real sigmoid_of(Real x)
{
    Real decay = exp(-fabs(x));
    return (x >= 0 ? Real(1) : decay) / (1 + decay);
}

extern "C" __global__ void sigmoid(const Real* x, Real* y, long long count)
{
    EACH(i, count) y[i] = sigmoid_of(x[i]);
}

// x is (rows, 2, channels): the halves a and b. One block takes a row at a time.
extern "C" __global__ void gate(const Real* x, Real* y, long long rows, int channels)
{
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const Real *a = x + row * 2 * channels, *b = a + channels;
        for (int c = threadIdx.x; c < channels; c += blockDim.x)
            y[row * channels + c] = a[c] * sigmoid_of(b[c]);
    }
}

extern "C" __global__ void gate_gradient(
    const Real* x, const Real* dy, Real* dx, long long rows, int channels)
{
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const Real *a = x + row * 2 * channels, *b = a + channels;
        Real *da = dx + row * 2 * channels, *db = da + channels;
        for (int c = threadIdx.x; c < channels; c += blockDim.x) {
            Real s = sigmoid_of(b[c]), d = dy[row * channels + c];
            da[c] = d * s;
            db[c] = d * a[c] * s * (1 - s);
        }
    }
}

extern "C" __global__ void dropout(
    const Real* x, Real* y, Word threshold, Word seed, Real scale, long long count)
{
    EACH(i, count) y[i] = keep(seed, i, threshold) ? x[i] * scale : Real(0);
}

// A gated residual layer's end (elementwise.py, gate_block). `features`, `condition` and `inside` are
// (positions, 2, channels), `label` (images, 2, channels); the latter ones and the condition are there or
// not. A thread works on one channel of each of its positions, in both halves; a group is an image.
extern "C" __global__ void gate_block(
    const Real* x, const Any* features, int features_format, const Real* bias, const Any* condition,
    int condition_format, int conditioned, const Real* label, int labelled, Word threshold, Word seed,
    Real scale, Any* inside, int inside_format, Real* y, long long groups, long long length,
    int channels, int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    long long image = part.first / length * 2 * channels + part.column;
    Real shifts[2];
    for (int h = 0; h < 2; h++)
        shifts[h] = bias[h * channels + part.column] + (labelled ? label[image + h * channels] : 0);
    for (long long m = part.first; m < part.last; m++) {
        Real numbers[2];
        for (int h = 0; h < 2; h++) {
            long long i = (2 * m + h) * channels + part.column;
            numbers[h] = read(features, i, features_format) + shifts[h];
            if (conditioned) numbers[h] += read(condition, i, condition_format);
            write(inside, i, inside_format, numbers[h]);
        }
        long long i = m * channels + part.column;
        Real gated = numbers[0] * sigmoid_of(numbers[1]);
        y[i] = x[i] + (keep(seed, i, threshold) ? gated * scale : Real(0));
    }
}

// The cotangent of `inside`, and its sums over the positions of each part: (parts, 2, channels).
extern "C" __global__ void gate_block_gradient(
    const Any* inside, int inside_format, const Any* dy, int dy_format, Word threshold, Word seed,
    Real scale, Any* d_inside, int d_format, Real* sums, long long groups, long long length,
    int channels, int part_rows)
{
    Part part = part_of(groups, length, channels, part_rows);
    if (!part.inside) return;
    Real sum_a = 0, sum_b = 0;
    for (long long m = part.first; m < part.last; m++) {
        long long i = m * channels + part.column, first = 2 * m * channels + part.column;
        Real a = read(inside, first, inside_format);
        Real s = sigmoid_of(read(inside, first + channels, inside_format));
        Real d = keep(seed, i, threshold) ? read(dy, i, dy_format) * scale : Real(0);
        Real da = d * s, db = d * a * s * (1 - s);
        write(d_inside, first, d_format, da);
        write(d_inside, first + channels, d_format, db);
        sum_a += da;
        sum_b += db;
    }
    sums[part.number * 2 * channels + part.column] = sum_a;
    sums[(part.number * 2 + 1) * channels + part.column] = sum_b;
}
