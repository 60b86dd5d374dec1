# `make` lists what there is. Settings are given as `make run ORDERS=500` or by environment: make
# hands both on to the commands.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed
LOCAL := $(PYTHON) -m infra.local
# The systems that ours is measured beside want older versions of some packages than ours does.
PEERS := .venv-bench
PEERS_STAMP := $(PEERS)/.installed

# Test files side by side: each has servers of its own and mostly waits for them. Which come first,
# and which share servers, is said in tests/sharing_out.py.
JOBS ?= 3

# A suite starts hundreds of processes: none is to compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

# Further arguments for pytest: `make test ARGS='-k saga'`.
ARGS ?=

.PHONY: help setup run up down restart status clean test bench demo chaos lint docs reference

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Settings: WORKERS=2 GATEWAYS=1 SPLIT=1 ORDERS=2000 CSV=path EXIT=1 QUICK=1 NGINX_TLS=on"
	@echo "  NGINX_STRATEGY=least_conn, and the ports and rates of docs/; for example: make run ORDERS=500"

setup: $(STAMP) ## create .venv and install what the project needs

# pyenv and the like put programs into PATH that exist and yet fail: each one is tried.
$(STAMP): pyproject.toml constraints.txt
	@set -euo pipefail; \
	modern='import sys; sys.exit(sys.version_info < (3, 11))'; \
	if ! "$(PYTHON)" -c "$$modern" 2>/dev/null; then \
	  found=; \
	  for one in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do \
	    if "$$one" -c "$$modern" >/dev/null 2>&1; then found=$$one; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "Python 3.11 or newer is needed. On Debian or Ubuntu: sudo apt-get install -y python3 python3-venv"; \
	    exit 1; \
	  fi; \
	  if ! "$$found" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	    package=$$("$$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	      echo "Installing $$package ..."; \
	      apt-get update -qq >/dev/null || true; \
	      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$$package" >/dev/null; \
	    else \
	      echo "Python's venv module is missing. On Debian or Ubuntu: sudo apt-get install -y $$package"; \
	      exit 1; \
	    fi; \
	  fi; \
	  echo "Creating $(VENV) with $$("$$found" --version) ..."; \
	  rm -rf "$(VENV)"; \
	  "$$found" -m venv "$(VENV)"; \
	fi; \
	echo "Installing the Python packages ..."; \
	"$(PYTHON)" -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $(STAMP)

run: $(STAMP) ## start everything, send real orders, show what came of them; Ctrl-C stops it
	@$(LOCAL) run

up: $(STAMP) ## start everything in the background
	@$(LOCAL) up

down: $(STAMP) ## stop what was started
	@$(LOCAL) down

restart: $(STAMP) ## workers and gateways anew, one after another, while the others serve
	@$(LOCAL) restart

status: $(STAMP) ## what runs, and whether it is healthy
	@$(LOCAL) status

clean: $(STAMP) ## stop, and forget the servers' data and logs (ALL=1: the Java build too)
	@$(LOCAL) clean

test: $(STAMP) ## the whole test suite, on servers of its own
	@$(LOCAL) install-tests
	@$(PYTHON) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: $(STAMP) ## the tests that kill, stop and pause real processes
	@$(LOCAL) install
	@$(PYTHON) -m pytest -m chaos tests/chaos $(ARGS)

$(PEERS_STAMP): benchmarks/requirements.txt $(STAMP)
	@echo "Installing the systems to measure ours beside ..."
	@rm -rf "$(PEERS)" && "$(PYTHON)" -m venv "$(PEERS)"
	@"$(PEERS)/bin/python" -m pip install -q --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $(PEERS_STAMP)

bench: $(STAMP) $(PEERS_STAMP) ## our throughput beside other systems' (QUICK=1: under 5 minutes)
	@$(LOCAL) install
	@$(PYTHON) -m benchmarks $(ARGS)

demo: $(STAMP) ## what the system proves of itself, on a system of its own (ARGS=--up: on this one)
	@$(PYTHON) -m infra.demo $(ARGS)

lint: $(STAMP) ## ruff and mypy
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

reference: $(STAMP) ## write the reference of the API and the events (docs/api), and dashboards, anew
	@$(PYTHON) -m infra.reference
	@$(PYTHON) -m infra.grafana

docs: $(STAMP) ## build the documentation site into site/ (ARGS=serve: show it, at port 8100)
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs $(or $(ARGS),build) --strict
