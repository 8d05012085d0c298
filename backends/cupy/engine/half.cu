// Between float32 and half precision (half.py).

extern "C" __global__ void to_halves(
    const Real* x, unsigned short* halves, int format, long long count)
{
    EACH(i, count) halves[i] = half_bits(x[i], format);
}

extern "C" __global__ void widen(
    const unsigned short* halves, int format, Real* x, long long count)
{
    EACH(i, count) x[i] = half_value(halves[i], format);
}
