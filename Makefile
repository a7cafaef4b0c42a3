# One word each: make demo, quick, test, test-all, lint, bench, kernels.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SOURCES = pyproject.toml setup.py $(wildcard fastlogloss/_kernels/*.p* fastlogloss/_kernels/*.h)

# A stamp for each group of dependencies; the compiled modules are in all of them.
define install
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --editable . $(1)
	touch $@
endef

$(VENV)/demo: $(SOURCES)
	$(call install,pyarrow tqdm)

$(VENV)/test: $(SOURCES)
	$(call install,--group test)

$(VENV)/heavy: $(SOURCES)
	$(call install,--group test --group heavy)

$(VENV)/build:
	$(call install,--group build)

$(VENV)/lint: $(SOURCES)
	$(call install,--group test --group lint)

$(VENV)/bench: $(SOURCES)
	$(call install,--group test --group bench)

demo: $(VENV)/demo
	$(BIN)/python examples/demo.py

# Of every test a few cases, none in a process of its own: within a minute.
quick: $(VENV)/test
	$(BIN)/pytest -q -m "not heavy" --quick

# make kernels KERNELS=_v4 builds that module alone, in place.
KERNELS ?= _base _v3 _v4
kernels: $(VENV)/build
	FASTLOGLOSS_KERNELS="$(KERNELS)" $(BIN)/python setup.py build_ext --inplace

test: $(VENV)/test
	$(BIN)/pytest -m "not heavy"

test-all: $(VENV)/heavy
	$(BIN)/pytest

lint: $(VENV)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(abspath $(BIN)):$$PATH" cython-lint fastlogloss
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml \
		--concise --allowlist .ci/stubtest.txt --ignore-unused-allowlist fastlogloss

bench: $(VENV)/bench
	$(BIN)/python -m bench
	$(BIN)/python -m bench.readme

clean:
	rm -rf $(VENV) build dist *.egg-info fastlogloss/_kernels/*.c fastlogloss/_kernels/*.so

.PHONY: demo quick test test-all lint bench kernels clean
