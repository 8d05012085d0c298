// Patches of images: what turns a convolution into one matrix product, and back.
//
// `unfold` copies, for each output position, the pixels that its taps meet side by side into one
// row of a matrix (positions, taps * channels); `fold` is its transpose: every pixel adds up, in a
// fixed order, the patch elements that it went into. Taps are numbered in raster order; of a
// causal convolution only the first ones are there (causal_conv.py), of an ordinary one all
// kernel * kernel of them.
//
// Output rows are counted through all images, and a launch handles `lines` of them from `first`
// on, so that the patches of a large batch need not all be in memory at once.
//
// Threads run along x over neighbouring numbers, along y over positions (or pixels).
//
// `unfold_halves` writes patches in half precision, rounded: what the product of these reads.

struct Exactly {
    typedef Real Number;
    __device__ Number operator()(Real x) const { return x; }
};

struct InHalf {
    typedef unsigned short Number;
    int format;
    __device__ Number operator()(Real x) const { return half_bits(x, format); }
};

template <class Rounding>
__device__ inline void unfold_into(
    const Real* x, typename Rounding::Number* patches, int height, int width, int channels, int rows,
    int columns, int kernel, int taps, int stride, int padding, int first, int lines,
    Rounding round)
{
    int position = blockIdx.x * blockDim.y + threadIdx.y;
    if (position >= lines * columns) return;
    int line = first + position / columns, j = position % columns;
    int image = line / rows, i = line % rows;
    int left = j * stride - padding;  // column of the first tap
    auto* patch = patches + (long long)position * taps * channels;
    for (int a = 0; a * kernel < taps; a++) {
        int row = i * stride + a - padding;
        bool inside = row >= 0 && row < height;
        // The taps of one row lie side by side in the image, too, and [low, high) is inside of it.
        int length = min(kernel, taps - a * kernel) * channels;
        int low = -left * channels, high = (width - left) * channels;
        long long start = (((long long)image * height + row) * width + left) * channels;
        for (int t = threadIdx.x; t < length; t += blockDim.x)
            patch[a * kernel * channels + t] =
                round(inside && t >= low && t < high ? x[start + t] : Real(0));
    }
}

extern "C" __global__ void unfold(
    const Real* x, Real* patches, int height, int width, int channels, int rows, int columns,
    int kernel, int taps, int stride, int padding, int first, int lines)
{
    unfold_into(x, patches, height, width, channels, rows, columns, kernel, taps, stride, padding,
                first, lines, Exactly());
}

extern "C" __global__ void unfold_halves(
    const Real* x, unsigned short* patches, int height, int width, int channels, int rows,
    int columns, int kernel, int taps, int stride, int padding, int first, int lines, int format)
{
    unfold_into(x, patches, height, width, channels, rows, columns, kernel, taps, stride, padding,
                first, lines, InHalf{format});
}

// Adds to x what the patches of lines first ... first + lines - 1 hold; `first_image` is the image
// of the first of these lines, and `images` how many images they belong to.
extern "C" __global__ void fold(
    const Real* patches, Real* x, int height, int width, int channels, int rows, int columns,
    int kernel, int taps, int stride, int padding, int first, int lines, int first_image,
    int images)
{
    long long pixel = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    if (pixel >= (long long)images * height * width) return;
    int column = pixel % width, row = pixel / width % height;
    int image = first_image + pixel / ((long long)width * height);
    x += (((long long)image * height + row) * width + column) * channels;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        Real sum = 0;
        for (int a = (row + padding) % stride; a * kernel < taps && a <= row + padding; a += stride) {
            int i = (row + padding - a) / stride;
            int line = image * rows + i - first;
            if (i >= rows || line < 0 || line >= lines) continue;
            int open = min(kernel, taps - a * kernel);  // taps of this row
            for (int b = (column + padding) % stride; b < open && b <= column + padding; b += stride) {
                int j = (column + padding - b) / stride;
                if (j >= columns) continue;
                long long position = (long long)line * columns + j;
                sum += patches[(position * taps + a * kernel + b) * channels + c];
            }
        }
        x[c] += sum;
    }
}
