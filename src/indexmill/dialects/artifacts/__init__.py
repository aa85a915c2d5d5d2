"""Front door 2: artifacts, asynchronous ingest and delete (PrivateGPT's API)."""
