/* The functions of cuBLAS that this project's products need, on the processor, for the real cupy.

   C = alpha op(A) op(B) + beta C, all matrices stored column by column. Types of numbers: 0 float,
   2 float16, 14 bfloat16, as cudaDataType has them; C has float or the type of A and B, and is
   rounded to nearest, ties to even. What else is asked for fails. */
#include <string.h>

static float half_value(unsigned short bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent ? (1024 + fraction) / 1024.0f : fraction / 1024.0f;
    for (int e = exponent ? exponent : 1; e < 15; e++) value /= 2;
    for (int e = 15; e < exponent; e++) value *= 2;
    return bits & 0x8000 ? -value : value;
}

static float number(const void* numbers, int type, long place)
{
    if (type == 0) return ((const float*)numbers)[place];
    unsigned short bits = ((const unsigned short*)numbers)[place];
    if (type == 2) return half_value(bits);
    unsigned wide = (unsigned)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static unsigned short half_bits(float value)
{
    unsigned bits, size;
    memcpy(&bits, &value, sizeof bits);
    unsigned sign = bits >> 16 & 0x8000;
    size = bits & 0x7fffffff;
    if (size > 0x7f800000) return sign | 0x7e00; /* NaN */
    if (size >= 0x477ff000) return sign | 0x7c00; /* from 65520 on it is infinity */
    if (size < 0x38800000) { /* below 2^-14: a multiple of 2^-24, to which a sum with 1/2 rounds */
        float sum = 0.5f + (value < 0 ? -value : value);
        memcpy(&size, &sum, sizeof size);
        return sign | (size - 0x3f000000);
    }
    size += 0xfff + (size >> 13 & 1);
    return sign | ((size >> 13) - (112 << 10));
}

static void store(void* numbers, int type, long place, float value)
{
    unsigned bits;
    if (type == 0) {
        ((float*)numbers)[place] = value;
        return;
    }
    memcpy(&bits, &value, sizeof bits);
    if (type == 2)
        bits = half_bits(value);
    else if (value != value)
        bits = bits >> 16 | 0x40;
    else
        bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    ((unsigned short*)numbers)[place] = bits;
}

static int product(int turn_a, int turn_b, int m, int n, int k, const float* alpha, const void* a,
    int a_type, int lda, const void* b, int b_type, int ldb, const float* beta, void* c,
    int c_type, int ldc)
{
    if (a_type != b_type || (a_type != 0 && a_type != 2 && a_type != 14)) return 15;
    if (c_type != 0 && c_type != a_type) return 15; /* not supported */
    for (long j = 0; j < n; j++)
        for (long i = 0; i < m; i++) {
            float sum = 0;
            for (long p = 0; p < k; p++)
                sum += number(a, a_type, turn_a ? p + i * lda : i + p * lda) *
                       number(b, b_type, turn_b ? j + p * ldb : p + j * ldb);
            float former = *beta ? *beta * number(c, c_type, i + j * ldc) : 0;
            store(c, c_type, i + j * ldc, *alpha * sum + former);
        }
    return 0;
}

int cublasSgemm_v2(void* handle, int turn_a, int turn_b, int m, int n, int k, const float* alpha,
    const float* a, int lda, const float* b, int ldb, const float* beta, float* c, int ldc)
{
    return product(turn_a, turn_b, m, n, k, alpha, a, 0, lda, b, 0, ldb, beta, c, 0, ldc);
}

int cublasGemmEx(void* handle, int turn_a, int turn_b, int m, int n, int k, const float* alpha,
    const void* a, int a_type, int lda, const void* b, int b_type, int ldb, const float* beta,
    void* c, int c_type, int ldc, int compute, int algorithm)
{
    return product(
        turn_a, turn_b, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc);
}

int cublasSdot_v2(void* handle, int n, const float* x, int x_step, const float* y, int y_step,
    float* result)
{
    *result = 0;
    for (long i = 0; i < n; i++) *result += x[i * x_step] * y[i * y_step];
    return 0;
}

int cublasCreate_v2(void** handle)
{
    *handle = (void*)1;
    return 0;
}
