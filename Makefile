# make run     builds everything and starts a demo
# make test    formatting, clippy, all tests
# make bench   benchmarks, release build
# make bench-crash  kills the program a thousand times (up to 90 minutes)
# make release the program with DuckDB compiled in (25 to 40 minutes the first time)

# Outside the clone, so that repeated clones do not compile the dependencies again.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/extrack/target
export DUCKDB_LIB_DIR ?= $(HOME)/.cache/extrack/duckdb-1.5.6
export DUCKDB_DOWNLOAD_LIB = 0

# BUNDLED=1 compiles DuckDB's C++ instead of linking the shared library.
FEATURES = $(if $(BUNDLED),--features extrack-runtime/bundled)
NEXTEST = $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
DEMO_ARGS ?=
# Clippy compiles: what it looked at is what the tests run.
LINTED = --config 'build.rustc-workspace-wrapper="$(CURDIR)/tests/clippy.sh"'
PLUGINS = --manifest-path plugins/Cargo.toml --target-dir $(CARGO_TARGET_DIR)/plugins

.PHONY: run build test lint bench bench-crash release setup setup-test setup-bench

run: build
	$(CARGO_TARGET_DIR)/debug/extrack demo $(DEMO_ARGS)

build: setup
	cargo build --locked $(FEATURES)

test: setup-test lint
ifeq ($(NEXTEST),yes)
	cargo nextest run --locked --workspace $(FEATURES) $(LINTED)
	cargo nextest run --locked $(PLUGINS) $(LINTED)
else
	cargo test --locked --workspace $(FEATURES) $(LINTED)
	cargo test --locked $(PLUGINS) $(LINTED)
endif

lint: setup
	python3 tests/house.py --check
	cargo fmt --all --check
	cargo fmt --manifest-path plugins/Cargo.toml --all --check
	cargo fmt --manifest-path runtime/evaluator/Cargo.toml --check
	cargo build --locked --workspace --all-targets $(FEATURES) $(LINTED)
	cargo build --locked --all-targets $(PLUGINS) $(LINTED)

bench: setup-bench
	cargo build --locked --release
	cargo bench --locked -p extrack-tests --bench scheduler --bench sandbox --bench backtest --bench tiers --bench sealed --bench hostile --bench languages --bench gateway --bench pages --bench peers

bench-crash: setup-bench
	cargo build --locked --release
	cargo bench --locked -p extrack-tests --bench crash

release: setup
	cargo build --locked --release --features extrack-runtime/bundled

setup:
	@$(if $(BUNDLED),true,./runtime/setup.sh build)

setup-test:
	@./runtime/setup.sh test

setup-bench:
	@./runtime/setup.sh bench
