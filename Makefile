# One file to build, run and check cloudai. Needs Node 20 or later (with npm) and make; everything else, Bun included,
# comes from package-lock.json into node_modules. Type `make` for the list of targets.

SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

bin := node_modules/.bin
# Never a Bun from PATH: this one's version is in the lock file.
bun := $(bin)/bun
deps := node_modules/.installed
binary := dist/cloudai
# Folders too, so that a file's removal counts as a change.
sources := $(shell find src) package.json tsconfig.json
# Read only when the binary is built. `unknown` outside a git checkout.
commit = $(shell test -e .git && git describe --always --dirty --exclude='*' 2>/dev/null || echo unknown)

export PATH := $(CURDIR)/$(bin):$(PATH)

.PHONY: help run test build check fmt proto bench clean deps

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(binary) ## Run a master, two workers and a few sample tasks; Ctrl-C ends it
	@$(binary) dev --workers 2 --sample

build: $(binary) ## Compile dist/cloudai, the one file to copy to other hosts

test: $(binary) ## Run all tests; those that need a Docker Engine say so when there is none
	@$(bun) test --timeout 60000

bench: $(binary) ## Measure, each figure beside its floor
	@$(bun) test/bench/bench.ts

.PHONY: sim
sim: $(deps) ## Play SEEDS=10000 seeded histories of a whole cluster, from START=1 on, over all cores
	@$(bun) test/simulation/run.ts $(or $(SEEDS),10000) $(or $(START),1)

.PHONY: screenshot
screenshot: $(binary) ## Take docs/images/dashboard.png anew; needs a Chromium
	@$(bun) test/tools/screenshot.ts

fmt: $(deps) ## Format the sources and mend what the linter can mend
	@biome check --write --log-level=error
	@buf format --write proto

proto: $(deps) ## Generate src/gen from proto
	@buf generate

clean: ## Remove all that make has made
	rm -rf dist node_modules

deps: $(deps)

# npm runs no install scripts (.npmrc), so Bun's own, which links the binary that npm has fetched, is run here.
$(deps): package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || \
		{ echo "cloudai needs Node 20 or later to install its tools; this is $$(node --version)." >&2; exit 1; }
	@echo "Installing what package-lock.json names into node_modules"
	@npm ci
	@node node_modules/bun/install.js
	@touch $@

# Compiled beside its place and moved there: a cloudai that runs keeps its file, and nobody sees half of a new one.
# Its source map is inside it; it reads .env where it is started, and no other file by itself. cpu-features is a native
# module that ssh2 (of dockerode) would like and does without.
$(binary): $(sources) $(deps)
	@mkdir -p $(@D)/new
	@$(bun) build --compile --splitting --minify --sourcemap --bytecode --format=esm --external cpu-features \
		--compile-autoload-dotenv --no-compile-autoload-bunfig \
		--define CLOUDAI_COMMIT='"$(commit)"' src/main.ts --outfile $(@D)/new/$(@F) >/dev/null
	@mv $(@D)/new/$(@F) $@
	@rm -r $(@D)/new
	@echo "Built $@"

# ---- make check: every step is a target of its own, prints one line when it passes and its findings when not.

checks := check-lock check-types check-style check-proto check-gen check-imports check-unused
.PHONY: $(checks)

check: $(checks) ## Check types, style, protocol, generated code, import direction, unused code and lock file

define step
	@out=$$( ( $(2) ) 2>&1 ) && echo "ok    $(1)" || { echo "$$out"; echo "FAIL  $(1)"; exit 1; }
endef

check-lock: $(deps)
	$(call step,package-lock.json fits package.json,npm ci --dry-run --offline)

check-types: $(deps)
	$(call step,types,bun check --pretty && bun check --pretty -p src/dashboard)

check-style: $(deps)
	$(call step,lint and format,biome check --error-on-warnings)

check-proto: $(deps)
	$(call step,protocol lint and format,buf lint proto && buf format --diff --exit-code proto)

check-gen: $(deps)
	$(call step,src/gen is what make proto gives,\
		new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && buf generate -o "$$new" && diff -r "$$new/src/gen" src/gen)

check-imports: $(deps)
	$(call step,import direction,bun test test/structure)

check-unused: $(deps)
	$(call step,unused code and dependencies,knip --no-progress)
