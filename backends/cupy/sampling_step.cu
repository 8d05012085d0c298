// The layers of a prior at one position: products of few rows with large weights, and reading from
// earlier positions (sampling_step.py). The speed is that of reading the weights. Every array keeps
// its place, and `where` holds the position. Of image n, what belongs to it begins at
//
//     start + n * stride + column of the position * step
//
// Weights come in blocks of BLOCK columns, (D / BLOCK, K, BLOCK), as float32 or as the bit patterns
// of bfloat16. A block of threads takes ROWS rows of x and SLICE of these columns, so few that even
// one image's product occupies the whole device. Neighbouring threads read neighbouring weights;
// groups of SLICE threads go through the rows of the weights in turns, and their sums are added up
// in the order of the groups.

constexpr int ROWS = 8;
constexpr int SLICES = BLOCK / SLICE;
constexpr int GROUPS = THREADS / SLICE;
constexpr int AT_ONCE = sizeof(Real) == 4 ? 2 : 1;  // blocks of threads that registers shall do for

__device__ inline Real widened(Real weight) { return weight; }
__device__ inline Real widened(unsigned short bits) { return __uint_as_float(unsigned(bits) << 16); }

__device__ inline Real elu_of(Real x) { return x > 0 ? x : expm1(x); }
__device__ inline Real gated(Real a, Real b)
{
    Real decay = exp(-fabs(b));
    return a * ((b >= 0 ? Real(1) : decay) / (1 + decay));
}

// Which part of the result a block of threads computes; `halves` is 2 where a block of weights holds
// BLOCK / 2 columns of a, then the same of b, and a slice some of both.
struct Share {
    int block, slice, first;  // block of the weights, slice of its columns, first row of x

    __device__ explicit Share(int blocks)
        : block(blockIdx.x / SLICES % blocks), slice(blockIdx.x % SLICES),
          first(blockIdx.x / SLICES / blocks * ROWS)
    {
    }

    // The place of the slice's column j among the columns of the block of weights.
    __device__ int column(int j, int halves) const
    {
        int width = SLICE / halves;
        return j / width * (BLOCK / halves) + slice * width + j % width;
    }
};

struct Sums {
    Real parts[GROUPS][ROWS][SLICE];

    __device__ Real total(int row, int column) const
    {
        Real sum = 0;
        for (int group = 0; group < GROUPS; group++) sum += parts[group][row][column];
        return sum;
    }
};

// The share's rows of x, `stride` numbers apart, times its columns of w; complete for all threads.
template <class Weight>
__device__ inline void multiply(
    Sums& sums, Share share, const Real* x, int stride, const Weight* w, int halves, int rows,
    int length)
{
    int j = threadIdx.x % SLICE, group = threadIdx.x / SLICE;
    w += (long long)share.block * length * BLOCK + share.column(j, halves);
    x += (long long)share.first * stride;
    Real own[ROWS] = {};
#pragma unroll 4
    for (int k = group; k < length; k += GROUPS) {
        Real weight = widened(w[(long long)k * BLOCK]);
        for (int r = 0; r < ROWS; r++)
            if (share.first + r < rows) own[r] += x[(long long)r * stride + k] * weight;
    }
    for (int r = 0; r < ROWS; r++) sums.parts[group][r][j] = own[r];
    __syncthreads();
}

__device__ inline long long at(int image, int stride, int place, int step)
{
    return (long long)image * stride + (long long)place * step;
}

