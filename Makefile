# make demo: train and score on a generated data set;  make test: run the test suite;  make lint: ruff and mypy
PYTHON := .venv/bin/python

# the two halves of the tests run side by side
FIRST := $(foreach room,assembly convs data evaluation guidance inference metrics models ops reports,tests/$(room)/)
SECOND := $(filter-out $(FIRST),$(wildcard tests/*/) $(wildcard tests/test_*.py))

.PHONY: demo test lint
demo: .venv/installed
	$(PYTHON) train.py

test: .venv/installed
	@$(PYTHON) -m pytest $(FIRST) & first=$$!; $(PYTHON) -m pytest $(SECOND); second=$$?; wait $$first && exit $$second

lint: .venv/installed
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

# made again whenever the packages asked for change
.venv/installed: pyproject.toml constraints.txt
	@python3 -c "import sys; sys.exit(sys.version_info < (3, 10))" || { echo "magicseg needs Python 3.10 or newer"; exit 1; }
	@python3 -m venv .venv || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@
