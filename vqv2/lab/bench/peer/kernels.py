"""The peer's side of the kernels: what one writes in PyTorch for the same thing."""

import numpy as np

from vqv2.lab.bench.kernels import FORWARD_ONLY, arrays, parse
from vqv2.lab.bench.peer import device
from vqv2.lab.bench.peer.framework import torch
from vqv2.lab.bench.peer.layers import MaskedConv2d, conv, conv_transpose
from vqv2.lab.bench.peer.weights import to_peer
from vqv2.lab.bench.subject import Subject

functional = torch.nn.functional


def prepare(name):
    """Let PyTorch load what it loads late, at a tiny size."""
    build(name, "tiny").run()


def build(name, scale="host"):
    """The subject `name` of `vqv2.lab.bench.kernels.names()`; operations are not counted."""
    case, shapes, direction = parse(name, scale)
    inputs = arrays(case, shapes)
    if case in FORWARD_ONLY:
        return Subject(FUNCTIONS[case](*(device.placed(torch.from_numpy(x)) for x in inputs)))
    run, tensors = operation(case, inputs)
    if direction == "forward":
        return Subject(run)
    output = run()
    cotangent = torch.ones_like(output)
    return Subject(
        lambda: torch.autograd.grad(output, tensors, cotangent, retain_graph=True),
    )


def operation(case, inputs):
    """(function that computes the case, the tensors that it differentiates by)."""
    if case.startswith(("conv", "transposed", "causal conv")):
        return _convolution(case, *inputs)
    if case in ("gate", "elu"):
        (x,) = inputs
        x = _leaf(x.transpose(0, 3, 1, 2))
        return (lambda: _gate(x) if case == "gate" else functional.elu(x)), [x]
    if case == "cross-entropy":
        logits, targets = _leaf(inputs[0]), device.placed(torch.from_numpy(inputs[1]))
        return (lambda: functional.cross_entropy(logits, targets, reduction="none")), [logits]
    tensors = [_leaf(array) for array in inputs]
    return (lambda: _attention(*tensors)), tensors


def _leaf(array):
    return device.placed(torch.from_numpy(np.ascontiguousarray(array))).requires_grad_()


def _convolution(case, x, w, b):
    channels = w.shape[-2:]
    if case.startswith("causal"):
        layer = MaskedConv2d(*channels, 5, centre=True)
    elif case.startswith("transposed"):
        layer = conv_transpose(*channels[::-1], w.shape[0])
    else:
        layer = conv(*channels, w.shape[0], 2 if "stride 2" in case else 1)
    layer.weight.data.copy_(torch.from_numpy(to_peer(layer, "weight", w)))
    layer.bias.data.copy_(torch.from_numpy(b))
    layer = device.placed(layer)
    x = _leaf(x.transpose(0, 3, 1, 2))
    return (lambda: layer(x)), [x, layer.weight, layer.bias]


def _gate(x):
    a, b = x.chunk(2, dim=1)
    return a * torch.sigmoid(b)


def _attention(queries, keys, values):
    """Strictly causal, without dropout; the first position, which attends to nothing, gets zero."""
    length = queries.shape[1]
    allowed = torch.ones(length, length, dtype=torch.bool, device=queries.device).tril(-1)
    allowed[0, 0] = True
    read = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
    started = torch.ones(length, 1, device=queries.device)
    started[0] = 0
    return read * started


def _quantise(vectors, codebook, codes):
    def run():
        distances = (
            vectors.pow(2).sum(1, keepdim=True)
            - 2 * vectors @ codebook.t()
            + codebook.pow(2).sum(1)
        )
        return distances.argmin(1)

    return run


def _codebook_statistics(vectors, codebook, codes):
    def run():
        one_hot = functional.one_hot(codes, len(codebook)).type(vectors.dtype)
        return one_hot.sum(0), one_hot.t() @ vectors

    return run


def _adam(parameter, gradient):
    parameter = torch.nn.Parameter(parameter)
    parameter.grad = gradient
    average = parameter.detach().clone()
    optimizer = torch.optim.Adam([parameter], 2e-4, fused=device.on_device())

    def run():
        optimizer.step()
        with torch.no_grad():
            average.lerp_(parameter, 1e-4)

    return run


FUNCTIONS = {
    "quantise": _quantise,
    "codebook statistics": _codebook_statistics,
    "Adam and Polyak": _adam,
}
