# The verbs of the laptop and of CI. `make` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STACK ?= main
# .ci/other_python leaves it out.
COMPILE := --compile-bytecode

export DO_NOT_TRACK := 1
export KEDRO_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Without byte code every start of Python imports TensorFlow three times as slowly.
unexport PYTHONDONTWRITEBYTECODE
# What a shell may hold for another Python, another pip or another git does nothing here.
unexport PYTHONHOME PYTHONPATH PYTHONWARNINGS PYTHONOPTIMIZE PYTHONINSPECT PYTHONSTARTUP PYTHONDEVMODE
unexport PYTHONIOENCODING PYTHONEXECUTABLE VIRTUAL_ENV CONDA_PREFIX BASH_ENV CDPATH
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_NAMESPACE
unexport UV_PYTHON UV_SYSTEM_PYTHON UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE_NEWER UV_NO_BINARY UV_RESOLUTION
export PYTHONUTF8 := 1
# An empty value wins over pip's own files, too.
export PIP_USER := 0
export PIP_TARGET :=
export PIP_PREFIX :=
export PIP_CONSTRAINT :=
export PIP_REQUIREMENT :=
export PIP_NO_BINARY :=
# Kedro reads this before anything of ours runs, and ends where the file is gone.
ifneq ($(shell test -f "$$KEDRO_LOGGING_CONFIG" || echo gone),)
unexport KEDRO_LOGGING_CONFIG
endif
# uv keeps what it downloads in the home, which may be closed.
ifneq ($(shell test -w "$$HOME" || echo closed),)
export UV_CACHE_DIR ?= $(CURDIR)/$(VENV)/cache
endif

.DEFAULT_GOAL := help
.PHONY: help install data demo replay up down dags lock check-lock sbom docs lint test test-slow test-all mutants benchmark regret clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/installed ## Make .venv with the locked packages and this project

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is %d.%d. Name another: make install PYTHON=python3.11" % v)'
	$(PYTHON) -m venv $(VENV)
	@# The locked uv installs all else; pip checks its hash, and uv those of the others.
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement $(VENV)/uv.txt
	$(BIN)/uv pip install --python $(BIN)/python $(COMPILE) --require-hashes --no-build --requirement requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

data: install ## Download the published images and verify them (SOURCE=nlm or kaggle; DATA_URL=, DATA_SHA256=)
	$(BIN)/python -m image_classification.local data $(if $(SOURCE),--source "$(SOURCE)") \
	    $(if $(DATA_URL),--url "$(DATA_URL)") $(if $(DATA_SHA256),--sha256 "$(DATA_SHA256)")

demo: install ## Two nights of retraining in a real Airflow and MLflow (DATA=folder or zip; else synthetic)
	$(BIN)/python -m image_classification.local demo $(if $(DATA),--data "$(DATA)")

replay: install ## Release images by capture date, a batch a night (DATA=folder or zip; NIGHTS=6)
	$(BIN)/python -m image_classification.local replay $(if $(DATA),--data "$(DATA)") $(if $(NIGHTS),--nights "$(NIGHTS)")

up: install ## Start MLflow and Airflow and leave them running (STACK=demo: with the demo's data)
	$(BIN)/python -m image_classification.local up --stack $(STACK) \
	    $(if $(MLFLOW_PORT),--mlflow-port $(MLFLOW_PORT)) $(if $(AIRFLOW_PORT),--airflow-port $(AIRFLOW_PORT))

down: ## Stop them
	$(BIN)/python -m image_classification.local down --stack $(STACK)

dags: install ## Write dags/ anew from the pipelines
	$(BIN)/kedro airflow create --all

RESOLVE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-header --no-annotate --extra dev --extra s3 --extra gcs --extra azure --extra image \
    pyproject.toml --output-file

lock: install ## Write requirements.lock anew from pyproject.toml
	$(RESOLVE) requirements.lock

check-lock: install ## Is requirements.lock what pyproject.toml asks for? (a newer release changes nothing)
	@.ci/check_lock $(RESOLVE)

sbom: install ## Write build/sbom.cdx.json (CycloneDX) and build/licences.csv of what is shipped
	$(BIN)/python -m image_classification.local sbom

docs: install ## Write build/site, the documentation as a site; a dead link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

lint: install ## Style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A file of tests is one process's, and so are some folders (tests/conftest.py): they share what they
# set up. The order is that of tests/conftest.py, too. Each process holds a TensorFlow.
DIST := --dist loadfile --no-loadscope-reorder

test: install ## The tests that need no service
	$(BIN)/python -m pytest -n logical --maxprocesses 4 $(DIST) -m "not slow and not end_to_end and not browser"

# They wait for services as often as for a processor: three of them keep two processors busy.
test-slow: install ## The other tests: real services, a real browser
	$(BIN)/python -m pytest -n 3 $(DIST) -m "slow or end_to_end or browser"

test-all: test test-slow ## All tests

mutants: install ## Change gate, intake, champion and datasets in small ways: which changes do tests notice? (FOLDER=intake SAMPLE=200)
	nice -n 10 $(BIN)/python tests/mutants.py $(FOLDER) $(if $(SAMPLE),--sample $(SAMPLE))

benchmark: install ## The quick benchmarks, side by side with what people would use instead (DATA=folder or zip)
	@for name in parsing commands training scoring intake task_cost mlflow_requests memory; do \
	    echo "==> benchmarks/$$name.py"; \
	    data=; case $$name in training|scoring|intake) data="$(DATA)";; esac; \
	    $(BIN)/python benchmarks/$$name.py --quick $${data:+--data "$$data"} || exit 1; \
	done

regret: install ## What each rule of the gate loses, on patients nobody saw (DATA=zip; goes on where it was stopped)
	$(BIN)/python benchmarks/regret.py $(if $(DATA),--data "$(DATA)")

clean: ## Remove caches and the demonstration's data; .venv and data/ stay
	rm -rf .local/demo .local/replay .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist mutants
	find src tests -name __pycache__ -prune -exec rm -rf {} +
