# The front door. Building is CMake's work; this file only says in which order, and sees that the tools are there.
.DEFAULT_GOAL := help
.PHONY: help demo test check asan tsan fuzz lint bench bench-peers gpu-pack gpu-check report ptx-report install aarch64 clean

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
export CMAKE_GENERATOR ?= $(if $(shell command -v ninja 2>/dev/null),Ninja,Unix Makefiles)

configure = cmake --preset $(1) $(2) --log-level=STATUS
build = cmake --build build/$(1) --parallel $(JOBS)
# Demo and benchmarks take build/dev as it is: with the tests where they were configured before.
configure_once = test -f build/dev/CMakeCache.txt || \
  { echo "mfq: configuring build/dev"; $(call configure,dev,-DMFQ_BUILD_TESTS=OFF); }
ctest = ctest --test-dir build/$(1) --parallel $(JOBS) --output-on-failure --no-label-summary
# The presets asan and aarch64 choose their tests (MFQ_TESTS); these leave out the slow ones.
quick = -LE '^slow$$'

help: ## this list
	@echo "mfq: minifloat and groupwise quantization"
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

demo: ## quantize real data and show what it costs and gains
	@sh cmake/setup.sh demo
	@$(configure_once)
	@echo "mfq: building library, command and examples"
	@$(call build,dev) --target demo
	@sh examples/demo.sh build/dev

check: ## build and run all tests, without the sanitizers
	@sh cmake/setup.sh test
	@echo "mfq: configuring and building build/dev ($(JOBS) jobs)"
	@$(call configure,dev,-DMFQ_BUILD_TESTS=ON)
	@$(call build,dev)
	@echo "mfq: running all tests"
	@$(call ctest,dev)

# build/asan runs the tests of build/dev on a library of its own.
asan: ## the memory-handling tests under the address and undefined-behaviour sanitizers
	@sh cmake/setup.sh test
	@echo "mfq: configuring and building build/asan ($(JOBS) jobs)"
	@grep -qs MFQ_BUILD_TESTS:BOOL=ON build/dev/CMakeCache.txt || $(call configure,dev,-DMFQ_BUILD_TESTS=ON)
	@$(call build,dev) --target lent_tests
	@$(call configure,asan)
	@$(call build,asan)
	@echo "mfq: running tests under the sanitizers"
	@$(call ctest,asan) $(quick)

tsan: ## what threads share, under the thread sanitizer
	@sh cmake/setup.sh test
	@echo "mfq: configuring and building build/tsan ($(JOBS) jobs)"
	@$(call configure,tsan)
	@$(call build,tsan) --target threads_shared_test
	@$(call ctest,tsan)

FUZZ_SECONDS ?= 60
# What is found is left as crash-* beside the corpus, in build/fuzz/<target>.
fuzz: ## every fuzz target by libFuzzer for FUZZ_SECONDS each (clang, libclang-rt-dev)
	@$(call configure,fuzz)
	@$(call build,fuzz)
	@set -e; for target in text file metadata command cast product convolution; do \
	  mkdir -p build/fuzz/$$target; dict=tests/fuzz/$$target.dict; test -f $$dict && dict="-dict=$$PWD/$$dict" || dict=; \
	  echo "mfq: fuzzing $$target for $(FUZZ_SECONDS) s"; \
	  (cd build/fuzz/$$target && OMP_WAIT_POLICY=passive ../tests/fuzz_$$target -max_len=1024 -print_final_stats=0 \
	     -verbosity=0 -max_total_time=$(FUZZ_SECONDS) $$dict .); done

# In this order, one after the other, whatever -j says.
test: ## everything that needs no GPU: check, then asan and tsan (what CI runs)
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory asan
	@$(MAKE) --no-print-directory tsan
	@if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null; then \
	  $(MAKE) --no-print-directory aarch64; \
	else echo "mfq: aarch64 not checked: no cross compiler and qemu-user here (see \`make aarch64\`)"; fi

lint: ## the rules of the tree: includes, budgets, names, exports, headers alone
	@sh cmake/setup.sh test
	@$(call configure,dev,-DMFQ_BUILD_TESTS=ON) >build/lint.log || { cat build/lint.log; exit 1; }
	@$(call build,dev) --target linted_libraries
	@$(call ctest,dev) -L '^(lint|headers)$$'

bench: ## measure quantize, dequantize and products on this machine
	@sh cmake/setup.sh bench
	@$(configure_once)
	@echo "mfq: building the benchmarks"
	@$(call build,dev) --target bench
	@sh bench/run.sh build/dev

PYTHON ?= python3
RACES ?= products casts convolutions fake_quantize
bench-peers: ## RACES beside what PYTHON (python3), GGML and ONEDNN have of other libraries; QUICK=1: in minutes
	@sh cmake/setup.sh bench
	@$(configure_once)
	@$(call build,dev) --target bench_peers
	@mkdir -p build/bench
	@failed=; for race in $(RACES); do \
	  MFQ_PEER_GGML="$(or $(GGML),$(MFQ_PEER_GGML))" MFQ_PEER_ONEDNN="$(or $(ONEDNN),$(MFQ_PEER_ONEDNN))" \
	    $(PYTHON) -B bench/peers/$$race.py $(if $(QUICK),--quick) --json build/bench/$$race.json \
	    --csv build/bench/$$race.csv || test $$? -eq 77 || failed="$$failed $$race"; \
	done; test -z "$$failed" || { echo "mfq: some rows have no result in:$$failed"; exit 1; }

ARCHITECTURE ?= 90a
gpu-pack: ## without a GPU: what gpu-check needs on a bare machine with one of ARCHITECTURE (90a), in .gpu/
	@sh cmake/setup.sh test
	@JOBS=$(JOBS) sh bench/gpu/pack.sh $(ARCHITECTURE)

gpu-check: ## everything that is asked of this machine's GPU, in nine minutes: right bytes, speed, memory
	@sh bench/gpu/check.sh

report: ## a page of RESULTS (the newest file of bench/results), and the ledger of docs/hardware.md
	@python3 bench/report/report.py page $(if $(RESULTS),"$(RESULTS)")
	@python3 bench/report/report.py ledger

ptx-report: ## registers, spills and memory accesses of the kernels as compiled (nvcc, no GPU)
	@sh cmake/setup.sh test
	@$(call configure,dev,-DMFQ_BUILD_TESTS=ON) >build/ptx.log || { cat build/ptx.log; exit 1; }
	@$(call build,dev) --target ptx_report

install: ## install below PREFIX (/usr/local); DESTDIR is respected
	@sh cmake/setup.sh install
	@$(call configure,release) -DCMAKE_INSTALL_PREFIX="$(PREFIX)"
	@$(call build,release)
	@cmake --install build/release --prefix "$(PREFIX)"
	@echo "mfq: installed below $(DESTDIR)$(PREFIX); if programs do not find libmfq.so there, run ldconfig"

aarch64: ## cross build, quick tests under qemu-user (gcc- and g++-aarch64-linux-gnu, qemu-user)
	@$(call configure,aarch64)
	@$(call build,aarch64)
	@$(call ctest,aarch64) $(quick)

clean: ## remove build/
	rm -rf build
