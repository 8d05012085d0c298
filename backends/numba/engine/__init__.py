"""What the kernels of the numba backend are made of.

compiled.py says how functions are compiled, cache.py where they are kept, fork.py what a forked
process cannot run. tile.py is the inner loop of all matrix products; products.py and direct_conv.py
cut products and convolutions into tiles, winograd.py and causal_winograd.py save multiplications
(channelwise.py applies their small matrices). exponential.py and largest.py are loops that
vectorise.
"""
