"""One answer to e13."""

import numpy as np


class Cached:
    """A rolling window of inputs for each layer, latest first."""

    def __init__(self, layers):
        self.layers = layers
        self.windows = [np.zeros(w.shape[:2]) for w in layers]

    def step(self, x):
        """Shift, insert, multiply; layer after layer."""
        for number, (w, window) in enumerate(zip(self.layers, self.windows, strict=True)):
            window[1:] = window[:-1].copy()
            window[0] = x
            x = np.einsum("tc,tcd->d", window, w)
            if number < len(self.layers) - 1:
                x = np.maximum(x, 0)
        return x
