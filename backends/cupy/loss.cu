// Softmax cross-entropy: one warp per row of logits, which it reads in steps of 32 neighbours.
//
// A target outside 0 ... count - 1 makes the row NaN: nothing beyond the logits is read, and the
// host, which would have to wait to be told of an error, sees it in the loss.

__device__ inline long long row_of_warp()
{
    return blockIdx.x * (long long)(blockDim.x / WARP) + threadIdx.x / WARP;
}

__device__ inline Real largest_logit(const Real* logits, int count, int lane)
{
    Real peak = LOWEST;
    for (int k = lane; k < count; k += WARP) peak = fmax(peak, logits[k]);
    return warp_max(peak);
}

__device__ inline Real sum_of_exponentials(const Real* logits, Real peak, int count, int lane)
{
    Real total = 0;
    for (int k = lane; k < count; k += WARP) total += exp(logits[k] - peak);
    return warp_sum(total);
}

extern "C" __global__ void cross_entropy(
    const Real* logits, const long long* targets, Real* losses, long long rows, int count)
{
    long long row = row_of_warp();
    if (row >= rows) return;  // the whole warp leaves together
    int lane = threadIdx.x % WARP;
    logits += row * count;
    Real peak = largest_logit(logits, count, lane);
    Real total = sum_of_exponentials(logits, peak, count, lane);
    long long target = targets[row];
    bool valid = target >= 0 && target < count;
    if (lane == 0) losses[row] = valid ? log(total) - (logits[target] - peak) : Real(nan(""));
}

extern "C" __global__ void cross_entropy_gradient(
    const Real* logits, const long long* targets, const Real* d_losses, Real* d_logits,
    long long rows, int count)
{
    long long row = row_of_warp();
    if (row >= rows) return;
    int lane = threadIdx.x % WARP;
    logits += row * count;
    d_logits += row * count;
    Real peak = largest_logit(logits, count, lane);
    Real total = sum_of_exponentials(logits, peak, count, lane);
    long long target = targets[row];
    bool valid = target >= 0 && target < count;
    Real d_loss = valid ? d_losses[row] : Real(nan(""));
    for (int k = lane; k < count; k += WARP)
        d_logits[k] = (exp(logits[k] - peak) / total - Real(k == target)) * d_loss;
}
