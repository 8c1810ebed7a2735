# Sluice: `make up` builds, starts three nodes and shows them working; `make test` proves the product; `make help` lists the rest.
SHELL := /bin/bash
PRESET ?= release
BUILD := build/$(PRESET)
CTEST := ctest --test-dir $(BUILD) --output-on-failure

.PHONY: help up down build test compat check format asan tsan mutants coverage chaos bench profile bench-storage clean

help:
	@echo 'make up      install what is missing, build, start three nodes, run the demonstration'
	@echo 'make down    stop what make up started; the data stays'
	@echo 'make test    build and run every test that Debian packages suffice for'
	@echo 'make compat  run the foreign clients (needs Maven, a JDK, Python with pip, Node with npm, Go)'
	@echo 'make check   layers, sizes, format, self-contained headers, lint'
	@echo 'make mutants   plants one fault after the other into Raft and replication and shows what finds it; a survivor fails; half an hour'
	@echo 'make chaos   three nodes (NODES=5: five) in network namespaces, hurt for MINUTES=10, and the judge of what their clients saw; root'
	@echo 'make bench   beside Apache Kafka and a bare server on this machine (ROUNDS=5, ONLY=name,name, BENCH_DIR: where the data are); needs Maven and Java; hours'
	@echo 'make profile SCENARIO=produce-1k   a flame graph of Sluice while that scenario runs (SYSTEM=replicated); perf'
	@echo 'make bench-storage   the storage engine alone, beside bare writes and syncs on the same disk (BENCH_DIR: where); some minutes'
	@echo 'make coverage   lines and branches of the Raft core that its tests and simulation run; fails under 98 % and 95 %'
	@echo 'make asan    unit tests and simulations under AddressSanitizer and UBSan;  make tsan: the same under ThreadSanitizer'

up: build
	@tools/install-packages demo
	@tools/up

down:
	@tools/down

build:
	@tools/install-packages build
	@tools/build $(PRESET)

test: build
	@tools/install-packages demo check
	@tools/check --fast
	$(CTEST) --label-exclude compat

compat: build
	@tools/install-packages demo
	@tests/compat/tools-present
	$(CTEST) --label-regex compat

check: build
	@tools/install-packages check lint
	@tools/check

format:
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

asan tsan:
	@tools/install-packages build
	@tools/build $@
	ctest --test-dir build/$@ --output-on-failure --label-regex unit

mutants:
	@tools/install-packages build
	@cmake --preset $(PRESET) >/dev/null
	@cmake --build $(BUILD) --target raft_mutants quorum_log_mutants cluster_mutants
	@PRESET=$(PRESET) tools/mutants

coverage:
	@tools/install-packages build coverage
	@tools/coverage

MINUTES ?= 10
NODES ?= 3
chaos: build
	@tools/install-packages demo chaos
	@SLUICE_BUILD=$(CURDIR)/$(BUILD) tests/chaos/chaos.py --minutes $(MINUTES) --nodes $(NODES) $(CHAOS)

BENCH_DIR ?= $(BUILD)/bench-data
ROUNDS ?= 5
ONLY ?=
SYSTEM ?= replicated
BENCH_BUILD = cmake --preset $(PRESET) >/dev/null && cmake --build $(BUILD) --target sluice bench_client bench_floor bench_load
COMPARE = SLUICE_BUILD=$(CURDIR)/$(BUILD) bench/compare.py --directory $(BENCH_DIR) --output $(BUILD)/bench
bench:
	@tools/install-packages build demo compare
	@$(BENCH_BUILD)
	@$(COMPARE) --rounds $(ROUNDS) $(if $(ONLY),--only $(ONLY))

profile:
	@test -n '$(SCENARIO)' || { echo 'make profile SCENARIO=NAME; the names:'; bench/compare.py --list; exit 1; }
	@tools/install-packages build demo compare profile
	@$(BENCH_BUILD)
	@$(COMPARE) --profile $(SCENARIO) --system $(SYSTEM)

# Nothing but this needs the benchmark library, so that a build does without it.
bench-storage: build
	@tools/install-packages bench
	@cmake --preset $(PRESET) >/dev/null
	@cmake --build $(BUILD) --target bench_storage_figures bench_storage_micro
	@mkdir -p $(BENCH_DIR)
	$(BUILD)/bench_storage_figures $(BENCH_DIR)
	TMPDIR=$(BENCH_DIR) $(BUILD)/bench_storage_micro

clean:
	rm -rf build
