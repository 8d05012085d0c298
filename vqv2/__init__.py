"""VQ-VAE-2 (Razavi, van den Oord, Vinyals, 2019) on NumPy, with swappable array backends."""
