"""Embedding models: one interface, a registry, one file a provider."""
