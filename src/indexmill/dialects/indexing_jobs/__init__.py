"""Front door 3: knowledge bases, kept in step with their sources by indexing jobs (DigitalOcean's GenAI API)."""
