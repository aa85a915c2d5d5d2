"""Pure rules and records of the job engine: no SQL, no HTTP, no clock of its own."""
