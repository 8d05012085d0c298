// The layers of a prior at one position: products of few rows with large weights, and reading from
// earlier positions (sampling_step.py). The speed is that of reading the weights. Every array keeps
// its place, and `where` holds the position. Of image n, what belongs to it begins at
//
//     start + n * stride + column of the position * step
//
// Weights come in strips of STRIP columns, (D / STRIP, K, STRIP), as float32 or as the bit patterns
// of bfloat16: a strip lies in one piece, and a thread reads all of its columns at once. A block of
// threads takes ROWS rows of x and one strip or a few, so that even one image's product occupies the
// whole device. Neighbouring threads read neighbouring rows of the weights, and numbers of x; their
// sums are added up in a fixed order.

constexpr int ROWS = WARP / STRIP;  // a warp has a lane for each of a strip's sums
constexpr int AT_ONCE = 2;  // blocks of threads that registers shall do for

template <class Weight>
struct alignas(sizeof(Weight) * STRIP < 16 ? sizeof(Weight) * STRIP : 16) Columns {
    Weight values[STRIP];
};

__device__ inline Real widened(Real weight) { return weight; }
__device__ inline Real widened(unsigned short bits) { return __uint_as_float(unsigned(bits) << 16); }

__device__ inline Real elu_of(Real x) { return x > 0 ? x : expm1(x); }
__device__ inline Real gated(Real a, Real b)
{
    Real decay = exp(-fabs(b));
    return a * ((b >= 0 ? Real(1) : decay) / (1 + decay));
}

// What a thread works on: with `threads` others, of which it is `number`, on the products of a strip
// with rows of x from `first` on; afterwards, where `strip_done` is a strip that there is, on one of their sums.
struct Share {
    int threads, number, strip, first;
    int strip_done, row, column;

    __device__ Share(int strips, int together)
    {
        int groups = (strips + together - 1) / together, begin = blockIdx.x % groups * together;
        threads = PRODUCT_THREADS / together;
        number = threadIdx.x % threads;
        strip = begin + threadIdx.x / threads;
        first = blockIdx.x / groups * ROWS;
        int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
        strip_done = warp < together ? begin + warp : strips;
        row = first + lane / STRIP;
        column = lane % STRIP;
    }
};

// The sums of WARP numbers over the lanes of a warp: lane i gets that of number i. Of the numbers that
// two lanes still have, each gives half to the other.
template <int HALF = WARP / 2>
__device__ inline Real sum_of_lane(Real (&own)[WARP])
{
    bool upper = threadIdx.x & HALF;
#pragma unroll
    for (int i = 0; i < HALF; i++) {
        Real sent = upper ? own[i] : own[i + HALF];
        own[i] = (upper ? own[i + HALF] : own[i]) + __shfl_xor_sync(ALL_LANES, sent, HALF);
    }
    if constexpr (HALF > 1) sum_of_lane<HALF / 2>(own);
    return own[0];
}

// The product of which the thread takes care afterwards: a row of x, `stride` numbers apart, with a
// column of w.
template <class Weight>
__device__ inline Real product(
    Share share, const Real* x, int stride, const Weight* w, int rows, int length, int strips)
{
    __shared__ Real parts[PRODUCT_THREADS / WARP][WARP];
    Real own[WARP] = {};
    x += (long long)share.first * stride;
    const Columns<Weight>* strip = (const Columns<Weight>*)w + (long long)share.strip * length;
    int end = share.strip < strips ? length : 0;
#pragma unroll(8 / sizeof(Weight))
    for (int k = share.number; k < end; k += share.threads) {
        Columns<Weight> weights = strip[k];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (share.first + r >= rows) continue;
            Real number = x[(long long)r * stride + k];
#pragma unroll
            for (int j = 0; j < STRIP; j++)
                own[r * STRIP + j] += number * widened(weights.values[j]);
        }
    }
    parts[threadIdx.x / WARP][threadIdx.x % WARP] = sum_of_lane(own);
    __syncthreads();
    Real sum = 0;
    int warps = share.threads / WARP, begin = threadIdx.x / WARP * warps;
    if (share.strip_done < strips)
        for (int warp = begin; warp < begin + warps; warp++) sum += parts[warp][threadIdx.x % WARP];
    return sum;
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
    int start, int stride, int step, int outputs, int rows, int length, int columns, int strips,
    int together)
{
    int position = where[0], column = position % size;
    Share share(strips, together);
    Real result = product(share, x + column * x_step, x_stride, w, rows, length, strips);
    int image = share.row, c = share.strip_done * STRIP + share.column;
    if (image >= rows || c >= columns) return;
    result += offset[at(image, offset_stride, position % period, columns) + c];
    if (outputs & 1) y[at(image, columns, 0, 0) + c] = result;
    if (outputs & 2) following[start + at(image, stride, column, step) + c] = elu_of(result);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, AT_ONCE) affine_at(
    const Real* x, const Real* w, const Real* offset, Real* y, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int outputs, int rows, int length, int columns, int strips,
    int together)
{
    affine_at_of(x, w, offset, y, following, where, size, x_stride, x_step, offset_stride, period,
                 start, stride, step, outputs, rows, length, columns, strips,
                 together);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, AT_ONCE) affine_at_bfloat16(
    const Real* x, const unsigned short* w, const Real* offset, Real* y, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int outputs, int rows, int length, int columns, int strips,
    int together)
{
    affine_at_of(x, w, offset, y, following, where, size, x_stride, x_step, offset_stride, period,
                 start, stride, step, outputs, rows, length, columns, strips,
                 together);
}

// The same through a gate, added to the features (rows, channels); ELU of these to `following`. Half
// of a strip's columns are of a, half are the same ones of b.
template <class Weight>
__device__ inline void affine_gate_at_of(
    const Real* x, const Weight* w, const Real* offset, Real* features, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int rows, int length, int channels, int strips,
    int together)
{
    constexpr int HALF = STRIP / 2;
    int position = where[0], column = position % size;
    Share share(strips, together);
    Real a = product(share, x + column * x_step, x_stride, w, rows, length, strips);
    Real b = __shfl_xor_sync(ALL_LANES, a, HALF);  // that of column + HALF
    int image = share.row, c = share.strip_done * HALF + share.column;
    if (image >= rows || share.column >= HALF || c >= channels) return;
    const Real* offsets = offset + at(image, offset_stride, position % period, 2 * channels);
    Real& sum = features[at(image, channels, 0, 0) + c];
    sum += gated(a + offsets[c], b + offsets[channels + c]);
    following[start + at(image, stride, column, step) + c] = elu_of(sum);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, AT_ONCE) affine_gate_at(
    const Real* x, const Real* w, const Real* offset, Real* features, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int rows, int length, int channels, int strips,
    int together)
{
    affine_gate_at_of(x, w, offset, features, following, where, size, x_stride, x_step,
                      offset_stride, period, start, stride, step, rows, length, channels, strips,
                      together);
}

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, AT_ONCE) affine_gate_at_bfloat16(
    const Real* x, const unsigned short* w, const Real* offset, Real* features, Real* following,
    const long long* where, int size, int x_stride, int x_step, int offset_stride, int period,
    int start, int stride, int step, int rows, int length, int channels, int strips,
    int together)
{
    affine_gate_at_of(x, w, offset, features, following, where, size, x_stride, x_step,
                      offset_stride, period, start, stride, step, rows, length, channels, strips,
                      together);
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
