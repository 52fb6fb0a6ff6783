# Everything a stranger needs: `make demo`, `make test`. Both prepare .venv first.

PYTHON ?= python3
SUITE ?= ed25519-sha256
VALIDATORS ?= 4
FILES ?= README.md LICENSE
DIR ?= devnet-data
SEEDS ?= 5000
TIME ?= 300
FAMILY ?=
RECORDS ?= 10000000
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test lint devnet devnet-down bench profile growth simulate mutants soak fuzz coverage clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; found %s" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,sm2,papers]'
	@touch $@

demo: install
	$(BIN)/chainnode devnet demo --suite $(SUITE) --validators $(VALIDATORS) $(FILES)

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -n 2 --dist loadgroup

coverage: install
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests/consensus tests/contracts tests/model tests/ledger tests/engine tests/rpc tests/cli
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='consensus/*,contracts/*,chainnode/model/*,chainnode/ledger/*'

devnet: install
	$(BIN)/chainnode devnet up --dir $(DIR) --suite $(SUITE) --validators $(VALIDATORS) --detach

devnet-down: install
	$(BIN)/chainnode devnet down --dir $(DIR)

bench: install
	$(BIN)/chainnode devnet bench --validators $(VALIDATORS) --suite $(SUITE) --workload notarize
	$(BIN)/chainnode devnet bench --validators $(VALIDATORS) --suite $(SUITE) --workload notarize-batch --batch-size 500

profile: install
	$(BIN)/chainnode devnet bench --validators $(VALIDATORS) --suite $(SUITE) --workload notarize --top 40

# One chain from ten thousand documents to so many: docs/growth.json, and the plot of it.
growth: install
	$(BIN)/chainnode --json devnet bench --workload growth --records $(RECORDS) --duration 30 > docs/growth.json.new || { rm -f docs/growth.json.new; exit 1; }
	mv docs/growth.json.new docs/growth.json
	$(BIN)/python -m devnet.bench.growth_plot docs/growth.json docs/growth.svg

simulate: install
	$(BIN)/python -m tests.simulation.soak --seeds $(SEEDS)

mutants: install
	$(BIN)/python -m tests.simulation.mutants

soak: simulate mutants
	$(BIN)/pytest -m soak -n 2

# Seconds for each family; FAMILY="engine log" runs some of them alone.
fuzz: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --only-binary atheris --editable '.[fuzz]' \
		|| { echo "error: atheris cannot be installed here; it has wheels for Linux on x86-64 and Python 3.11 to 3.13" >&2; exit 2; }
	$(BIN)/python -m tests.fuzz.coverage_guided --seconds $(TIME) $(FAMILY)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzz
