# Two commands: `make demo` shows the main job, `make test` passes the tests.
# Every other target is a piece of one of them or a longer campaign.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
DEMO    := bin/demo

.PHONY: all build demo demo-firmware test race-test vet cross libota libota-size libota-powercut-full \
        bench fuzz long testvectors screenshots clean help

all: build

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 24

build: ## bin/ota and bin/ota-agent
	@$(BUILD) -o bin/ota ./cmd/ota
	@$(BUILD) -tags nethttpomithttp2 -o bin/ota-agent ./cmd/ota-agent

# ---- the first command -------------------------------------------------------

demo: ## the main job, from a key to firmware running on a device (ONCE=1 ends by itself)
	@scripts/setup.sh demo
	@echo "building ota, ota-agent and three versions of the demo's firmware ..."
	@$(MAKE) --no-print-directory build demo-firmware
	@bin/ota demo --firmware $(DEMO) $(if $(filter 1,$(ONCE)),--once)

SENSOR := CGO_ENABLED=0 $(GO) build -trimpath
demo-firmware:
	@$(SENSOR) -ldflags '-s -w -X main.version=1.0.0' -o $(DEMO)/sensor-1.0.0 ./examples/sensor
	@$(SENSOR) -ldflags '-s -w -X main.version=1.1.0' -o $(DEMO)/sensor-1.1.0 ./examples/sensor
	@$(SENSOR) -ldflags '-s -w -X main.version=1.2.0 -X main.broken=yes' -o $(DEMO)/sensor-1.2.0 ./examples/sensor

# ---- the second command ------------------------------------------------------

test: ## everything, race detector on
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory vet cross race-test libota
	@$(MAKE) --no-print-directory fuzz FUZZTIME=500x
	@$(MAKE) --no-print-directory demo ONCE=1

race-test:
	$(GO) test -race -timeout 30m ./...
	OTA_TEST_STORE=shared $(GO) test -race -timeout 30m $(SHARED)

# What stores something, once more on PostgreSQL and S3.
SHARED := ./repository ./internal/auth ./internal/api ./internal/fleet ./internal/rollout

vet:
	@test -z "$$(gofmt -l .)" || { echo "not gofmt'ed:"; gofmt -l .; exit 1; }
	$(GO) vet ./...

# The servers and tools run on three systems, the agent on five kinds of device.
AGENT_TARGETS := amd64 arm64 arm:GOARM=6 mipsle:GOMIPS=softfloat riscv64
cross: ## compile ota for Linux, macOS and Windows, ota-agent for every kind of device
	@for os in linux darwin windows; do \
		echo "ota for $$os"; CGO_ENABLED=0 GOOS=$$os $(GO) build -o /dev/null ./cmd/ota || exit 1; done
	@for t in $(AGENT_TARGETS); do \
		echo "ota-agent for linux/$${t%%:*}"; \
		env CGO_ENABLED=0 GOOS=linux GOARCH=$${t%%:*} $$(echo $$t: | cut -d: -f2) $(GO) build -o /dev/null ./cmd/ota-agent || exit 1; done

# ---- the device library (libota/README.md) --------------------------------------

libota: ## libota: vectors on every kind of part, power cuts, fuzzing, sizes
	@$(MAKE) --no-print-directory -j2 -C libota ci

libota-size: ## flash, RAM, stack and instructions of libota, held against its budget
	@$(MAKE) --no-print-directory -C libota size

libota-powercut-full: ## every power cut on every kind of flash
	@$(MAKE) --no-print-directory -C libota powercut-full

# ---- longer campaigns --------------------------------------------------------

bench: build ## benchmarks, each beside a peer or a limit in the same run
	OTA_BENCH=1 OTA_BENCH_WRITE=../docs/benchmarks.md $(GO) test ./bench/... -count=1 -v -timeout 120m
	$(GO) test -run '^$$' -bench . -benchmem ./...

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME (30s, or 500x: a number of inputs)
	@GO=$(GO) scripts/fuzz.sh $(FUZZTIME)

long: ## the full campaigns of which `make test` runs a short form
	OTA_LONG=1 $(GO) test -timeout 6h ./...

testvectors: ## write testvectors/ again; a test holds them byte for byte
	$(GO) run ./internal/testvectors/gen

screenshots: ## write docs/screenshots again, from a fleet with a past
	@scripts/setup.sh screenshots
	@mkdir -p docs/screenshots
	OTA_SCREENSHOTS=$(CURDIR)/docs/screenshots $(GO) test -count=1 -run '^TestScreenshots$$' ./internal/console

clean: ## remove what was built
	rm -rf bin
