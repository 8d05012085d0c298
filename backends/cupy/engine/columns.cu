// Sums over the parts that the rows of a matrix were cut into (columns.py).

// The sum of the values that the threads of one column hold, for each of them; in the order of y.
// `scratch`, in shared memory, has a place for each thread and must be used once only.
__device__ inline Real column_sum(Real value, Real* scratch)
{
    scratch[threadIdx.y * ACROSS + threadIdx.x] = value;
    __syncthreads();
    Real sum = 0;
    for (int y = 0; y < ACROSS; y++) sum += scratch[y * ACROSS + threadIdx.x];
    return sum;
}

// partial is (groups, parts, channels), total (groups, channels): a block for ACROSS columns of a group.
extern "C" __global__ void add_parts_of_columns(
    const Real* partial, Real* total, int parts, int channels)
{
    __shared__ Real scratch[ACROSS * ACROSS];
    int tiles = (channels + ACROSS - 1) / ACROSS, column = blockIdx.x % tiles * ACROSS + threadIdx.x;
    long long group = blockIdx.x / tiles;
    partial += group * parts * channels + column;
    Real sum = 0;
    if (column < channels)
        for (int part = threadIdx.y; part < parts; part += ACROSS)
            sum += partial[(long long)part * channels];
    sum = column_sum(sum, scratch);
    if (threadIdx.y == 0 && column < channels) total[group * channels + column] = sum;
}
