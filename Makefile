# The one binary needs no C compiler; only the race detector does.
export CGO_ENABLED = 0

# The folders that "go generate" writes to.
generated = api manifests verify/policy

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build bin/sealift
	go build -trimpath -o bin/sealift ./cmd/sealift

.PHONY: demo
demo: build ## play the whole circle on real parts; KEEP=1 leaves them running
	@SEALIFT=bin/sealift KEEP=$(KEEP) go run ./test/demo

.PHONY: test
test: lint fresh parts ## everything that CI checks
	@command -v "$$(go env CC)" >/dev/null || { \
		echo "the race detector needs the C compiler $$(go env CC); hint: install gcc, or run CGO_ENABLED=0 go test ./..." >&2; exit 1; }
	@[ -x /usr/sbin/sshd ] || { echo "Git over SSH is tested with OpenSSH's server; hint: install openssh-server" >&2; exit 1; }
	CGO_ENABLED=1 go test -race -timeout 30m $$(go list ./... | grep -v /test$$)
	CGO_ENABLED=1 go test -race -timeout 75m -count=1 ./test # never cached: it runs a binary that go test does not see

.PHONY: fuzz
fuzz: ## every fuzz target in turn, for FUZZTIME (5m) each; FUZZ=Policy only those with that in the name
	@grep -rHoE '^func Fuzz[A-Za-z0-9]*$(FUZZ)[A-Za-z0-9]*' --include='*_test.go' . | sort | while IFS=: read -r file target; do \
		echo "$$(dirname "$$file") $${target#func }"; \
		go test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(or $(FUZZTIME),5m) -fuzzminimizetime 10x -parallel 1 "$$(dirname "$$file")" || exit 1; \
	done

.PHONY: bench
bench: ## what everything costs on this machine, also as bench.json; BENCH=full has 1,000 releases, BENCH="-only publish" and the like less
	@go run ./test/bench -json bench.json $(if $(filter full,$(BENCH)),-full,$(BENCH))

.PHONY: lint
lint: ## formatting and vet
	@unformatted="$$(git ls-files -co --exclude-standard '*.go' | while read -r file; do [ ! -e "$$file" ] || gofmt -l "$$file"; done)"; \
	[ -z "$$unformatted" ] || { echo "not formatted: $$unformatted; hint: gofmt -w $$unformatted" >&2; exit 1; }
	go vet ./...

.PHONY: generate
generate: ## write CRDs and deep copies from the types
	go generate ./...

.PHONY: fresh
fresh: ## fail if "make generate" changes anything
	@state() { find $(generated) -type f -exec cksum {} + | sort; }; \
	before="$$(state)" && go generate ./... && [ "$$before" = "$$(state)" ] || { \
		echo "generated files were stale, and are written anew; hint: commit them" >&2; exit 1; }

.PHONY: parts
parts: ## build the programs that tests run against, once
	go run ./test/parts/build

.PHONY: controlplane
controlplane: ## start Kubernetes, a registry and a Git server; print their addresses
	@go run ./test/stage/run up

.PHONY: controlplane-down
controlplane-down: ## stop them
	@go run ./test/stage/run down

.PHONY: sigstore
sigstore: ## run a Sigstore instance until Ctrl-C; print its files and addresses
	@go run ./test/stage/run sigstore

.PHONY: clean
clean: controlplane-down ## remove what was built and run here
	rm -rf bin .run
