# The front door. Meson does the building; this file says what there is to do.
#
#   make            install what is missing, configure, build
#   make demo       the whole loop on this machine        DATA=bookings.csv.gz
#   make test       unit tests, end-to-end tests, fault campaigns
#   make help       the rest

JOBS    ?= $(shell nproc)
SECONDS ?= 60
PREFIX  ?= /usr/local
NINJA    = ninja --quiet -j $(JOBS)
MESON_TEST = meson test --no-rebuild --quiet --print-errorlogs --num-processes $(JOBS)

DEFAULT_DATA = $(wildcard ../shared/data/hotel_bookings.csv.gz)
DATA        ?= $(DEFAULT_DATA)

C_FOLDERS = src tests bench tools
C_FILES   = $(shell find $(C_FOLDERS) -name '*.[ch]' 2>/dev/null | sort)

.DEFAULT_GOAL := all
.PHONY: all help deps deps-tests build demo test unit e2e fault bench lint format fuzz test-asan test-tsan \
	test-long test-peers clean install

all: build

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## deps        install Debian packages and the pinned DuckDB
deps:
	@tools/deps.sh

deps-tests: deps
	@tools/deps.sh tests

## build       build/sluice
build: deps
	@tools/setup.sh build --prefix $(PREFIX)
	@$(NINJA) -C build

## demo        the whole loop on this machine; the summary is the last line on stdout
demo: deps
	@tools/setup.sh build --prefix $(PREFIX) >&2
	@$(NINJA) -C build >&2
	@build/sluice demo --json --dir .demo $(if $(DATA),--data $(DATA))

## test        unit tests, end-to-end tests, fault campaigns
test: build deps-tests
	@$(MESON_TEST) -C build --suite unit
	@if [ -x tests/e2e/run ]; then SLUICE=$(CURDIR)/build/sluice tests/e2e/run; fi
	@SLUICE=$(CURDIR)/build/sluice tests/fault/run

unit: build deps-tests
	@$(MESON_TEST) -C build --suite unit

e2e: build deps-tests
	@SLUICE=$(CURDIR)/build/sluice tests/e2e/run

## fault       the fault campaigns in their short form; SLUICE_LONG=1 for the long one
fault: build
	@SLUICE=$(CURDIR)/build/sluice tests/fault/run

## bench       one JSON object a line on stdout
bench: deps
	@tools/setup.sh build --prefix $(PREFIX) >&2
	@$(NINJA) -C build >&2
	@SLUICE=$(CURDIR)/build/sluice bench/run

## test-asan   unit and end-to-end tests, address and undefined-behaviour sanitizers, with leaks
test-asan: deps-tests
	@tools/setup.sh build-asan -Db_sanitize=address,undefined -Db_lundef=false
	@$(NINJA) -C build-asan
	@$(MESON_TEST) -C build-asan --suite unit --timeout-multiplier 6
	@tools/e2e-asan.sh build-asan

## test-tsan   the unit tests under the thread sanitizer
test-tsan: deps-tests
	@tools/setup.sh build-tsan -Db_sanitize=thread -Db_lundef=false
	@$(NINJA) -C build-tsan
	@setarch -R $(MESON_TEST) -C build-tsan --suite unit --timeout-multiplier 6

## test-long   the campaigns whole
test-long: build deps-tests
	@SLUICE_LONG=1 $(MESON_TEST) -C build --suite unit --timeout-multiplier 30
	@SLUICE=$(CURDIR)/build/sluice SLUICE_LONG=1 tests/e2e/run
	@SLUICE=$(CURDIR)/build/sluice SLUICE_LONG=1 tests/fault/run

## test-peers  against independent clients and emulators from other registries
test-peers: build
	@if [ -x tests/peers/run ]; then SLUICE=$(CURDIR)/build/sluice tests/peers/run; else \
		echo "there are no peers to test against in this version: they come with the cloud drivers" >&2; \
		exit 2; fi

## fuzz        each fuzz target for SECONDS=n (60)
fuzz:
	@tools/deps.sh lint
	@CC=clang tools/setup.sh build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
	@$(NINJA) -C build-fuzz
	@tools/fuzz.sh build-fuzz $(SECONDS)

## lint        formatting, static analysis and the shape of the code
lint:
	@tools/deps.sh lint
	@CC=clang tools/setup.sh build-lint
	@clang-format --dry-run -Werror $(C_FILES)
	@tools/check-shape.sh
	@tools/lint.sh build-lint $(JOBS)

format:
	@tools/deps.sh lint
	@clang-format -i $(C_FILES)

## install     the program and its DuckDB under PREFIX=/usr/local
install: build
	@meson configure build --prefix $(PREFIX) >/dev/null
	@meson install -C build --quiet

clean:
	@rm -rf build build-asan build-tsan build-fuzz build-lint
