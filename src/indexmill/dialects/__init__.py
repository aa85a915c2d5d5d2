"""The front doors: each folder speaks one vendor's job API and translates it to the engine's verbs."""
