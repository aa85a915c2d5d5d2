"""Front door 2: artifacts, ingested and deleted asynchronously (the artifact API of PrivateGPT)."""
