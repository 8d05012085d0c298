// What sampling one more position is made of: products of few rows with large weights, and reading
// from earlier positions (sampling_step.py). The speed is that of reading the weights.
//
// Weights come in blocks of BLOCK columns, (D / BLOCK, K, BLOCK), as float32 or as the bit patterns
// of bfloat16. A block of threads takes one block of columns and ROWS rows of x. Neighbouring
// threads read neighbouring weights; groups of BLOCK threads go through the rows of the weights in
// turns, and their sums are added up in the order of the groups.

constexpr int ROWS = 8;
constexpr int GROUPS = THREADS / BLOCK;

__device__ inline Real widened(Real weight) { return weight; }
__device__ inline Real widened(unsigned short bits) { return __uint_as_float(unsigned(bits) << 16); }

__device__ inline Real elu_of(Real x) { return x > 0 ? x : expm1(x); }
__device__ inline Real gated(Real a, Real b)
{
    Real decay = exp(-fabs(b));
    return a * ((b >= 0 ? Real(1) : decay) / (1 + decay));
}

struct Sums {
    Real parts[GROUPS][ROWS][BLOCK];

    __device__ Real total(int row, int column) const
    {
        Real sum = 0;
        for (int group = 0; group < GROUPS; group++) sum += parts[group][row][column];
        return sum;
    }
};

// Rows first ... of x (rows, length) times the block of columns `w`; complete for all threads.
template <class Weight>
__device__ inline void multiply(
    Sums& sums, const Real* x, const Weight* w, int first, int rows, int length)
{
    int column = threadIdx.x % BLOCK, group = threadIdx.x / BLOCK;
    Real own[ROWS] = {};
#pragma unroll 4
    for (int k = group; k < length; k += GROUPS) {
        Real weight = widened(w[(long long)k * BLOCK + column]);
        for (int r = 0; r < ROWS; r++)
            if (first + r < rows) own[r] += x[(long long)(first + r) * length + k] * weight;
    }
    for (int r = 0; r < ROWS; r++) sums.parts[group][r][column] = own[r];
    __syncthreads();
}

template <class Weight>
__device__ inline void affine_of(
    const Real* x, const Weight* w, const Real* offset, Real* y, int rows, int length, int columns,
    int blocks, int activated)
{
    __shared__ Sums sums;
    int block = blockIdx.x % blocks, first = blockIdx.x / blocks * ROWS;
    multiply(sums, x, w + (long long)block * length * BLOCK, first, rows, length);
    for (int t = threadIdx.x; t < ROWS * BLOCK; t += THREADS) {
        int row = first + t / BLOCK, column = block * BLOCK + t % BLOCK;
        if (row >= rows || column >= columns) continue;
        long long place = (long long)row * columns + column;
        Real result = sums.total(t / BLOCK, t % BLOCK) + offset[place];
        y[place] = activated ? elu_of(result) : result;
    }
}

extern "C" __global__ void affine(
    const Real* x, const Real* w, const Real* offset, Real* y, int rows, int length, int columns,
    int blocks, int activated)
{
    affine_of(x, w, offset, y, rows, length, columns, blocks, activated);
}

extern "C" __global__ void affine_bfloat16(
    const Real* x, const unsigned short* w, const Real* offset, Real* y, int rows, int length,
    int columns, int blocks, int activated)
{
    affine_of(x, w, offset, y, rows, length, columns, blocks, activated);
}

