// The factors of a product in half precision, as cuBLAS reads them (cublas.py).

extern "C" __global__ void to_halves(
    const Real* x, unsigned short* halves, int format, long long count)
{
    EACH(i, count) halves[i] = half_bits(x[i], format);
}