// Products of what the taps meet and the offset, which has `period` places of which one goes with
// the position. `outputs` & 1: they go to y as they are, & 2: ELU of them to `following`.
template <class Weight>
__device__ inline void affine_at_of(
    const Real* x, const Weight* w, const Real* offset, Real* y, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int outputs, int rows, int length, int columns, int blocks)
{
    __shared__ Sums sums;
    int position = where[0], column = position % size;
    Share share(blocks);
    multiply(sums, share, x + column * x_step, x_stride, w, 1, rows, length);
    for (int t = threadIdx.x; t < ROWS * SLICE; t += THREADS) {
        int r = t / SLICE, j = t % SLICE;
        int image = share.first + r, c = share.block * BLOCK + share.column(j, 1);
        if (image >= rows || c >= columns) continue;
        const Real* offsets = offset + at(image, offset_stride, position % period, columns);
        Real result = sums.total(r, j) + offsets[c];
        if (outputs & 1) y[at(image, columns, 0, 0) + c] = result;
        if (outputs & 2) following[start + at(image, stride, column, step) + c] = elu_of(result);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_at(
    const Real* x, const Real* w, const Real* offset, Real* y, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int outputs, int rows, int length, int columns, int blocks)
{
    affine_at_of(x, w, offset, y, following, where, size, x_stride, x_step, offset_stride, period,
                 start, stride, step, outputs, rows, length, columns, blocks);
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_at_bfloat16(
    const Real* x, const unsigned short* w, const Real* offset, Real* y, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int outputs, int rows, int length, int columns, int blocks)
{
    affine_at_of(x, w, offset, y, following, where, size, x_stride, x_step, offset_stride, period,
                 start, stride, step, outputs, rows, length, columns, blocks);
}

// The same through a gate, added to the features (rows, channels); ELU of these to `following`.
template <class Weight>
__device__ inline void affine_gate_at_of(
    const Real* x, const Weight* w, const Real* offset, Real* features, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int rows, int length, int channels, int blocks)
{
    __shared__ Sums sums;
    constexpr int HALF = SLICE / 2;
    int position = where[0], column = position % size;
    Share share(blocks);
    multiply(sums, share, x + column * x_step, x_stride, w, 2, rows, length);
    for (int t = threadIdx.x; t < ROWS * HALF; t += THREADS) {
        int r = t / HALF, j = t % HALF;
        int image = share.first + r, c = share.block * (BLOCK / 2) + share.column(j, 2);
        if (image >= rows || c >= channels) continue;
        const Real* offsets = offset + at(image, offset_stride, position % period, 2 * channels);
        Real a = sums.total(r, j) + offsets[c];
        Real b = sums.total(r, j + HALF) + offsets[channels + c];
        Real& sum = features[at(image, channels, 0, 0) + c];
        sum += gated(a, b);
        following[start + at(image, stride, column, step) + c] = elu_of(sum);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_gate_at(
    const Real* x, const Real* w, const Real* offset, Real* features, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int rows, int length, int channels, int blocks)
{
    affine_gate_at_of(x, w, offset, features, following, where, size, x_stride, x_step,
                      offset_stride, period, start, stride, step, rows, length, channels, blocks);
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_gate_at_bfloat16(
    const Real* x, const unsigned short* w, const Real* offset, Real* features, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int rows, int length, int channels, int blocks)
{
    affine_gate_at_of(x, w, offset, features, following, where, size, x_stride, x_step,
                      offset_stride, period, start, stride, step, rows, length, channels, blocks);
}

// One block for each image and head: what it reads from keys and values of all earlier positions.
// `projected` begins with the query; `past` is (images, 2, heads, length, width); ELU of the result
// goes to the end of `joined`, after `channels` numbers. Dynamic shared memory: a weight for each
// position, then THREADS partial sums. Without keys the result is zero.
extern "C" __global__ void attend_at(
    const Real* projected, const Real* past, Real* joined, const long long* where, int heads,
    int length, int width, int channels, Real scale)
{
    extern __shared__ Real shared[];
    int image = blockIdx.x / heads, head = blockIdx.x % heads;
    int all = heads * width, count = where[0];
    const Real* query = projected + (long long)image * 3 * all + head * width;
    const Real* keys = past + ((long long)image * 2 * heads + head) * length * width;
    const Real* values = keys + (long long)all * length;
    Real* output = joined + (long long)image * (channels + all) + channels + head * width;
    __shared__ Real peaks[THREADS / WARP], totals[THREADS / WARP];
    Real *weights = shared, *partial = shared + count;

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
            output[d] = elu_of(count ? sum / total : Real(0));
        }
    }
}

// The vector of the code at the position, one block for each image.
extern "C" __global__ void embed_at(
    const Real* table, const long long* codes, Real* row, const long long* where, int size,
    int positions, int channels, int start, int stride, int step)
{
    int position = where[0];
    const Real* vector = table + codes[at(blockIdx.x, positions, position, 1)] * channels;
    row += start + at(blockIdx.x, stride, position % size, step);
    for (int c = threadIdx.x; c < channels; c += blockDim.x) row[c] = vector[c];
}

// Key and value of the position, which follow the query in `projected`, and what its code adds to
// them; one block for each image.
extern "C" __global__ void remember_at(
    const Real* table, const Real* projected, const long long* codes, Real* past,
    const long long* where, int heads, int length, int width)
{
    int position = where[0], all = heads * width;
    const Real* added = table + codes[at(blockIdx.x, length, position, 1)] * 2 * all;
    projected += at(blockIdx.x, 3 * all, 1, all);
    for (int i = threadIdx.x; i < 2 * all; i += blockDim.x) {
        long long line = at(blockIdx.x, 2 * heads, i / width, 1);
        past[(line * length + position) * width + i % width] = projected[i] + added[i];
    }
}

extern "C" __global__ void advance(long long* where)
{
    where[0]++;
}
