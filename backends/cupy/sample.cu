// Drawing a code per row of logits: one block per row, THREADS threads (sample.py).
//
// Which codes are kept is decided by what stands above each, which needs no sorting: a code is
// among the top_k likeliest when fewer than top_k logits are greater than its own, and within
// top_p when the codes greater than it hold less than that share of the probability. Codes tied
// with the last one kept are then kept as well. That is K^2 comparisons a row, all of them in the
// nearest cache: microseconds for the 512 codes of the paper.

// The place of the largest value as numpy.argmax decides: NaN is largest, among equals the first.
__device__ inline bool comes_first(Real a, int i, Real b, int j)
{
    bool a_nan = a != a, b_nan = b != b;
    if (a_nan != b_nan) return a_nan;
    return a_nan || a == b ? i < j : a > b;
}

// Gumbel noise of a code, as `gumbel_noise` has it: in double, so that it is the same everywhere.
__device__ inline Real gumbel(Word seed, long long index)
{
    double u = (double(hashed(seed, index) >> 12) + 0.5) * 0x1p-52;
    return Real(-log(-log(u)));
}

struct Choice {
    Real value;
    int code;

    __device__ void consider(Real other, int other_code)
    {
        if (comes_first(other, other_code, value, code)) value = other, code = other_code;
    }
};

// The choice among those of all threads of a block, for every one of them.
__device__ inline Choice choice_of_block(Choice own)
{
    __shared__ Choice choices[THREADS / WARP];
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        Real other = __shfl_xor_sync(ALL_LANES, own.value, distance);
        own.consider(other, __shfl_xor_sync(ALL_LANES, own.code, distance));
    }
    if (threadIdx.x % WARP == 0) choices[threadIdx.x / WARP] = own;
    __syncthreads();
    for (int w = 0; w < THREADS / WARP; w++) own.consider(choices[w].value, choices[w].code);
    return own;
}

// The code of a row of logits at a position, for every thread of the block. kept, weights, dropped:
// (rows, count), room for the scaled logits that top_k leaves, their exponentials, and which codes
// are out. `drawing` is 0 where the likeliest code is asked for.
__device__ inline int drawn(
    const Real* logits, const Word* seeds, long long position, Real* kept, Real* weights, int* dropped,
    int count, Real temperature, int top_k, Real top_p, int drawing)
{
    __shared__ Real peaks[THREADS / WARP], totals[THREADS / WARP];
    long long row = blockIdx.x;
    logits += row * count;
    kept += row * count;
    weights += row * count;
    dropped += row * count;

    for (int k = threadIdx.x; k < count; k += THREADS) {
        Real own = logits[k] / temperature;
        int above = 0;
        if (drawing && top_k > 0 && top_k < count)
            for (int j = 0; j < count; j++) above += logits[j] / temperature > own;
        dropped[k] = above > 0 && above >= top_k;
        kept[k] = dropped[k] ? LOWEST : own;
    }
    if (drawing && top_p < 1) {
        Real peak = LOWEST, total = 0;
        for (int k = threadIdx.x; k < count; k += THREADS) peak = fmax(peak, kept[k]);
        peak = block_max(peak, peaks);  // after it, `kept` is complete
        for (int k = threadIdx.x; k < count; k += THREADS) total += weights[k] = exp(kept[k] - peak);
        total = block_sum(total, totals);  // after it, `weights` is
        for (int k = threadIdx.x; k < count; k += THREADS) {
            Real above = 0;
            for (int j = 0; j < count; j++) above += kept[j] > kept[k] ? weights[j] : Real(0);
            if (above > 0 && !(above < top_p * total)) dropped[k] = 1;
        }
    }

    Choice own = {__uint_as_float(0xff800000u), count};  // minus infinity: no code yet
    for (int k = threadIdx.x; k < count; k += THREADS) {
        if (!drawing)
            own.consider(logits[k], k);
        else
            own.consider(dropped[k] ? LOWEST : kept[k] + gumbel(seeds[row], position * count + k), k);
    }
    return choice_of_block(own).code;
}

extern "C" __global__ void sample_codes(
    const Real* logits, const Word* seeds, Real* kept, Real* weights, int* dropped, long long* codes,
    int position, int count, Real temperature, int top_k, Real top_p, int drawing)
{
    int code = drawn(logits, seeds, position, kept, weights, dropped, count, temperature, top_k,
                     top_p, drawing);
    if (threadIdx.x == 0) codes[blockIdx.x] = code;
}

// The codes (rows, positions) of the position that `where` holds, where none is given yet
// (sampling_step.py).
extern "C" __global__ void sample_codes_at(
    const Real* logits, const Word* seeds, Real* kept, Real* weights, int* dropped, long long* codes,
    const long long* where, int positions, int count, Real temperature, int top_k, Real top_p,
    int drawing)
{
    long long position = where[0];
    int code = drawn(logits, seeds, position, kept, weights, dropped, count, temperature, top_k,
                     top_p, drawing);
    long long* place = codes + blockIdx.x * (long long)positions + position;
    if (threadIdx.x == 0 && *place < 0) *place = code;
}
