// What every .cu file is compiled after. `Real` is float or double (see cuda.py).
//
// Names in the kernels: a *block* is a group of threads that share fast memory and can wait for one
// another (__syncthreads); a *warp* is 32 threads of it that run in step and can pass values to one
// another directly; a thread's number within its warp is its *lane*.

typedef unsigned long long Word;

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;
[[maybe_unused]] constexpr Real LOWEST =  // the least finite number
    Real(sizeof(Real) == 4 ? -3.4028234663852886e38 : -1.7976931348623157e308);

// Run the body for i = 0 ... count - 1, shared out among all threads of the grid.
#define EACH(i, count)                                                              \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count; \
         i += (long long)gridDim.x * blockDim.x)

// The sum of one value from each lane, and the largest; every lane gets the result. The order of
// the additions is fixed.
__device__ inline Real warp_sum(Real value)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, distance);
    return value;
}

__device__ inline Real warp_max(Real value)  // like fmax it passes over NaN
{
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = fmax(value, __shfl_xor_sync(ALL_LANES, value, distance));
    return value;
}

// The same of all threads of a block, for every one of them. `scratch`, in shared memory, has a place
// for each warp and must be used once only.
__device__ inline Real block_max(Real value, Real* scratch)
{
    value = warp_max(value);
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = value;
    __syncthreads();
    value = scratch[0];
    for (int w = 1; w < blockDim.x / WARP; w++) value = fmax(value, scratch[w]);
    return value;
}

__device__ inline Real block_sum(Real value, Real* scratch)
{
    value = warp_sum(value);
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = value;
    __syncthreads();
    value = 0;
    for (int w = 0; w < blockDim.x / WARP; w++) value += scratch[w];
    return value;
}

// 64 bits of chance (`reference/hashing.py`), and whether dropout keeps element number `index`.
__device__ inline Word hashed(Word seed, Word index)
{
    Word z = seed + (index + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

__device__ inline bool keep(Word seed, Word index, Word threshold)
{
    return hashed(seed, index) >= threshold;
}

// The part of a matrix (rows, channels) that a thread looks at: one column of it, in rows `first` to
// `last` - 1. The rows come in groups of `length` (all of them, or those of one image), and each group
// in parts of `part_rows`; `number` counts the parts of all groups. Threads run along x over columns, so
// that what a warp reads at once lies side by side, and along y over parts.
struct Part {
    long long number, first, last;
    int column;
    bool inside;  // whether there is such a part, and such a column
};

__device__ inline Part part_of(long long groups, long long length, int channels, int part_rows)
{
    int tiles = (channels + blockDim.x - 1) / blockDim.x;
    long long parts = (length + part_rows - 1) / part_rows;  // of a group
    Part part;
    part.column = blockIdx.x % tiles * blockDim.x + threadIdx.x;
    part.number = (long long)(blockIdx.x / tiles) * blockDim.y + threadIdx.y;
    part.inside = part.column < channels && part.number < groups * parts;
    if (!part.inside) return part;
    long long group = part.number / parts, begin = part.number % parts * part_rows;
    part.first = group * length + begin;
    part.last = group * length + min(length, begin + part_rows);
    return part;
}

// The bit pattern of a number rounded to half precision, to nearest, ties to even: of float16 (5 bits
// of exponent; what is too large becomes infinite) or of bfloat16 (the upper half of a float).
enum HalfFormat { FLOAT16, BFLOAT16, EXACT };  // EXACT: not in half precision, but `Real`

__device__ inline unsigned short float16_bits(float x)
{
    unsigned bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) return sign | 0x7e00u;   // NaN
    if (size >= 0x477ff000u) return sign | 0x7c00u;  // from 65520 on
    if (size < 0x38800000u) {
        // Below 2^-14 the numbers are multiples of 2^-24. Adding 0.5, whose last bit is worth as
        // much, rounds to one of them.
        return sign | (__float_as_uint(__uint_as_float(size) + 0.5f) - 0x3f000000u);
    }
    size += 0xfffu + (size >> 13 & 1u);  // to nearest of 10 bits of fraction
    return sign | ((size - 0x38000000u) >> 13);
}

__device__ inline unsigned short bfloat16_bits(float x)
{
    unsigned bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 1u;  // NaN
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

__device__ inline unsigned short half_bits(float x, int format)
{
    return format == FLOAT16 ? float16_bits(x) : bfloat16_bits(x);
}

// The number that a bit pattern stands for.
__device__ inline float half_value(unsigned short bits, int format)
{
    if (format == BFLOAT16) return __uint_as_float((unsigned)bits << 16);
    unsigned sign = (bits & 0x8000u) << 16, size = bits & 0x7fffu;
    if (size >= 0x7c00u) return __uint_as_float(sign | 0x7f800000u | (size & 0x3ffu) << 13);
    if (size < 0x400u)  // a multiple of 2^-24
        return __uint_as_float(sign | __float_as_uint(size * 5.9604644775390625e-8f));
    return __uint_as_float(sign | ((size << 13) + 0x38000000u));
}

// An array whose numbers are of the format that is given beside it.
typedef void Any;

__device__ inline Real read(const Any* x, long long i, int format)
{
    return format == EXACT ? ((const Real*)x)[i] : half_value(((const unsigned short*)x)[i], format);
}

__device__ inline void write(Any* x, long long i, int format, Real value)
{
    if (format == EXACT)
        ((Real*)x)[i] = value;
    else
        ((unsigned short*)x)[i] = half_bits(value, format);
}
