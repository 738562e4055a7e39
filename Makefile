# What a person types. Every target does the set-up it needs; the work itself is in scripts/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build test lint bench demo gpu-check clean distclean

# The Python of the independent peers that tests talk to.
PEERS := $(CURDIR)/.cache/venv/bin/python

help: ## list these targets
	@echo 'Owlet: text-queried detection for robots. Start with: make demo'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'TORCH=cpu|cuda chooses libtorch (CUDA is taken where a driver is found);'
	@echo 'LIBTORCH=/folder uses a libtorch $(shell sed -n 's/^TORCH_VERSION=//p' scripts/common.sh) of your own.'

setup: ## Debian packages, libtorch and test tools; does only what is missing
	@scripts/setup

build: setup ## the owlet binary, in target/debug
	cargo build

demo: setup ## replay the sample recording through the built-in checkpoint and show what it found
	@scripts/demo

test: setup ## all tests
	OWLET_TEST_PYTHON=$(PEERS) cargo test

lint: setup ## formatting, clippy, and the licences and sources of all dependencies
	cargo fmt --check
	cargo clippy --all-targets --features ros2-check -- -D warnings
	@scripts/check-dependencies

bench: setup ## the benchmarks, in the release profile
	cargo bench

gpu-check: setup ## bundle the binary for a GPU machine; run parity and benchmarks where there is a GPU
	@scripts/gpu-check

clean: ## remove what was built and written
	rm -rf target out

distclean: clean ## also remove libtorch and the Python environment
	rm -rf .cache
