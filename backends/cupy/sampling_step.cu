// What sampling one more position is made of: products of few rows with large weights, and reading
// from earlier positions (sampling_step.py). The speed is that of reading the weights.
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

template <class Weight>
__device__ inline void affine_of(
    const Real* x, const Weight* w, const Real* offset, Real* y, int rows, int length, int columns,
    int blocks, int activated)
{
    __shared__ Sums sums;
    Share share(blocks);
    multiply(sums, share, x, length, w, 1, rows, length);
    for (int t = threadIdx.x; t < ROWS * SLICE; t += THREADS) {
        int r = t / SLICE, j = t % SLICE;
        int row = share.first + r, column = share.block * BLOCK + share.column(j, 1);
        if (row >= rows || column >= columns) continue;
        long long place = (long long)row * columns + column;
        Real result = sums.total(r, j) + offset[place];
        y[place] = activated ? elu_of(result) : result;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine(
    const Real* x, const Real* w, const Real* offset, Real* y, int rows, int length, int columns,
    int blocks, int activated)
{
    affine_of(x, w, offset, y, rows, length, columns, blocks, activated);
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_bfloat16(
    const Real* x, const unsigned short* w, const Real* offset, Real* y, int rows, int length,
    int columns, int blocks, int activated)
{
    affine_of(x, w, offset, y, rows, length, columns, blocks, activated);
}

template <class Weight>
__device__ inline void affine_gate_of(
    const Real* x, const Weight* w, const Real* offset, const Real* residual, Real* y,
    Real* activation, int rows, int length, int channels, int blocks)
{
    __shared__ Sums sums;
    constexpr int HALF = SLICE / 2;
    Share share(blocks);
    multiply(sums, share, x, length, w, 2, rows, length);
    for (int t = threadIdx.x; t < ROWS * HALF; t += THREADS) {
        int r = t / HALF, j = t % HALF;
        int row = share.first + r, channel = share.block * (BLOCK / 2) + share.column(j, 2);
        if (row >= rows || channel >= channels) continue;
        const Real* offsets = offset + (long long)row * 2 * channels;
        Real a = sums.total(r, j) + offsets[channel];
        Real b = sums.total(r, j + HALF) + offsets[channels + channel];
        long long place = (long long)row * channels + channel;
        y[place] = residual[place] + gated(a, b);
        activation[place] = elu_of(y[place]);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_gate(
    const Real* x, const Real* w, const Real* offset, const Real* residual, Real* y,
    Real* activation, int rows, int length, int channels, int blocks)
{
    affine_gate_of(x, w, offset, residual, y, activation, rows, length, channels, blocks);
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_gate_bfloat16(
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

// One block: `query` (width) reads from the first `count` keys and values, `step` numbers apart.
// Dynamic shared memory: count weights, then THREADS partial sums. Without keys the result is zero.
__device__ inline void attend_to(
    const Real* query, const Real* keys, const Real* values, Real* output, int width, int step,
    int count, Real scale, bool activated)
{
    extern __shared__ Real shared[];
    __shared__ Real peaks[THREADS / WARP], totals[THREADS / WARP];
    Real *weights = shared, *partial = shared + count;

    Real peak = LOWEST, total = 0;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        Real logit = 0;
        for (int d = 0; d < width; d++) logit += query[d] * keys[(long long)i * step + d];
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
            sum += weights[i] * values[(long long)i * step + d];
        partial[threadIdx.x] = sum;
        __syncthreads();
        if (group == 0 && d < width) {
            sum = 0;
            for (int g = 0; g < groups; g++) sum += partial[g * lanes + lane];
            Real read = count ? sum / total : Real(0);
            output[d] = activated ? elu_of(read) : read;
        }
    }
}

// One block for each image and head, of `length` positions each.
extern "C" __global__ void attend(
    const Real* query, const Real* keys, const Real* values, Real* output, int length, int width,
    int count, Real scale)
{
    long long place = blockIdx.x * (long long)width, past = place * length;
    attend_to(query + place, keys + past, values + past, output + place, width, width, count, scale,
              false);
}

// The same work for the position that `where` holds, with every array at a fixed place, as a CUDA
// graph wants it (position_step.py). Of image n, an array's numbers begin at
//     start + n * stride + step * (column of the position, or the position itself)

__device__ inline long long begin(int start, int stride, int step, int image, int count)
{
    return start + (long long)image * stride + (long long)step * count;
}

// `by_position` & 1: offset goes by the position, & 2: y does. `outputs` & 1: the plain result goes
// to y, & 2: ELU of it goes to `activation`.
template <class Weight>
__device__ inline void affine_at_of(
    const Real* x, const Weight* w, const Real* offset, Real* y, Real* activation,
    const long long* where, int size, int x_start, int x_stride, int x_step, int offset_start, int offset_stride,
    int offset_step, int y_start, int y_stride, int y_step, int activation_start,
    int activation_stride, int activation_step, int by_position, int outputs, int rows, int length,
    int columns, int blocks)
{
    __shared__ Sums sums;
    int position = where[0], column_of_map = position % size;
    Share share(blocks);
    multiply(sums, share, x + begin(x_start, 0, x_step, 0, column_of_map), x_stride, w, 1, rows,
             length);
    for (int t = threadIdx.x; t < ROWS * SLICE; t += THREADS) {
        int r = t / SLICE, j = t % SLICE;
        int image = share.first + r, column = share.block * BLOCK + share.column(j, 1);
        if (image >= rows || column >= columns) continue;
        int along_offset = by_position & 1 ? position : column_of_map;
        int along_y = by_position & 2 ? position : column_of_map;
        Real result = sums.total(r, j) +
            offset[begin(offset_start, offset_stride, offset_step, image, along_offset) + column];
        if (outputs & 1) y[begin(y_start, y_stride, y_step, image, along_y) + column] = result;
        if (outputs & 2)
            activation[begin(activation_start, activation_stride, activation_step, image,
                             column_of_map) + column] = elu_of(result);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_at(
    const Real* x, const Real* w, const Real* offset, Real* y, Real* activation,
    const long long* where, int size, int x_start, int x_stride, int x_step, int offset_start, int offset_stride,
    int offset_step, int y_start, int y_stride, int y_step, int activation_start,
    int activation_stride, int activation_step, int by_position, int outputs, int rows, int length,
    int columns, int blocks)
{
    affine_at_of(x, w, offset, y, activation, where, size, x_start, x_stride, x_step, offset_start,
                 offset_stride, offset_step, y_start, y_stride, y_step, activation_start,
                 activation_stride, activation_step, by_position, outputs, rows, length, columns,
                 blocks);
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_at_bfloat16(
    const Real* x, const unsigned short* w, const Real* offset, Real* y, Real* activation,
    const long long* where, int size, int x_start, int x_stride, int x_step, int offset_start,
    int offset_stride, int offset_step, int y_start, int y_stride, int y_step, int activation_start,
    int activation_stride, int activation_step, int by_position, int outputs, int rows, int length,
    int columns, int blocks)
{
    affine_at_of(x, w, offset, y, activation, where, size, x_start, x_stride, x_step, offset_start,
                 offset_stride, offset_step, y_start, y_stride, y_step, activation_start,
                 activation_stride, activation_step, by_position, outputs, rows, length, columns,
                 blocks);
}

// residual and y may be the same numbers: each thread reads its own before it writes it.
template <class Weight>
__device__ inline void affine_gate_at_of(
    const Real* x, const Weight* w, const Real* offset, const Real* residual, Real* y,
    Real* activation, const long long* where, int size, int x_start, int x_stride, int x_step,
    int offset_stride, int offset_step, int residual_start, int residual_stride, int y_start,
    int y_stride, int activation_start, int activation_stride, int activation_step, int rows,
    int length, int channels, int blocks)
{
    __shared__ Sums sums;
    constexpr int HALF = SLICE / 2;
    int column = where[0] % size;
    Share share(blocks);
    multiply(sums, share, x + begin(x_start, 0, x_step, 0, column), x_stride, w, 2, rows, length);
    for (int t = threadIdx.x; t < ROWS * HALF; t += THREADS) {
        int r = t / HALF, j = t % HALF;
        int image = share.first + r, channel = share.block * (BLOCK / 2) + share.column(j, 2);
        if (image >= rows || channel >= channels) continue;
        const Real* offsets = offset + begin(0, offset_stride, offset_step, image, column);
        Real a = sums.total(r, j) + offsets[channel];
        Real b = sums.total(r, j + HALF) + offsets[channels + channel];
        Real result = residual[begin(residual_start, residual_stride, 0, image, 0) + channel] +
            gated(a, b);
        y[begin(y_start, y_stride, 0, image, 0) + channel] = result;
        activation[begin(activation_start, activation_stride, activation_step, image, column) +
                   channel] = elu_of(result);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_gate_at(
    const Real* x, const Real* w, const Real* offset, const Real* residual, Real* y,
    Real* activation, const long long* where, int size, int x_start, int x_stride, int x_step,
    int offset_stride, int offset_step, int residual_start, int residual_stride, int y_start,
    int y_stride, int activation_start, int activation_stride, int activation_step, int rows,
    int length, int channels, int blocks)
{
    affine_gate_at_of(x, w, offset, residual, y, activation, where, size, x_start, x_stride, x_step,
                      offset_stride, offset_step, residual_start, residual_stride, y_start, y_stride,
                      activation_start, activation_stride, activation_step, rows, length, channels,
                      blocks);
}

extern "C" __global__ void __launch_bounds__(THREADS, AT_ONCE) affine_gate_at_bfloat16(
    const Real* x, const unsigned short* w, const Real* offset, const Real* residual, Real* y,
    Real* activation, const long long* where, int size, int x_start, int x_stride, int x_step,
    int offset_stride, int offset_step, int residual_start, int residual_stride, int y_start,
    int y_stride, int activation_start, int activation_stride, int activation_step, int rows,
    int length, int channels, int blocks)
{
    affine_gate_at_of(x, w, offset, residual, y, activation, where, size, x_start, x_stride, x_step,
                      offset_stride, offset_step, residual_start, residual_stride, y_start, y_stride,
                      activation_start, activation_stride, activation_step, rows, length, channels,
                      blocks);
}

// One block for each image and head; `past` (images, length, 2, heads, width) holds keys, values.
extern "C" __global__ void attend_at(
    const Real* query, const Real* past, Real* output, const long long* where, int heads,
    int length, int width, int output_start, int output_stride, Real scale)
{
    int image = blockIdx.x / heads, head = blockIdx.x % heads, all = heads * width;
    const Real* keys = past + (long long)image * length * 2 * all + head * width;
    attend_to(query + (long long)image * all + head * width, keys, keys + all,
              output + output_start + (long long)image * output_stride + head * width, width,
              2 * all, where[0], scale, true);
}

// The vector of the code at the position, one block for each image.
extern "C" __global__ void embed_at(
    const Real* table, const long long* codes, Real* y, const long long* where, int size,
    int positions, int hidden, int y_start, int y_stride, int y_step)
{
    int position = where[0];
    const Real* vector = table + codes[blockIdx.x * (long long)positions + position] * hidden;
    y += begin(y_start, y_stride, y_step, blockIdx.x, position % size);
    for (int c = threadIdx.x; c < hidden; c += blockDim.x) y[c] = vector[c];
}

extern "C" __global__ void advance(long long* where)
{
    where[0]++;
}
