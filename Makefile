# The doors of the house. `make help` lists them; every target that needs the environment makes it first.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
BIN := .venv/bin

# `make setup PYTHON=python3.12` uses, from then on, another interpreter than the `python3` on the path.
export PYTHON

.PHONY: help setup run guide wheel test test-unit test-api test-stack test-races test-faults test-servers test-web test-contract baseline check lint types imports migrations pages format

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup:  ## make .venv with the command .venv/bin/souk (does nothing when nothing changed)
	@.ci/setup

guide: setup  ## build the guide that is served at /guide/ (into souk/web/guide)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

wheel: setup  ## build the wheel, with the guide in it, into dist/
	@.uv/bin/uv build --wheel --quiet --out-dir dist .

run: setup guide  ## start everything, play the demonstration, stay until Ctrl-C
	@exec $(BIN)/souk up --demo

test: setup  ## all tests; starts what they need
	@.ci/browser
	@$(BIN)/pytest

test-unit: setup  ## tests that need no service, in seconds
	@$(BIN)/pytest tests --ignore tests/api --ignore tests/stack --ignore tests/races --ignore tests/web --ignore tests/servers \
		--ignore tests/faults/test_faults.py --ignore tests/faults/test_checker_database.py

test-api: setup  ## tests through HTTP on a real PostgreSQL
	@$(BIN)/pytest tests/api

test-stack: setup  ## tests with everything running
	@$(BIN)/pytest tests/stack

# Seeds are counted from 1; `make test` runs two.
SEEDS ?= 20
test-races: setup  ## concurrent buyers, sellers and clocks, with many seeds (SEEDS=20)
	@RACE_SEEDS=$(SEEDS) $(BIN)/pytest tests/races

test-web: setup  ## the shop front in a real browser (Chromium; installs it with apt-get where that is possible)
	@.ci/browser
	@$(BIN)/pytest tests/web

# Cases per operation and phase of schemathesis; beside them the whole corpus of evil inputs, some 63,000 requests.
# ONLY names a part of it, as pytest's -k does: a caller, or a tag of the contract.
CASES ?= 200
test-contract: setup  ## the corpus of evil inputs, and requests made from the contract (CASES=200, ONLY=seller)
	@CONTRACT_CASES=$(CASES) CORPUS_SHARE=1 $(BIN)/pytest tests/api/test_corpus.py tests/stack/test_corpus.py tests/stack/test_fuzzing.py -k "$(ONLY)"

baseline: setup  ## at a release: keep its contract, with which later ones are compared
	@cp docs/openapi.json tests/baseline/openapi-$$($(BIN)/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])').json

# 3 is the seeds 1 to 3, 4-6 these three; FAULTS names some of docs/reliability.md, by name or number.
test-faults: setup  ## parts die under load; adds to docs/reliability.md (SEEDS=1, FAULTS=3,slot_lost)
	@FAULT_TABLE=1 FAULT_SEEDS=$(if $(filter file,$(origin SEEDS)),1,$(SEEDS)) FAULTS=$(FAULTS) $(BIN)/pytest tests/faults/test_faults.py

test-servers: setup  ## a replica, OpenSearch, Elasticsearch and Debezium Server, real (needs Java 21+ and Maven)
	@$(BIN)/pytest tests/servers

check: setup  ## lint, format, types, import directions, migrations, generated pages
	@$(MAKE) --keep-going lint types imports migrations pages deployment

lint:
	@$(BIN)/ruff check --quiet --output-format concise && echo "lint: clean"
	@$(BIN)/ruff format --check --output-format concise

types:
	@$(BIN)/mypy

imports:
	@$(BIN)/lint-imports --no-logo

# Models are compared with the migration files; that no database is there to be asked as well is no news.
migrations:
	@PYTHONWARNINGS='ignore:Got an error checking a consistent migration history:RuntimeWarning' \
		$(BIN)/souk django makemigrations --check --dry-run

pages:
	@$(BIN)/souk django write_docs --check && echo "generated pages: current"

# Django's own list of what a public installation must not get wrong, with a key such as one would set.
deployment:
	@SOUK_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
		$(BIN)/souk django check --deploy --fail-level WARNING

format: setup  ## mend what ruff can mend by itself
	@$(BIN)/ruff check --fix --quiet && $(BIN)/ruff format
