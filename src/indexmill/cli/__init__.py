"""The command `indexmill`: it starts the service, or talks to a running one over HTTP."""
