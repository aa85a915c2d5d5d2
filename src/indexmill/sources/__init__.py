"""Sources: how bytes named by a URI, a local path or an upload get onto local disk, bounded and safe."""
