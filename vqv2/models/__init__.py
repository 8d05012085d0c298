"""The models: vector quantiser, hierarchical autoencoder, autoregressive prior."""
