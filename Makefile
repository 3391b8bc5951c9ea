# The few things one does with this repository. `make` alone says which.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
WORKERS ?= 2
# Starts are felt, and measured, as they are where it is installed: with bytecode kept.
unexport PYTHONDONTWRITEBYTECODE
SEEDS ?= 1000
INPUTS ?= 5000000
MINUTES ?= 60
HELD ?= 1000000 10000000

.PHONY: help install check format test demo bench bench-detectors bench-state evaluate audit schemas clean kernels simulate bugs fuzz chaos soak floods

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 24

install: $(INSTALLED) ## .venv with the pinned packages and streamgauge itself, kernels compiled

$(INSTALLED): requirements.lock pyproject.toml
	@if command -v uv >/dev/null; then \
	  test -x $(BIN)/python || uv venv --quiet --python '$(PYTHON)' .venv; \
	  uv pip install --quiet --python $(BIN)/python --requirement requirements.lock; \
	  uv pip install --quiet --python $(BIN)/python --no-deps --editable .; \
	else \
	  test -x $(BIN)/python || '$(PYTHON)' -m venv .venv; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .; \
	fi
	@echo 'compiling kernels, once: a minute or two'
	@$(BIN)/python deploy/warm.py
	@touch $@

# numba looks at a kernel's own file alone, not at what it calls: what is older than its room's newest source goes.
kernels: install
	@for room in 'streams/decode' 'streams/join' 'streams/gauge metrics' 'detectors'; do \
	  newest=$$(find $$room -name '*.py' -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2-); \
	  find $$room -name '*.nb[ic]' ! -newer "$$newest" -delete; \
	done

check: install ## lint, format, types, layers, deployment files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/python -m json.tool deploy/grafana/dashboards/streamgauge.json /dev/null

format: install ## let ruff put things right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: kernels ## every test, those against a real Apache Kafka too
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

simulate: kernels ## generated traffic and faults, SEEDS=1000 histories; one that fails is shrunk
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --workers $(WORKERS)

# A package that only one target needs, and that is not among the pinned ones: its name, its version.
define unpinned
$(BIN)/python -c 'import $(1)' 2>/dev/null || { \
	  if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python $(1)==$(2); \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1)==$(2); fi; }
endef

# atheris comes as a wheel for x86-64 Linux alone, so it is not among the pinned packages.
fuzz: kernels ## bad bytes: INPUTS=5000000 through every reader, guided by coverage; goes on where .fuzz ended
	@$(call unpinned,atheris,3.0.0)
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS) --workers $(WORKERS)

floods: kernels ## a million distinct values of each kind: memory, alerts, and the model beside them
	$(BIN)/python -m tests.floods

bugs: kernels ## look for the seed that catches each deliberate bug
	$(BIN)/python -m tests.simulation.hunt

chaos: kernels ## a cluster of three: 34 deaths of workers and brokers while traffic flows, then how long a recovery takes
	@$(BIN)/python deploy/warm.py
	$(BIN)/python -m tests.chaos

soak: kernels ## MINUTES=60 at half of what it can do: does memory, lag or commit time rise?
	@$(BIN)/python deploy/warm.py
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

demo: kernels ## see it alive: a real model, a planted change, the alert
	$(BIN)/streamgauge demo

bench: kernels ## throughput and latency against the ceiling, in one run
	@$(BIN)/python deploy/warm.py
	$(BIN)/python -m tests.benchmarks.pipeline

bench-detectors: kernels ## each detector against river's or scipy's, same values, same alarms
	@$(BIN)/python deploy/warm.py
	$(BIN)/python -m tests.benchmarks.detector_speed

# rocksdict is what the store is compared with, not what it needs, so it is not among the pinned packages.
bench-state: kernels ## what is held in memory, spilled to disk, and in RocksDB: records a second, memory (HELD="1000000 10000000")
	@$(BIN)/python deploy/warm.py
	@$(call unpinned,rocksdict,0.3.29)
	$(BIN)/python -m tests.benchmarks.state --held $(HELD)

evaluate: kernels ## false alarms and delays of every detector, into docs/detectors
	$(BIN)/python -m detectors.evaluation
	$(BIN)/python -m tests.promise

audit: install ## known vulnerabilities of the pinned packages, where osv.dev can be reached
	$(BIN)/python deploy/audit.py

schemas: install ## write JSON Schema and AsyncAPI from the models
	$(BIN)/streamgauge schemas export

clean: ## forget the environment and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
