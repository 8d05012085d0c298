// Strictly causal attention in tiles, with a running softmax; no L x L array exists.
//
// Position i attends to positions j < i. A block of WARPS warps owns TILE queries (or, for the
// gradients of keys and values, TILE keys) of one image and head, and goes through the tiles of the
// other side. Each warp owns ROWS of the block's rows; its 32 lanes stand for the 32 positions of
// the other side's tile while logits are computed, and for channels while rows are added up.
//
// Forward, a row keeps the largest logit so far, the sum of exp(logit - peak) and the sum of
// exp(logit - peak) * value; when the peak rises, both sums shrink accordingly. Backward, weights
// are computed again from the log of the softmax's denominator. Every sum has a fixed order.
//
// Tiles whose rows are read by many lanes at once, one row each, have an odd pitch: the lanes then
// meet different memory banks.

constexpr int ROWS = 8;
constexpr int WARPS = TILE / ROWS;
static_assert(TILE == WARP, "one lane for each position of a tile");

struct Dropout {
    Word seed, threshold;  // threshold 0: none
    Real factor;
    int on_logits;

    // What the logit, and what the weight of a pair of positions is multiplied by.
    __device__ Real on_logit(Word pair) const { return on_logits ? of(pair) : Real(1); }
    __device__ Real on_weight(Word pair) const { return on_logits ? Real(1) : of(pair); }
    __device__ Real of(Word pair) const
    {
        return threshold == 0 ? Real(1) : keep(seed, pair, threshold) ? factor : Real(0);
    }
};

// Rows first ... of `source` (length, width) into a tile, zeros beyond the end.
__device__ inline void load_tile(
    Real* tile, const Real* source, int first, int length, int width, int pitch)
{
    for (int t = threadIdx.x; t < TILE * width; t += blockDim.x) {
        int row = t / width, c = t % width;
        bool inside = first + row < length;
        tile[row * pitch + c] = inside ? source[(long long)(first + row) * width + c] : Real(0);
    }
}

__device__ inline void clear(Real* tile, int size)
{
    for (int t = threadIdx.x; t < size; t += blockDim.x) tile[t] = 0;
}

// products[r] = row r of this warp's rows times row `lane` of the other tile.
__device__ inline void multiply_rows(
    Real* products, const Real* rows, const Real* others, int lane, int width, int pitch)
{
    for (int r = 0; r < ROWS; r++) products[r] = 0;
    for (int t = 0; t < width; t++) {
        Real other = others[lane * pitch + t];
        for (int r = 0; r < ROWS; r++) products[r] += rows[r * pitch + t] * other;
    }
}

// sums[r] = shrink[r] * sums[r] + weights[r] @ tile, for the warp's rows; lanes run over channels.
__device__ inline void add_weighted(
    Real* sums, const Real* shrink, const Real* weights, const Real* tile, int lane, int width,
    int pitch)
{
    for (int c = lane; c < width; c += WARP) {
        Real sum[ROWS];
        for (int r = 0; r < ROWS; r++) sum[r] = shrink[r] * sums[r * width + c];
        for (int j = 0; j < TILE; j++) {
            Real value = tile[j * pitch + c];
            for (int r = 0; r < ROWS; r++) sum[r] += weights[r * TILE + j] * value;
        }
        for (int r = 0; r < ROWS; r++) sums[r * width + c] = sum[r];
    }
}

