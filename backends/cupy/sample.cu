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

// The code of a row of logits, for thread 0 of the block. kept, weights, dropped: (rows, count),
// room for the scaled logits that top_k leaves, their exponentials, and which codes are out.
// `drawing` is 0 where the likeliest code is asked for.
__device__ inline int drawn(
    const Real* logits, const Real* gumbel, long long row, long long noise, Real* kept,
    Real* weights, int* dropped, int count, Real temperature, int top_k, Real top_p, int drawing)
{
    __shared__ Real peaks[THREADS / WARP], totals[THREADS / WARP];
    __shared__ Real best_values[THREADS];
    __shared__ int best_places[THREADS];
    logits += row * count;
    gumbel += noise * count;
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

    Real best = 0;
    int place = count;  // none yet
    for (int k = threadIdx.x; k < count; k += THREADS) {
        Real value = !drawing ? logits[k] : dropped[k] ? LOWEST : kept[k] + gumbel[k];
        if (place == count || comes_first(value, k, best, place)) best = value, place = k;
    }
    best_values[threadIdx.x] = best;
    best_places[threadIdx.x] = place;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 1; i < THREADS; i++) {
            bool found = best_places[i] < count;
            if (found && comes_first(best_values[i], best_places[i], best, place))
                best = best_values[i], place = best_places[i];
        }
    }
    return place;
}

extern "C" __global__ void sample_codes(
    const Real* logits, const Real* gumbel, Real* kept, Real* weights, int* dropped,
    long long* codes, int count, Real temperature, int top_k, Real top_p, int drawing)
{
    int place = drawn(logits, gumbel, blockIdx.x, blockIdx.x, kept, weights, dropped, count,
                      temperature, top_k, top_p, drawing);
    if (threadIdx.x == 0) codes[blockIdx.x] = place;
}

// The codes (rows, positions) of the position that `where` holds, where none is given yet; `gumbel`
// (size, rows, count) is the noise of the position's row of the map (position_step.py).
extern "C" __global__ void sample_codes_at(
    const Real* logits, const Real* gumbel, Real* kept, Real* weights, int* dropped,
    long long* codes, const long long* where, int size, int positions, int count, Real temperature,
    int top_k, Real top_p, int drawing)
{
    int position = where[0];
    long long noise = position % size * (long long)gridDim.x + blockIdx.x;
    int place = drawn(logits, gumbel, blockIdx.x, noise, kept, weights, dropped, count, temperature,
                      top_k, top_p, drawing);
    long long* code = codes + blockIdx.x * (long long)positions + position;
    if (threadIdx.x == 0 && *code < 0) *code = place;
}
