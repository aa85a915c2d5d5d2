# Every target does its own set-up: a fresh clone needs nothing but make and python3.
SHELL := /bin/sh
BIN := .venv/bin
CODE := src $(wildcard tests benchmarks examples)
# The long ones first, so that both cores end at the same time.
SUITES := tests/acceptance tests/integration tests/dialects tests/chaos tests/unit tests/architecture
# More arguments for pytest: make test ARGS="-k lease"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help serve test demo celery flower lint format bench chaos conformance lock clean venv needs

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

serve: venv ## API, PostgreSQL and workers on this machine, in one command
	@exec $(BIN)/indexmill serve

celery: venv ## One more worker, on this or any other machine
	@exec $(BIN)/indexmill worker

flower: venv ## Flower on port 5555: the worker processes, in a browser on this machine
	@exec $(BIN)/indexmill flower

demo: venv ## Index the documentation of Python's own standard library and ask it questions
	@exec $(BIN)/python examples/demo.py

test: venv ## Lint, then every test but the chaos ones
	@$(MAKE) --no-print-directory --jobs=2 --output-sync lint needs conformance
	$(BIN)/pytest -n 2 --dist loadfile -m "not chaos and not timed" $(SUITES) $(ARGS) || test $$? -eq 5
	$(BIN)/pytest -m "timed and not chaos" tests/acceptance $(ARGS) || test $$? -eq 5

# By itself: to collect it is to think up thousands of requests, which each process of the other tests would do too.
conformance: venv ## Every operation against the OpenAPI document
	$(BIN)/pytest -m "not chaos and not timed" tests/conformance $(ARGS) || test $$? -eq 5

chaos: venv needs ## The long tests, with kills and races
	$(BIN)/pytest -m chaos $(ARGS)

bench: venv ## The limit of this machine, the service, and their ratio
	@exec $(BIN)/python -m benchmarks.run

lint: venv ## ruff, mypy and the import contracts
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

format: venv ## Format the code and mend what ruff can
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

lock: ## Lock the versions again (UPGRADE=1: to the newest)
	@sh scripts/lock.sh

clean: ## Remove what the other targets made in this folder
	rm -rf .venv .tools .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist

venv:
	@sh scripts/setup_venv.sh

needs:
	@sh scripts/install_test_needs.sh
