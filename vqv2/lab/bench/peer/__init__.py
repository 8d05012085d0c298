"""The peer: VQ-VAE-2 as one writes it in PyTorch, from the paper, without special care for speed.

Maps are (N, C, H, W), layers are `torch.nn`'s, causal convolutions are 5x5 ones whose closed
weights are set to zero, and sampling runs the whole map for every code. Modules carry the names
of ours, so that `weights.load` can fill them; the tests check that both compute the same.

Only `--peer torch` imports anything below.
"""