// A block of columns holds BLOCK / 2 of a, then the same of b.
template <class Weight>
__device__ inline void affine_gate_of(
    const Real* x, const Weight* w, const Real* offset, const Real* residual, Real* y,
    Real* activation, int rows, int length, int channels, int blocks)
{
    __shared__ Sums sums;
    constexpr int HALF = BLOCK / 2;
    int block = blockIdx.x % blocks, first = blockIdx.x / blocks * ROWS;
    multiply(sums, x, w + (long long)block * length * BLOCK, first, rows, length);
    for (int t = threadIdx.x; t < ROWS * HALF; t += THREADS) {
        int r = t / HALF, j = t % HALF, row = first + r, channel = block * HALF + j;
        if (row >= rows || channel >= channels) continue;
        const Real* offsets = offset + (long long)row * 2 * channels;
        Real a = sums.total(r, j) + offsets[channel];
        Real b = sums.total(r, j + HALF) + offsets[channels + channel];
        long long place = (long long)row * channels + channel;
        y[place] = residual[place] + gated(a, b);
        activation[place] = elu_of(y[place]);
    }
}

extern "C" __global__ void affine_gate(
    const Real* x, const Real* w, const Real* offset, const Real* residual, Real* y,
    Real* activation, int rows, int length, int channels, int blocks)
{
    affine_gate_of(x, w, offset, residual, y, activation, rows, length, channels, blocks);
}

extern "C" __global__ void affine_gate_bfloat16(
    const Real* x, const unsigned short* w, const Real* offset, const Real* residual, Real* y,
    Real* activation, int rows, int length, int channels, int blocks)
{
    affine_gate_of(x, w, offset, residual, y, activation, rows, length, channels, blocks);
}

// After a product that cuBLAS has made: add the offset in place, and ELU where `activated`.
extern "C" __global__ void finish(Real* y, const Real* offset, int activated, long long count)
{
    EACH(i, count) {
        Real result = y[i] + offset[i];
        y[i] = activated ? elu_of(result) : result;
    }
}

// The same for a gate; products and offset are (rows, 2 * channels).
extern "C" __global__ void finish_gate(
    const Real* products, const Real* offset, const Real* residual, Real* y, Real* activation,
    int channels, long long count)
{
    EACH(i, count) {
        long long a = i / channels * 2 * channels + i % channels, b = a + channels;
        y[i] = residual[i] + gated(products[a] + offset[a], products[b] + offset[b]);
        activation[i] = elu_of(y[i]);
    }
}

// One block for each image and head: the query reads from the first `count` of `length` positions.
// Dynamic shared memory: count weights, then THREADS partial sums.
extern "C" __global__ void attend(
    const Real* query, const Real* keys, const Real* values, Real* output, int length, int width,
    int count, Real scale)
{
    extern __shared__ Real shared[];
    __shared__ Real peaks[THREADS / WARP], totals[THREADS / WARP];
    Real *weights = shared, *partial = shared + count;
    query += blockIdx.x * (long long)width;
    keys += blockIdx.x * (long long)length * width;
    values += blockIdx.x * (long long)length * width;
    output += blockIdx.x * (long long)width;

    Real peak = LOWEST, total = 0;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        Real logit = 0;
        for (int d = 0; d < width; d++) logit += query[d] * keys[(long long)i * width + d];
        weights[i] = logit * scale;
        peak = fmax(peak, weights[i]);
    }
    peak = block_max(peak, peaks);
    for (int i = threadIdx.x; i < count; i += THREADS) total += weights[i] = exp(weights[i] - peak);
    total = block_sum(total, totals);  // after it, `weights` is complete

    // Channels side by side; as many groups of threads as there is room for share the positions.
    // (Either there are several groups or several passes, so no pass disturbs the sums of another.)
    int lanes = min(width, THREADS), groups = THREADS / lanes;
    int lane = threadIdx.x % lanes, group = threadIdx.x / lanes;
    for (int first = 0; first < width; first += lanes) {
        int d = first + lane;
        Real sum = 0;
        for (int i = group; i < count && group < groups && d < width; i += groups)
            sum += weights[i] * values[(long long)i * width + d];
        partial[threadIdx.x] = sum;
        __syncthreads();
        if (group == 0 && d < width) {
            sum = 0;
            for (int g = 0; g < groups; g++) sum += partial[g * lanes + lane];
            output[d] = count ? sum / total : Real(0);
        }
    }
}
