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
// Threads run along x over neighbouring numbers, along y over positions (or pixels). Kernel sizes and
// strides of the paper's models are known when this is compiled: divisions by them are none, loops over
// taps are unrolled, and their loads under way together.

// `unfold` only copies: what a pixel is made of are words of 16 bytes where its channels fill such,
// else smaller ones. `channels` counts words.
struct alignas(16) Words { unsigned words[4]; };

template <class Number>
__device__ inline void unfold_words(
    const Number* x, Number* patches, int height, int width, int channels, int rows, int columns,
    int kernel, int taps, int stride, int padding, int first, int lines)
{
    int position = blockIdx.x * blockDim.y + threadIdx.y;
    if (position >= lines * columns) return;
    int line = first + position / columns, j = position % columns;
    int image = line / rows, i = line % rows;
    int left = j * stride - padding;  // column of the first tap
    Number* patch = patches + (long long)position * taps * channels;
    // The taps of one row lie side by side in the image, too, and [low, high) is inside of it.
    int low = -left * channels, high = (width - left) * channels;
    #pragma unroll 5
    for (int a = 0; a < kernel; a++) {
        int length = min(kernel, taps - a * kernel) * channels;
        int row = i * stride + a - padding;
        bool inside = row >= 0 && row < height;
        long long start = (((long long)image * height + row) * width + left) * channels;
        for (int t = threadIdx.x; t < length; t += blockDim.x)
            patch[a * kernel * channels + t] =
                inside && t >= low && t < high ? x[start + t] : Number();
    }
}

template <class Number>
__device__ inline void unfold_any(
    const Any* x, Any* patches, int height, int width, int channels, int rows, int columns, int kernel,
    int taps, int stride, int padding, int first, int lines)
{
    const Number* from = (const Number*)x;
    Number* to = (Number*)patches;
    if (kernel == 5 && stride == 1)
        unfold_words(from, to, height, width, channels, rows, columns, 5, taps, 1, padding, first, lines);
    else if (kernel == 3 && stride == 1)
        unfold_words(from, to, height, width, channels, rows, columns, 3, taps, 1, padding, first, lines);
    else if (kernel == 4 && stride == 2)
        unfold_words(from, to, height, width, channels, rows, columns, 4, taps, 2, padding, first, lines);
    else
        unfold_words(from, to, height, width, channels, rows, columns, kernel, taps, stride, padding,
                     first, lines);
}

extern "C" __global__ void unfold(
    const Any* x, Any* patches, int word_bytes, int height, int width, int channels, int rows,
    int columns, int kernel, int taps, int stride, int padding, int first, int lines)
{
    if (word_bytes == 16)
        unfold_any<Words>(x, patches, height, width, channels, rows, columns, kernel, taps, stride,
                          padding, first, lines);
    else if (word_bytes == 4)
        unfold_any<unsigned>(x, patches, height, width, channels, rows, columns, kernel, taps, stride,
                             padding, first, lines);
    else
        unfold_any<unsigned short>(x, patches, height, width, channels, rows, columns, kernel, taps,
                                   stride, padding, first, lines);
}

// Neighbouring channels that one thread adds up: `SIZE` of them, read at once.
template <int SIZE>
struct Sums {
    Real values[SIZE] = {};

    __device__ void add(const Any* numbers, long long start, int format)
    {
        if (SIZE == 1) {
            values[0] += read(numbers, start, format);
        } else if (format == EXACT) {
            struct alignas(16) Packed { Real values[16 / sizeof(Real)]; };
            const Packed* packed = (const Packed*)((const Real*)numbers + start);
            constexpr int each = 16 / sizeof(Real);
            #pragma unroll
            for (int p = 0; p < SIZE / each; p++) {
                Packed one = packed[p];
                #pragma unroll
                for (int v = 0; v < each; v++) values[p * each + v] += one.values[v];
            }
        } else {
            struct alignas(2 * SIZE) Packed { unsigned short values[SIZE]; };
            Packed one = *(const Packed*)((const unsigned short*)numbers + start);
            #pragma unroll
            for (int v = 0; v < SIZE; v++) values[v] += half_value(one.values[v], format);
        }
    }
};

template <int SIZE>
__device__ inline void fold_channels(
    const Any* patches, int patch_format, Any* x, int format, int add, int height, int width,
    int channels, int rows, int columns, int kernel, int taps, int stride, int padding, int first,
    int lines, int first_image, int images)
{
    long long pixel = blockIdx.x * (long long)blockDim.y + threadIdx.y;
    if (pixel >= (long long)images * height * width) return;
    int column = pixel % width, row = pixel / width % height;
    int image = first_image + pixel / ((long long)width * height);
    long long target = (((long long)image * height + row) * width + column) * channels;
    for (int c = threadIdx.x * SIZE; c < channels; c += blockDim.x * SIZE) {
        Sums<SIZE> sums;
        #pragma unroll 5
        for (int a = 0; a < kernel; a++) {
            int i = (row + padding - a) / stride;
            int line = image * rows + i - first;
            if (row + padding < a || i * stride != row + padding - a || i >= rows) continue;
            if (line < 0 || line >= lines) continue;
            #pragma unroll 5
            for (int b = 0; b < kernel; b++) {
                int j = (column + padding - b) / stride, tap = a * kernel + b;
                if (column + padding < b || j * stride != column + padding - b) continue;
                if (j >= columns || tap >= taps) continue;
                long long position = (long long)line * columns + j;
                sums.add(patches, (position * taps + tap) * channels + c, patch_format);
            }
        }
        for (int v = 0; v < SIZE; v++) {
            long long place = target + c + v;
            Real former = add ? read(x, place, format) : Real(0);
            write(x, place, format, former + sums.values[v]);
        }
    }
}

template <int SIZE>
__device__ inline void fold_any(
    const Any* patches, int patch_format, Any* x, int format, int add, int height, int width,
    int channels, int rows, int columns, int kernel, int taps, int stride, int padding, int first,
    int lines, int first_image, int images)
{
    if (kernel == 5 && stride == 1)
        fold_channels<SIZE>(patches, patch_format, x, format, add, height, width, channels, rows,
                            columns, 5, taps, 1, padding, first, lines, first_image, images);
    else if (kernel == 3 && stride == 1)
        fold_channels<SIZE>(patches, patch_format, x, format, add, height, width, channels, rows,
                            columns, 3, taps, 1, padding, first, lines, first_image, images);
    else if (kernel == 4 && stride == 2)
        fold_channels<SIZE>(patches, patch_format, x, format, add, height, width, channels, rows,
                            columns, 4, taps, 2, padding, first, lines, first_image, images);
    else
        fold_channels<SIZE>(patches, patch_format, x, format, add, height, width, channels, rows,
                            columns, kernel, taps, stride, padding, first, lines, first_image, images);
}

// Writes to x, or with `add` adds to it, what the patches of lines first ... first + lines - 1 hold;
// `first_image` is the image of the first of these lines, and `images` how many images they belong to.
extern "C" __global__ void fold(
    const Any* patches, int patch_format, Any* x, int format, int add, int size, int height, int width,
    int channels, int rows, int columns, int kernel, int taps, int stride, int padding, int first,
    int lines, int first_image, int images)
{
    if (size == 8)
        fold_any<8>(patches, patch_format, x, format, add, height, width, channels, rows, columns,
                    kernel, taps, stride, padding, first, lines, first_image, images);
    else
        fold_any<1>(patches, patch_format, x, format, add, height, width, channels, rows, columns,
                    kernel, taps, stride, padding, first, lines, first_image, images);
}
