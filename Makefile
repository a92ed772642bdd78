# `make` lists what there is. Everything needs Go; what needs more says so.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo devel)
# Nested modules: the embedded Temporal server and the development tools keep
# their dependencies out of the main go.mod.
MODULES := . devserver tools

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: dev
dev: ## build and run everything on this machine; the first build takes minutes
	@if [[ ! -x bin/carillon-devserver ]]; then \
		echo "Building the embedded Temporal server. The first time this takes a few minutes; afterwards, seconds."; \
	fi
	@$(MAKE) --no-print-directory build
	@exec bin/carillon dev

.PHONY: build
build: ## build bin/carillon and, beside it, the embedded Temporal server
	$(GO) build -ldflags '-X main.version=$(VERSION)' -o bin/carillon ./cmd/carillon
	$(GO) -C devserver build -ldflags '-s -w' -o ../bin/carillon-devserver .

.PHONY: test
test: build ## run the tests; ends with a list of what was left out
	.ci/test

.PHONY: lint
lint: bin/tools/.built ## run go vet, golangci-lint, workflowcheck and, where they can run, Redocly and shellcheck
	$(GO) vet ./...
	$(GO) -C devserver vet ./...
	bin/tools/golangci-lint run ./...
	cd devserver && ../bin/tools/golangci-lint run --config ../.golangci.yaml ./...
	bin/tools/workflowcheck -config workflowcheck.config.yaml ./workflows/...
	.ci/openapi
	@if command -v shellcheck >/dev/null; then \
		shellcheck .ci/* examples/docker-registry/run examples/docker-registry/image; \
	else \
		echo "lint: left out shellcheck, which is not installed"; \
	fi

.PHONY: fmt
fmt: bin/tools/.built ## format the Go code
	bin/tools/golangci-lint fmt ./...
	cd devserver && ../bin/tools/golangci-lint fmt --config ../.golangci.yaml ./...

.PHONY: generate
generate: ## write the generated documents anew; their tests compare them
	$(GO) test ./config ./catalog ./formats ./messages ./channels -run TestDocumentationIsCurrent -count=1 -update

SCENARIO ?= all
BENCH ?=
.PHONY: bench
bench: build ## measure what was built beside its engine; SCENARIO=name for one, BENCH=-full for the whole counts
	$(GO) build -o bin/bench ./bench
	bin/bench -scenario $(SCENARIO) $(BENCH)

.PHONY: bench-hot
bench-hot: ## measure the hot paths without a server: matching, conditions, signatures
	$(GO) test -run '^$$' -bench . -benchmem ./bench/...

FUZZTIME ?= 5m
FUZZ ?= .
.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME=5m each, one after the other; FUZZ=pattern for some
	FUZZTIME=$(FUZZTIME) .ci/fuzz '$(FUZZ)'

.PHONY: vuln
vuln: build bin/tools/.built ## look both binaries up in Go's vulnerability database; fails where it cannot be read
	.ci/vuln

.PHONY: sbom
sbom: build bin/tools/.built ## write what each binary is made of to bin/*.cdx.json, as CycloneDX
	.ci/sbom '$(VERSION)'

.PHONY: histories
histories: ## record the histories that later versions must replay
	$(GO) test ./workflows -run TestHistoriesReplay -record

.PHONY: tidy
tidy: ## tidy every module
	@for module in $(MODULES); do $(GO) -C "$$module" mod tidy; done

.PHONY: clean
clean: ## remove what was built; data in .carillon stays
	rm -rf bin

# All tools of tools/go.mod at once, in the versions written there.
bin/tools/.built: tools/go.mod tools/go.sum
	@mkdir -p bin/tools
	$(GO) -C tools build -o ../bin/tools/ tool || { echo "The tools of tools/go.mod cannot be had: see above." >&2; exit 1; }
	@touch $@