// Shared memory, in Reals: queries, keys (TILE x pitch), values (TILE x pitch of values), sums
// (TILE x width_out), weights (TILE x TILE).
extern "C" __global__ void __launch_bounds__(WARPS * WARP) attention(
    const Real* queries, const Real* keys, const Real* values, Real* output, Real* log_normalizer,
    int length, int width, int width_out, Real scale, Word seed, Word threshold, Real factor,
    int on_logits)
{
    extern __shared__ Real shared[];
    int pitch = width | 1, pitch_out = width_out | 1;
    Real *q = shared, *k = q + TILE * pitch, *v = k + TILE * pitch;
    Real *sums = v + TILE * pitch_out, *weights = sums + TILE * width_out;
    Dropout dropout = {seed, threshold, factor, on_logits};

    int tiles = (length + TILE - 1) / TILE;
    Word b = blockIdx.x / tiles;
    int first_query = (tiles - 1 - blockIdx.x % tiles) * TILE;  // the longest rows first
    int lane = threadIdx.x % WARP, own = threadIdx.x / WARP * ROWS;
    queries += b * length * width;
    keys += b * length * width;
    values += b * length * width_out;
    Real* row_weights = weights + own * TILE;
    Real* row_sums = sums + own * width_out;

    Real peak[ROWS], total[ROWS];
    for (int r = 0; r < ROWS; r++) peak[r] = LOWEST, total[r] = 0;
    clear(sums, TILE * width_out);
    load_tile(q, queries, first_query, length, width, pitch);

    for (int first_key = 0; first_key < first_query + TILE && first_key < length; first_key += TILE) {
        __syncthreads();  // the former keys and values have been used
        load_tile(k, keys, first_key, length, width, pitch);
        load_tile(v, values, first_key, length, width_out, pitch_out);
        __syncthreads();
        Real logit[ROWS], shrink[ROWS];
        multiply_rows(logit, q + own * pitch, k, lane, width, pitch);
        for (int r = 0; r < ROWS; r++) {
            int i = first_query + own + r, j = first_key + lane;
            bool allowed = j < i && i < length;
            Word pair = (b * length + i) * length + j;
            logit[r] *= scale * dropout.on_logit(pair);
            Real new_peak = fmax(peak[r], warp_max(allowed ? logit[r] : LOWEST));
            Real weight = allowed ? exp(logit[r] - new_peak) : Real(0);
            shrink[r] = exp(peak[r] - new_peak);
            total[r] = shrink[r] * total[r] + warp_sum(weight);
            peak[r] = new_peak;
            row_weights[r * TILE + lane] = weight * dropout.on_weight(pair);
        }
        __syncwarp();  // the warp's weights are complete
        add_weighted(row_sums, shrink, row_weights, v, lane, width_out, pitch_out);
    }

    for (int r = 0; r < ROWS; r++) {
        int i = first_query + own + r;
        if (i >= length) continue;
        bool nothing = total[r] == 0;  // the first position attends to nothing: exactly zero
        Real* row = output + (b * length + i) * width_out;
        for (int c = lane; c < width_out; c += WARP)
            row[c] = nothing ? Real(0) : row_sums[r * width_out + c] / total[r];
        if (lane == 0) log_normalizer[b * length + i] = nothing ? Real(0) : peak[r] + log(total[r]);
    }
}

// Of one pair of positions: the weight as it met the value, and the gradient of q . k.
struct Pair {
    Real weight, d_product;
};

__device__ inline Pair pair_gradient(
    Real product, Real d_weight, Real scale, Real log_normalizer, Real inner,
    const Dropout& dropout, Word number)
{
    Real on_logit = dropout.on_logit(number), on_weight = dropout.on_weight(number);
    Real weight = exp(product * scale * on_logit - log_normalizer);
    Real d_logit = weight * (d_weight * on_weight - inner);
    return {weight * on_weight, d_logit * on_logit * scale};
}

// inner: sum(d_output * output) per row. Shared memory: queries, keys (TILE x pitch), cotangents,
// values (TILE x pitch of values), gradients (TILE x width), weights (TILE x TILE).
extern "C" __global__ void __launch_bounds__(WARPS * WARP) attention_query_gradient(
    const Real* queries, const Real* keys, const Real* values, const Real* log_normalizer,
    const Real* inner, const Real* d_output, Real* d_queries, int length, int width, int width_out,
    Real scale, Word seed, Word threshold, Real factor, int on_logits)
{
    extern __shared__ Real shared[];
    int pitch = width | 1, pitch_out = width_out | 1;
    Real *q = shared, *k = q + TILE * pitch, *dy = k + TILE * pitch, *v = dy + TILE * pitch_out;
    Real *gradients = v + TILE * pitch_out, *weights = gradients + TILE * width;
    Dropout dropout = {seed, threshold, factor, on_logits};

    int tiles = (length + TILE - 1) / TILE;
    Word b = blockIdx.x / tiles;
    int first_query = (tiles - 1 - blockIdx.x % tiles) * TILE;
    int lane = threadIdx.x % WARP, own = threadIdx.x / WARP * ROWS;
    queries += b * length * width;
    keys += b * length * width;
    values += b * length * width_out;
    d_output += b * length * width_out;
    Real* row_weights = weights + own * TILE;
    Real* row_gradients = gradients + own * width;
    Real one[ROWS];
    for (int r = 0; r < ROWS; r++) one[r] = 1;

    clear(gradients, TILE * width);
    load_tile(q, queries, first_query, length, width, pitch);
    load_tile(dy, d_output, first_query, length, width_out, pitch_out);
    for (int first_key = 0; first_key < first_query + TILE && first_key < length; first_key += TILE) {
        __syncthreads();  // the former keys and values have been used
        load_tile(k, keys, first_key, length, width, pitch);
        load_tile(v, values, first_key, length, width_out, pitch_out);
        __syncthreads();
        Real product[ROWS], d_weight[ROWS];
        multiply_rows(product, q + own * pitch, k, lane, width, pitch);
        multiply_rows(d_weight, dy + own * pitch_out, v, lane, width_out, pitch_out);
        for (int r = 0; r < ROWS; r++) {
            int i = first_query + own + r, j = first_key + lane;
            bool allowed = j < i && i < length;
            Pair pair = {0, 0};
            if (allowed)
                pair = pair_gradient(product[r], d_weight[r], scale, log_normalizer[b * length + i],
                    inner[b * length + i], dropout, (b * length + i) * length + j);
            row_weights[r * TILE + lane] = pair.d_product;
        }
        __syncwarp();
        add_weighted(row_gradients, one, row_weights, k, lane, width, pitch);
    }

    for (int r = 0; r < ROWS; r++) {
        int i = first_query + own + r;
        if (i >= length) continue;
        for (int c = lane; c < width; c += WARP)
            d_queries[(b * length + i) * width + c] = row_gradients[r * width + c];
    }
}

