"""A window's way from claimed batches to committed vectors: load, split, embed, write; one stage a file."""
