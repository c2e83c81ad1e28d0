# One-line targets. `make demo` and `make test` need only Python 3.11 to 3.13, pip or uv, bash and make.
PY := .venv/bin/python

.PHONY: setup demo test shuffle hostile coverage check bench study mutate lock docs clean
setup: ; @bash scripts/setup
demo: setup ; @bash scripts/demo
test: setup ; PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder
shuffle: setup ; $(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --random-order
hostile: setup ; HOSTILE=all $(PY) -m pytest -q tests/e2e/test_hostile_runs.py tests/property/test_extremes.py
coverage: setup ; $(PY) -m pytest -q -n 2 --dist loadfile tests/unit tests/contract tests/property --cov
check: setup ; $(PY) -m ruff format --check . && $(PY) -m ruff check . && $(PY) -m mypy && .venv/bin/lint-imports
bench: setup ; $(PY) -m benchmarks && $(PY) -m benchmarks.bench_scale
study: setup ; $(PY) -m benchmarks.study_when $(or $(STUDY),run)
mutate: setup ; $(PY) -m benchmarks.mutate
lock: ; bash scripts/lock
docs: setup ; @bash scripts/docs
clean: ; rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
