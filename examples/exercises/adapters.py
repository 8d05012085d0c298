"""Kernels of the library, made of answers to exercises.

Each function below takes an answer, anything with the functions of that exercise, and returns
kernels of the names and parameters in `backends.kernels`. What an exercise leaves out, such as a
convolution's stride, is put around it here. Answers are given float64, in which they are checked,
and kernels return the dtype of their first array.
"""

import functools
import math

import numpy as np

from backends import kernels


def convolutions(answer):
    """e03: a larger stride keeps some rows and columns of stride 1; the others' cotangents are 0.

    Padding is put around the image before, and cut off its gradient.
    """

    def padded(x, padding):
        return np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def spread(dy, stride, height, width):
        wide = np.zeros((len(dy), height, width, dy.shape[-1]), dy.dtype)
        wide[:, ::stride, ::stride][:, : dy.shape[1], : dy.shape[2]] = dy
        return wide

    def conv2d(x, w, stride, padding, rounded=False):
        return answer.convolution(padded(x, padding), w)[:, ::stride, ::stride]

    def conv2d_weight_gradient(x, dy, kernel_size, stride, padding):
        x = padded(x, padding)
        rows, columns = (n - kernel_size + 1 for n in x.shape[1:3])
        return answer.weight_gradient(x, spread(dy, stride, rows, columns))

    def conv2d_input_gradient(dy, w, stride, padding, height, width, rounded=False):
        rows, columns = (n + 2 * padding - len(w) + 1 for n in (height, width))
        dx = answer.input_gradient(spread(dy, stride, rows, columns), w)
        return dx[:, padding : padding + height, padding : padding + width]

    return conv2d, conv2d_weight_gradient, conv2d_input_gradient


def optimizer(answer):
    """e04, written into the library's arrays; Polyak's average of the weights goes with it."""

    def adam_update(
        parameter,
        gradient,
        mean,
        square,
        average,
        step,
        learning_rate,
        beta1,
        beta2,
        epsilon,
        decay,
    ):
        state = (parameter, gradient, mean, square)
        settings = (step, learning_rate, beta1, beta2, epsilon)
        parameter[...], mean[...], square[...] = answer.adam_step(*state, *settings)
        average[...] += (1 - decay) * (parameter - average)

    return (adam_update,)


def nearest_codes(answer):
    """e06, as it is."""

    def nearest_code(vectors, codebook):
        return answer.nearest_code(vectors, codebook)

    return (nearest_code,)


def statistics(answer):
    """e07: with decay 0 the averages are the counts and sums of one step."""

    def codebook_statistics(vectors, codes, count):
        before = np.zeros(count), np.zeros((count, vectors.shape[1]))
        return tuple(answer.moving_averages(*before, vectors, codes, 0.0))

    return (codebook_statistics,)


def causal_convolutions(answer):
    """e10: whether the centre is open follows from the number of taps."""

    def causal_conv2d(x, w, kernel_size, rounded=False):
        centre = len(w) > kernel_size**2 // 2
        return answer.causal_convolution(x, w, kernel_size, centre)

    return (causal_conv2d,)


def attention(answer):
    """e11, for every image and head; it has no dropout, which the reference computes.

    The logarithm of what a row of weights was divided by follows from its largest weight.
    """

    def causal_attention(queries, keys, values, rate, seed, dropout_on):
        if rate:
            given = (queries, keys, values, rate, seed, dropout_on)
            return kernels.causal_attention.reference(*given)
        output = np.empty((*queries.shape[:-1], values.shape[-1]))
        log_normalizer = np.zeros(queries.shape[:-1])
        for place in np.ndindex(queries.shape[:-2]):
            q, k = queries[place], keys[place]
            output[place] = answer.attention(q, k, values[place])
            w = answer.weights(q, k)[1:]  # the first row is empty
            scores = (q[1:] * k[w.argmax(axis=1)]).sum(axis=1) / math.sqrt(q.shape[1])
            log_normalizer[place][1:] = scores - np.log(w.max(axis=1))
        return output, log_normalizer

    def causal_attention_gradient(
        queries, keys, values, output, log_normalizer, d_output, rate, seed, dropout_on
    ):
        given = (queries, keys, values, output, log_normalizer, d_output, rate, seed, dropout_on)
        if rate:
            return kernels.causal_attention_gradient.reference(*given)
        gradients = tuple(np.empty(array.shape) for array in (queries, keys, values))
        for place in np.ndindex(queries.shape[:-2]):
            some = (array[place] for array in (queries, keys, values, d_output))
            for whole, part in zip(gradients, answer.attention_gradient(*some), strict=True):
                whole[place] = part
        return gradients

    return causal_attention, causal_attention_gradient


def loops(answer):
    """e16: the halves of the channels apart, and an array for the output.

    What is around a gate in the layers of a prior, sums and dropout, is the reference's.
    """

    def gate_block(x, features, bias, condition, label, rate, seed):
        given = (x, features, bias, condition, label, rate, seed)
        inside = kernels.gate_block.reference(*given)[1]
        a, b = (np.ascontiguousarray(half) for half in np.split(inside, 2, axis=-1))
        out = np.empty(a.shape)
        answer.gate(a.ravel(), b.ravel(), out.ravel())
        return x + kernels.dropout.reference(out, rate, seed), inside

    def cross_entropy(logits, targets):
        out = np.empty(len(logits))
        answer.cross_entropy(logits, targets, out)
        return out

    return gate_block, cross_entropy


ADAPTERS = {
    "e03": convolutions,
    "e04": optimizer,
    "e06": nearest_codes,
    "e07": statistics,
    "e10": causal_convolutions,
    "e11": attention,
    "e16": loops,
}


class _InFloat64:
    """An answer whose functions are given float64 for float32; one that is missing is "not yet"."""

    def __init__(self, answer):
        self._answer = answer

    def __getattr__(self, name):
        function = getattr(self._answer, name, None)
        if function is None:
            raise NotImplementedError(f"there is no `{name}` in the file")
        return lambda *arguments: function(*(_as_dtype(a, np.float64) for a in arguments))


def _as_dtype(value, dtype):
    """A floating-point array in `dtype`, codes as int64, anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    return value.astype(dtype if value.dtype.kind == "f" else np.int64, copy=False)


def _in_dtype_of_first(function):
    """A kernel whose results have the dtype of its first argument, as the library expects it."""

    @functools.wraps(function)
    def kernel(*arguments, **settings):
        result, dtype = function(*arguments, **settings), arguments[0].dtype
        if isinstance(result, tuple):
            return tuple(_as_dtype(np.asarray(part), dtype) for part in result)
        return None if result is None else _as_dtype(np.asarray(result), dtype)

    return kernel


def kernels_of(exercise, answer):
    """The kernels that an answer makes."""
    return [_in_dtype_of_first(function) for function in ADAPTERS[exercise](_InFloat64(answer))]