// Rows are keys here, lanes queries. Shared memory: keys, queries (TILE x pitch), values,
// cotangents (TILE x pitch of values), gradients of keys (TILE x width) and values
// (TILE x width_out), weights and gradients of products (TILE x TILE each).
extern "C" __global__ void __launch_bounds__(WARPS * WARP) attention_key_value_gradient(
    const Real* queries, const Real* keys, const Real* values, const Real* log_normalizer,
    const Real* inner, const Real* d_output, Real* d_keys, Real* d_values, int length, int width,
    int width_out, Real scale, Word seed, Word threshold, Real factor, int on_logits)
{
    extern __shared__ Real shared[];
    int pitch = width | 1, pitch_out = width_out | 1;
    Real *k = shared, *q = k + TILE * pitch, *v = q + TILE * pitch, *dy = v + TILE * pitch_out;
    Real *key_gradients = dy + TILE * pitch_out, *value_gradients = key_gradients + TILE * width;
    Real *weights = value_gradients + TILE * width_out, *d_products = weights + TILE * TILE;
    Dropout dropout = {seed, threshold, factor, on_logits};

    int tiles = (length + TILE - 1) / TILE;
    Word b = blockIdx.x / tiles;
    int first_key = blockIdx.x % tiles * TILE;
    int lane = threadIdx.x % WARP, own = threadIdx.x / WARP * ROWS;
    queries += b * length * width;
    keys += b * length * width;
    values += b * length * width_out;
    d_output += b * length * width_out;
    Real *row_weights = weights + own * TILE, *row_d_products = d_products + own * TILE;
    Real one[ROWS];
    for (int r = 0; r < ROWS; r++) one[r] = 1;

    clear(key_gradients, TILE * (width + width_out));
    load_tile(k, keys, first_key, length, width, pitch);
    load_tile(v, values, first_key, length, width_out, pitch_out);
    for (int first_query = first_key; first_query < length; first_query += TILE) {
        __syncthreads();  // the former queries and cotangents have been used
        load_tile(q, queries, first_query, length, width, pitch);
        load_tile(dy, d_output, first_query, length, width_out, pitch_out);
        __syncthreads();
        Real product[ROWS], d_weight[ROWS];
        multiply_rows(product, k + own * pitch, q, lane, width, pitch);
        multiply_rows(d_weight, v + own * pitch_out, dy, lane, width_out, pitch_out);
        for (int r = 0; r < ROWS; r++) {
            int i = first_query + lane, j = first_key + own + r;
            bool allowed = j < i && i < length;
            Pair pair = {0, 0};
            if (allowed)
                pair = pair_gradient(product[r], d_weight[r], scale, log_normalizer[b * length + i],
                    inner[b * length + i], dropout, (b * length + i) * length + j);
            row_weights[r * TILE + lane] = pair.weight;
            row_d_products[r * TILE + lane] = pair.d_product;
        }
        __syncwarp();
        add_weighted(key_gradients + own * width, one, row_d_products, q, lane, width, pitch);
        add_weighted(value_gradients + own * width_out, one, row_weights, dy, lane, width_out, pitch_out);
    }

    for (int r = 0; r < ROWS; r++) {
        int j = first_key + own + r;
        if (j >= length) continue;
        for (int c = lane; c < width; c += WARP)
            d_keys[(b * length + j) * width + c] = key_gradients[(own + r) * width + c];
        for (int c = lane; c < width_out; c += WARP)
            d_values[(b * length + j) * width_out + c] = value_gradients[(own + r) * width_out + c];
    }
}
