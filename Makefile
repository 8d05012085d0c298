# All targets set themselves up in .venv; nothing else on the machine is touched.
PYTHON ?= python3
OUT ?= demo

.PHONY: demo fashion-mnist book book-quick test test-thorough test-avx2 bench-avx2 test-cupy \
	test-emulated lint clean

demo: .venv/demo
	.venv/bin/vqv2 demo --out $(OUT)

# The standing benchmark, with docs/results.md to compare: its images have to be installed first.
fashion-mnist: OUT := runs/fashion-mnist
fashion-mnist: .venv/demo
	.venv/bin/python examples/fashion_mnist_benchmark.py --out $(OUT)

# Lessons with their outputs, pages, and the reference: build/book/index.html. About ten minutes.
book: .venv/book
	.venv/bin/sphinx-build -b html -d build/doctrees docs build/book

# The same with quick lessons; a warning is an error.
book-quick: .venv/book
	.venv/bin/sphinx-build -b html -d build/doctrees -t quick -q -W --keep-going docs build/book

test: .venv/test
	.venv/bin/python -m pytest

# What takes half of the time and seldom fails alone: whole lessons, benchmarks, long examples, the
# scripts for a day on a device, trainings that are killed at every step, kernels broken on purpose.
test-thorough: .venv/test
	.venv/bin/python -m pytest --thorough -m thorough

# As a processor with AVX2 computes, also on one with AVX-512: our kernels, BLAS, and a peer.
# `make bench-avx2 BENCH="sample --fraction 0.02"` is another benchmark.
AVX2 := OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 \
	NUMBA_CPU_FEATURES=+sse4.2,+popcnt,+cx16,+avx,+avx2,+f16c,+fma,+bmi,+bmi2,+lzcnt,+movbe
BENCH ?= train

test-avx2: .venv/test
	$(AVX2) .venv/bin/python -m pytest

bench-avx2: .venv/test
	$(AVX2) .venv/bin/vqv2 bench $(BENCH)

# The code for a device, without one: a strict stand-in for cupy, and the real package's compiler.
test-cupy: .venv/test .venv/gpu-test
	.venv/bin/python -m pytest --backend cupy --stand-in tests/gpu tests/training tests/lab/evaluation \
		tests/lab/classifier/test_training_classifier.py tests/lab/plan/test_scaling.py \
		tests/test_hierarchy.py tests/run/test_checkpoint.py

# The real cupy, every kernel run on the processor; minutes the first time.
test-emulated: .venv/test .venv/gpu-test
	.venv/bin/python -m pytest --slow tests/gpu/test_emulation.py

lint: .venv/test
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo .venv/book .venv/test .venv/gpu-test: .venv/bin/python setup.cfg
	.venv/bin/python -m pip install --quiet --editable ".[$(@F)]"
	touch $@

clean:
	rm -rf .venv build docs/lessons docs/exercises *.egg-info .pytest_cache .ruff_cache
