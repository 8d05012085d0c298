// Nearest-code search and codebook statistics.
//
// VECTORS, CODES and DEPTH, given by quantize.py, are the sizes of the search's tiles: a block
// compares VECTORS vectors with CODES codes at a time, DEPTH dimensions at a time, so that no
// N x K matrix of distances ever exists. Its threads form a square of SIDE x SIDE; each keeps
// ROWS x COLUMNS distances in registers.

constexpr int SIDE = 16;
constexpr int ROWS = VECTORS / SIDE, COLUMNS = CODES / SIDE;

// A code's distance, and whether it beats another as numpy.argmin decides: NaN is smaller than
// every number, and among equals the lowest index wins.
struct Candidate {
    Real distance;
    int code;  // -1: none yet
};

__device__ inline bool beats(Candidate a, Candidate b)
{
    if (a.code < 0 || b.code < 0) return b.code < 0;
    bool a_nan = a.distance != a.distance, b_nan = b.distance != b.distance;
    if (a_nan != b_nan) return a_nan;
    if (a_nan || a.distance == b.distance) return a.code < b.code;
    return a.distance < b.distance;
}

// Rows `first` ... of `source` (total, dimensions), dimensions `start` ... of them, transposed into
// tile[DEPTH][rows + 1]; zeros beyond the ends. The odd pitch keeps the writes of a warp, which
// reads along the dimensions, out of one another's memory banks.
template <int rows>
__device__ inline void load_tile(
    Real (*tile)[rows + 1], const Real* source, long long first, long long total, int start,
    int dimensions)
{
    for (int t = threadIdx.x; t < rows * DEPTH; t += SIDE * SIDE) {
        int row = t / DEPTH, d = t % DEPTH;
        bool inside = first + row < total && start + d < dimensions;
        tile[d][row] = inside ? source[(first + row) * dimensions + start + d] : Real(0);
    }
}

extern "C" __global__ void __launch_bounds__(SIDE * SIDE) nearest_code(
    const Real* vectors, const Real* codebook, long long* codes, long long total, int count,
    int dimensions)
{
    __shared__ Real vector_tile[DEPTH][VECTORS + 1];
    __shared__ Real code_tile[DEPTH][CODES + 1];
    __shared__ Real best_distance[VECTORS][SIDE + 1];
    __shared__ int best_code[VECTORS][SIDE + 1];
    int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    long long first = blockIdx.x * (long long)VECTORS;
    Candidate best[ROWS];
    for (int r = 0; r < ROWS; r++) best[r] = {0, -1};

    for (int first_code = 0; first_code < count; first_code += CODES) {
        Real distance[ROWS][COLUMNS] = {};
        for (int start = 0; start < dimensions; start += DEPTH) {
            __syncthreads();  // the former tiles have been read by all
            load_tile<VECTORS>(vector_tile, vectors, first, total, start, dimensions);
            load_tile<CODES>(code_tile, codebook, first_code, count, start, dimensions);
            __syncthreads();
            for (int d = 0; d < DEPTH; d++)
                for (int r = 0; r < ROWS; r++)
                    for (int c = 0; c < COLUMNS; c++) {
                        Real difference = vector_tile[d][y + r * SIDE] - code_tile[d][x + c * SIDE];
                        distance[r][c] += difference * difference;
                    }
        }
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < COLUMNS; c++) {
                Candidate candidate = {distance[r][c], first_code + x + c * SIDE};
                if (candidate.code < count && beats(candidate, best[r])) best[r] = candidate;
            }
    }

    for (int r = 0; r < ROWS; r++) {
        best_distance[y + r * SIDE][x] = best[r].distance;
        best_code[y + r * SIDE][x] = best[r].code;
    }
    __syncthreads();
    int row = threadIdx.x;
    if (row < VECTORS && first + row < total) {
        Candidate winner = {0, -1};
        for (int i = 0; i < SIDE; i++) {
            Candidate candidate = {best_distance[row][i], best_code[row][i]};
            if (beats(candidate, winner)) winner = candidate;
        }
        codes[first + row] = winner.code;
    }
}

// Statistics, first half: every part of the vectors adds them up, one after the other, in sums of
// its own, partial[part][code][dimension]; each thread owns a dimension, so no two write to the
// same number. Counts are whole numbers, whose sum does not depend on the order.
extern "C" __global__ void add_by_code(
    const Real* vectors, const long long* codes, Real* partial, unsigned* counts, int* invalid,
    long long total, int part_size, int count, int dimensions, int column_blocks)
{
    int part = blockIdx.x / column_blocks;
    int d = blockIdx.x % column_blocks * blockDim.x + threadIdx.x;
    long long start = (long long)part * part_size;
    long long stop = min(start + part_size, total);
    for (long long n = start; n < stop; n++) {
        long long code = codes[n];
        bool valid = code >= 0 && code < count;
        if (d == 0 && valid) atomicAdd(&counts[code], 1u);
        if (d == 0 && !valid) atomicMax(invalid, 1);
        if (d < dimensions && valid)
            partial[((long long)part * count + code) * dimensions + d] += vectors[n * dimensions + d];
    }
}

// Second half: the parts' sums, in order. A code outside the codebook makes everything NaN, since
// raising an error would make the host wait.
extern "C" __global__ void add_parts(
    const Real* partial, const unsigned* counts, const int* invalid, Real* sums, Real* count_of_code,
    int parts, int dimensions, long long size)
{
    Real wrong = *invalid ? Real(nan("")) : Real(0);
    EACH(i, size) {
        Real sum = wrong;
        for (int part = 0; part < parts; part++) sum += partial[part * size + i];
        sums[i] = sum;
        if (i % dimensions == 0) count_of_code[i / dimensions] = counts[i / dimensions] + wrong;
    }
}
