# codewatt's commands; `make` lists them.
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
STUDY ?= config/studies/nano.yaml
CORES ?= all
# Unit tests run in this many processes. A process that has finished its part takes over tests of
# another, so that all end at the same time.
TEST_JOBS ?= 2
PARALLEL := -n $(TEST_JOBS) --dist worksteal
# In processes of its own: it has Triton interpret kernels, and GPTQModel imports Triton as it is.
KERNELS := tests/unit/generate/test_kernels.py
UNIT := pytest tests/unit --ignore $(KERNELS) -m "not clock" $(PARALLEL)
# Tests that look at clocks run alone.
CLOCK := pytest tests/unit --ignore $(KERNELS) -m clock
# A file's tests stay in one process: they share the study that the file runs.
STUDIES := pytest --ignore tests/cluster --ignore tests/unit -n $(TEST_JOBS) --dist loadfile
# Two clusters side by side; tests/cluster/conftest.py says which tests share a process.
CLUSTER := pytest -rs tests/cluster -n 2

# pytest rewrites the assertions of each test module. Without bytecode (some containers set this
# variable) each process does it anew, which takes half of the time of collecting the tests.
test unit test-cluster: export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup dev vllm llama-cpp autoawq autogptq bigcodebench demo test test-cluster unit check format lock \
	reference docs clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## make .venv from the pinned requirements
	@PYTHON=$(PYTHON) tools/setup.sh

dev: ## the same, with what tests and checks need
	@PYTHON=$(PYTHON) tools/setup.sh dev

vllm: setup ## make .venv-vllm, in which the engine vllm runs (docs/how-to/vllm.md)
	@tools/setup_environment.sh vllm

llama-cpp: setup ## build llama.cpp into .venv, for engine llama_cpp (docs/how-to/llama-cpp.md)
	@tools/setup_llama_cpp.sh

autoawq: setup ## make .venv-autoawq, for backend autoawq (docs/how-to/unmaintained-backends.md)
	@tools/setup_environment.sh autoawq

autogptq: setup ## make .venv-autogptq, for backend auto_gptq (docs/how-to/unmaintained-backends.md)
	@tools/setup_environment.sh autogptq

bigcodebench: setup ## make .venv-bigcodebench, in which BigCodeBench's programs run (docs/how-to/bigcodebench.md)
	@tools/setup_bigcodebench.sh

demo: setup ## run the default study to figures and a report
	@$(RUN) tools/demo.sh $(STUDY) $(CORES)

test: dev ## every test but those on a Slurm; installs a browser if it may (root, apt)
	@tools/setup_browser.sh
	@$(RUN) $(UNIT)
	@$(RUN) pytest $(KERNELS) $(PARALLEL)
	@$(RUN) $(CLOCK)
	@$(RUN) $(STUDIES)

test-cluster: dev ## the tests on a real Slurm, which it installs if it may (root, apt)
	@tools/setup_slurm.sh
	@$(RUN) $(CLUSTER)

unit: dev ## the fast part of the tests
	@$(RUN) $(UNIT)
	@$(RUN) pytest $(KERNELS) $(PARALLEL)
	@$(RUN) $(CLOCK)

check: dev ## format, lint and types
	@$(RUN) ruff format --check src tests tools workflow/scripts benchmarks
	@$(RUN) ruff check src tests tools workflow/scripts benchmarks
	@$(RUN) snakefmt --check Snakefile workflow/rules
	@$(RUN) mypy
	@$(RUN) snakemake --lint

format: dev ## format the code
	@$(RUN) ruff format src tests tools workflow/scripts benchmarks
	@$(RUN) ruff check --fix src tests tools workflow/scripts benchmarks
	@$(RUN) snakefmt Snakefile workflow/rules

reference: setup ## write the pages of docs/reference that are generated, and the schema
	@$(RUN) codewatt reference --schema config/study.schema.json \
		--page docs/reference/study-file.md --commands docs/reference/command-line.md \
		--tables docs/reference/tables.md \
		--checks docs/reference/validity-checks.md

docs: dev ## build the documentation into docs/_build/html; a dead link is an error
	@$(RUN) sphinx-build --quiet --fail-on-warning --keep-going --nitpicky \
		--doctree-dir docs/_build/doctrees docs docs/_build/html

lock: dev ## pin requirements/*.in anew
	@$(RUN) tools/lock.sh

clean: ## remove results and caches, keep .venv*
	@rm -rf results/*/ .snakemake .pytest_cache .mypy_cache .ruff_cache
