"""Lesson 8: a causal convolution, and its blind spot.

You will learn  how a network may predict a code from the earlier ones, and which it cannot see
Minutes         20
Needs           lessons 3 and 7

    python examples/08_causal_convolution.py --quick
"""

# %% [markdown]
# A *prior* gives every map of codes a probability. It goes through the map in *raster order*, row
# by row from the left. At each place it says how likely each code is, given all the codes before:
#
# $$p(k_1, \ldots, k_n) = \prod_i p(k_i \mid k_1, \ldots, k_{i-1}).$$
#
# A model like that is called *autoregressive*. To train it on all places at once, the network's
# output at place $i$ may depend on earlier places only. Such a network is *causal*. If it saw the
# answer just once, training would learn nothing.
#
# The first such network for images is [PixelCNN](https://arxiv.org/abs/1601.06759) (van den Oord
# and others, 2016). It calls its causal convolutions *masked convolutions*: ordinary ones, with
# zeros at the places that are later. "Mask A" closes the centre, "mask B" opens it. In training
# the network reads the true earlier codes, not its own guesses; that is called *teacher forcing*.

# %% A causal convolution
# Of a 5x5 window only the places before the centre are used: 2 rows of 5 above and 2 on the left,
# 12 *taps*. In the first layer the centre is closed: its input there is the code to be predicted.
# Later layers may use the centre as well (13 taps), since what stands there knows only the past.
import lesson
import numpy as np

import vqv2.functional as F
from backends.reference.causal_conv import tap_count, tap_offsets
from vqv2 import Tensor, nn
from vqv2.config import PriorConfig
from vqv2.models.prior import Prior

options = lesson.options(__doc__, column=(9, 0, 18), depth=(12, 1, 100))
print("taps of the first layer:", tap_offsets(5, tap_count(5, centre=False)))

# %% Which places does an output see?
# Ask the gradient. If output $i$ changes with input $j$, then $\partial\, \mathrm{output}_i /
# \partial\, \mathrm{input}_j$ is not zero.
SIZE, ROW, COLUMN = 19, 12, options.column
CHANNELS = 4


def seen(kernel_size, depth):
    """(19, 19): size of the gradient of the output at (ROW, COLUMN) by each input place."""
    rng = np.random.default_rng(1)
    layers = [
        nn.CausalConv2d(CHANNELS, CHANNELS, kernel_size, rng, centre=layer > 0).cast(np.float64)
        for layer in range(depth)
    ]
    inputs = Tensor(rng.standard_normal((1, SIZE, SIZE, CHANNELS)), requires_grad=True)
    x = inputs
    for layer in layers:
        x = F.elu(layer(x))  # ELU: x where x > 0, e^x - 1 below; its slope is nowhere zero
    cotangent = np.zeros(x.shape)
    cotangent[0, ROW, COLUMN] = 1
    x.backward(cotangent)
    return np.abs(inputs.grad[0]).sum(axis=-1)


depths = (1, 2, 4, options.depth)
fields = {(k, depth): seen(k, depth) for k in (3, 5) for depth in depths}

# %% The blind spot
# However deep the stack, it never sees some earlier places on the upper right: one row up, a 3x3
# layer moves at most one place to the right. Count the earlier places that are never seen.
place = np.arange(SIZE * SIZE).reshape(SIZE, SIZE)
earlier = place < place[ROW, COLUMN]
blind = {k: int((earlier & (fields[k, depths[-1]] == 0)).sum()) for k in (3, 5)}
leaks = sum(int((field[~earlier] != 0).sum()) for field in fields.values())
print(f"{earlier.sum()} places are earlier; never seen, by kernel size: {blind}")

# %% The whole prior, tested where it counts
# The prior's outputs are *logits*, one per possible code and place. The *softmax* makes
# probabilities of them, $e^{l_k} / \sum_j e^{l_j}$. Change a code: the logits at all places up to
# and including it must stay the same to the last bit. The prior has attention layers (lesson 9),
# too.
config = PriorConfig(
    hidden_units=16, residual_units=32, layers=4, attention_layers=1, attention_heads=2,
    output_stack_layers=1,
)  # fmt: skip
rng = np.random.default_rng(0)
prior = Prior(config, codebook_size=10, size=6, rng=rng)
codes = rng.integers(10, size=(1, 6, 6))
changed = codes.copy()
changed[0, 3, 2] = (codes[0, 3, 2] + 1) % 10
moved = (prior(codes).array != prior(changed).array).any(axis=-1)[0]
print("outputs that moved when the code at (3, 2) changed:\n", moved.astype(int))

# %% Draw it
drawing, axes = lesson.figure(12, 6.4, 2, len(depths))
grey, orange = np.array([0.93, 0.93, 0.93]), np.array([0.95, 0.65, 0.35])
for line, k in zip(axes, (3, 5), strict=True):
    for panel, depth in zip(line, depths, strict=True):
        field = fields[k, depth]
        shade = np.clip(1 + np.log10(np.maximum(field, 1e-12) / field.max()) / 8, 0.15, 1)
        picture = np.ones((SIZE, SIZE, 3)) * grey
        picture[earlier] = orange
        lit = field > 0
        picture[lit] = 1 - shade[lit][:, None] * (1 - np.array([0.0, 0.35, 0.65]))
        picture[ROW, COLUMN] = 0
        layers = "1 layer" if depth == 1 else f"{depth} layers"
        lesson.show(panel, picture, f"{k}x{k}, {layers}")
drawing.suptitle(
    "Black: to be predicted. Blue: seen. Orange: earlier, but not seen. Grey: later, forbidden."
)
lesson.save(
    drawing,
    options,
    "08_causal_convolution",
    "What one output sees, for windows of 3x3 and 5x5 and for more and more layers. "
    "Black: to be predicted. Blue: seen. Orange: earlier, but not seen. Grey: later, "
    "forbidden.",
)

# %% Figures
print(f"blind spot: {blind[3]} places for 3x3, {blind[5]} for 5x5; leaks: {leaks}")
lesson.expect(leaks == 0, "no output sees a later place")
lesson.expect(
    blind[3] > blind[5] > 0,
    "both have a blind spot, the smaller window the larger one",
    "A row further up, a stack sees one column further right for 3x3, and two for 5x5; beyond that "
    f"lies the blind spot. To the right of column {COLUMN} there is little left of the map. What "
    f"{depths[-1]} layers of 3x3 miss here lies far on the left, where more layers would come.",
)
if options.depth > 12:
    print("More layers see further up and to the left; the wedge on the right stays as it was:")
    print("a layer that goes up one row goes right by no more than half its window.")
lesson.expect(
    not moved.ravel()[: 3 * 6 + 3].any() and moved.ravel()[3 * 6 + 3 :].any(),
    "the whole prior is causal to the last bit",
)

# %% [markdown]
# The library stores and multiplies only the open taps, 13 of 25:
# `backends/reference/causal_conv.py`.
#
# Try: `--depth 30`. Does it shrink the blind spot? Try: `--column 17`, near the right edge.
#
# Exercise: e10 (the causal mask). Attention fills the blind spot: lesson 9. [Gated
# PixelCNN](https://arxiv.org/abs/1606.05328) has another remedy, two stacks of convolutions.
