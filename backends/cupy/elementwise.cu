// Activations, gates and dropout: one pass over memory each, one thread per element.
//
// The formulas stand in elementwise.py, beside the references. All of these read and write
// neighbouring elements in neighbouring threads, and their speed is that of the memory.

extern "C" __global__ void relu(const Real* x, Real* y, long long count)
{
    EACH(i, count) y[i] = x[i] < 0 ? Real(0) : x[i];  // NaN stays NaN
}

extern "C" __global__ void relu_gradient(const Real* y, const Real* dy, Real* dx, long long count)
{
    EACH(i, count) dx[i] = y[i] > 0 ? dy[i] : Real(0);
}

extern "C" __global__ void elu(const Real* x, Real* y, long long count)
{
    EACH(i, count) y[i] = x[i] > 0 ? x[i] : expm1(x[i]);
}

extern "C" __global__ void elu_gradient(const Real* y, const Real* dy, Real* dx, long long count)
{
    EACH(i, count) dx[i] = y[i] > 0 ? dy[i] : dy[i] * (y[i] + 1);
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
