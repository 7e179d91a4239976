# Berth's targets. `make` alone lists them.
#
# Whatever a target needs is built or, from Debian's packages, installed by it;
# Go and git are the two things that must be there.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
DEADCODE := golang.org/x/tools/cmd/deadcode@v0.52.0
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
# What the spell checker takes for something else: Go's names, HTTP's, errors on
# purpose in tests.
WORDS := bu,coppy,doas,eror,erro,fo,iif,inflight,ist,localed,msdos,plantext,sise,skept,te,testof,vertexes,upto
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# One set of build flags for everything, so that Kubernetes, the command, the
# images and the tests share what they compile.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)

# sudo's PATH leaves out where Go usually is; berth itself looks there, too.
export PATH := $(PATH):/usr/local/go/bin:/usr/lib/go/bin:/snap/bin$(if $(SUDO_USER),:$(wildcard $(shell getent passwd $(SUDO_USER) | cut -d: -f6)/go/bin))

# More flags for the command: make down ARGS=--purge
ARGS ?=

##@ On this machine

.PHONY: up
up: root bin/berth ## Bring up Kubernetes here and serve staging and production
	bin/berth up $(ARGS)

.PHONY: down
down: root bin/berth ## Stop it; ARGS=--purge removes every trace
	bin/berth down $(ARGS)

.PHONY: run
run: ## Serve the application alone, on SQLite
	go run ./cmd/realworld

##@ On the provider that berth.yaml names

.PHONY: init
init: bin/berth ## Make the cluster and the platform
	bin/berth init $(ARGS)

.PHONY: deploy
deploy: bin/berth ## Release an environment: ENV=staging
	bin/berth deploy $(call need,ENV) $(ARGS)

.PHONY: rollback
rollback: bin/berth ## Go back: ENV=production [REV=3]
	bin/berth rollback $(call need,ENV) $(REV) $(ARGS)

.PHONY: history
history: bin/berth ## List an environment's revisions: ENV=production
	bin/berth history $(call need,ENV) $(ARGS)

.PHONY: backup
backup: bin/berth ## Back production up at once, and verify the backup
	bin/berth backup now $(ARGS)

.PHONY: restore
restore: bin/berth ## Bring a backup back: [ID=20261123_051436_6038]
	bin/berth backup restore $(ID) $(ARGS)

.PHONY: status
status: bin/berth ## Show the cluster and its environments at a glance
	bin/berth status $(ARGS)

.PHONY: logs
logs: bin/berth ## Show an environment's logs: ENV=production [ARGS=-f]
	bin/berth logs $(call need,ENV) $(ARGS)

.PHONY: scale
scale: bin/berth ## Change the nodes: NODES=2 SIZE=s-2vcpu-4gb
	bin/berth scale $(if $(NODES),--nodes $(NODES)) $(if $(SIZE),--size $(SIZE)) $(ARGS)

.PHONY: destroy
destroy: bin/berth ## Remove everything that berth made
	bin/berth destroy $(ARGS)

.PHONY: doctor
doctor: bin/berth ## Say what is missing on this machine
	bin/berth doctor $(ARGS)

##@ For developers

.PHONY: test
test: ## Run the tests against real PostgreSQL, NGINX, S3 and Terraform
	.ci/need postgresql nginx libnginx-mod-http-lua buildah zstd s3cmd pgbouncer nftables iptables mmdebstrap docker-registry chromium
	go run ./e2e/tofu
	go test -timeout 40m -p 3 -skip '^TestKilledAtEachStep$$' ./...
	cd kube && CGO_ENABLED=0 go test -trimpath ./policies/... ./provisioner/... ./registry/...
	cd collector && go test -timeout 40m ./...
	cd logline && go test ./...

.PHONY: quick
quick: ## Run the tests of the packages that you changed
	.ci/quick

.PHONY: test-kills
test-kills: ## Kill init, scale and destroy of DigitalOcean after each of their changes
	go run ./e2e/tofu
	go test -timeout 40m -run '^TestKilledAtEachStep$$' ./internal/provider/digitalocean

.PHONY: test-backup
test-backup: ## Run the backup job's tests alone
	.ci/need postgresql s3cmd
	go test ./internal/backup/... ./internal/wal ./cmd/backup/...

.PHONY: e2e
e2e: ## Run the tests against a real Kubernetes on this machine (root)
	.ci/need nftables python3 nodejs chromium
	go test -tags e2e -count 1 -timeout 75m -v ./e2e

.PHONY: vm
vm: ## Try a release in a Debian 13 virtual machine, as an ordinary user with sudo; hours (root)
	.ci/need qemu-system-x86 mmdebstrap e2fsprogs dpkg-dev docker-registry openssh-client
	go run ./e2e/vm $(ARGS)

.PHONY: soak
soak: ROUNDS ?= 5
soak: STEPS ?= Deploy|Ingress|Together|Pods|Scale|Size|Backups|Moment|Upgrade|Alerts|Healing|DownAndUp|Judge|Metrics|Preview|Rehearse
soak: ## Repeat what a noisy machine may upset, ROUNDS times, and build a whole release twice (root)
	.ci/need nftables python3 nodejs chromium
	go test -count 1 -timeout 0 -v ./cmd/release -run '^TestTwoBuilds' -whole
	go test -tags e2e -count $(ROUNDS) -timeout 0 -v ./e2e -deploys 20 -moments 20 -run '^TestBerth$$/^($(STEPS))$$'

.PHONY: bench
bench: bench-app bench-backup bench-logs ## Measure everything, beside what it is compared with

.PHONY: bench-app
bench-app: ## Measure the application, direct and through NGINX
	.ci/need postgresql nginx libnginx-mod-http-lua wrk
	go run ./bench $(ARGS)

.PHONY: bench-backup
bench-backup: ## Measure a backup of 1 GB beside pg_dump | gzip and s3cmd put, and the log's stream beside pg_receivewal
	.ci/need postgresql s3cmd
	go run ./bench/backup $(ARGS)

.PHONY: bench-logs
bench-logs: ## Measure the log agent at 10,000 lines a second and at its most
	cd collector && go test -run '^$$' -bench Agent -benchtime 1x .

.PHONY: bench-agent
bench-agent: ## Measure what the log agent costs the application, in a pod of its own in the cluster of this machine
	.ci/need wrk
	go run ./bench -agent $${XDG_STATE_HOME:-/var/lib}/berth/local/kubeconfig/berth-admin.yaml -duration 2s -rounds 5 $(ARGS)

.PHONY: bench-deploy
bench-deploy: bin/berth ## Measure from a change to its serving, beside the same by hand, in the cluster of this machine (root)
	.ci/need buildah
	go run ./bench/deploy $(ARGS)

.PHONY: bench-rehearse
bench-rehearse: bin/berth ## Measure a rehearsal of 1 GB by phase, in the cluster of this machine (root)
	@go run ./bench/rehearse $(ARGS)

.PHONY: bench-idle
bench-idle: ## Measure what the cluster of this machine costs while it idles, by part (root)
	@go run ./bench/idle $(ARGS)

.PHONY: lint
lint: ## Check formatting, go vet and staticcheck in every module, unused code, circles of files, the workflows and the spelling
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; }
	go vet -tags e2e ./...
	go run $(STATICCHECK) -tags e2e ./...
	@unused=$$(go run $(DEADCODE) -test -tags e2e -filter '^berth/(bench|charts|cmd|docs|e2e|internal)' ./... | sed '/func: Example$$/d'); \
		[ -z "$$unused" ] || { echo "nothing calls:"; echo "$$unused"; exit 1; }
	go build -o bin/circles ./.ci/circles && bin/circles ./...
	go run $(ACTIONLINT)
	.ci/need codespell
	git ls-files '*.go' '*.md' '*.yaml' '*.yml' '*.sh' '*.lua' '*.sql' '*.tf' '*.tpl' Makefile | grep -v testdata/ | xargs codespell -L $(WORDS)
	cd kube && CGO_ENABLED=0 go vet -trimpath ./policies ./provisioner ./registry ./s3gateway ./cmd/s3-gateway ./pause
	cd collector && go vet ./... && go run $(STATICCHECK) ./... && ../bin/circles ./...
	cd logline && go vet ./... && go run $(STATICCHECK) ./... && ../bin/circles ./...

.PHONY: vuln
vuln: ## Check against Go's vulnerability database (needs the Internet)
	go run $(GOVULNCHECK) ./...
	cd kube && go run $(GOVULNCHECK) ./...
	cd collector && go run $(GOVULNCHECK) ./...
	cd metrics && go run $(GOVULNCHECK) github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics

.PHONY: golden
golden: ## Rewrite the golden files from what the code does now
	go test ./charts/... ./cmd/berth/... ./internal/console/... ./internal/ingress/... ./internal/platform/... ./internal/provider/digitalocean/... ./internal/release/... -update

##@ For continuous integration

# An image's name in a registry, which takes small letters alone.
image = $(call lower,$(call need,REGISTRY)/$(call need,IMAGE))
lower = $(shell echo '$(1)' | tr '[:upper:]' '[:lower:]')
TAG ?= $(shell git rev-parse HEAD)

.PHONY: login
login: ## Log in to a registry, by REGISTRY_USERNAME and REGISTRY_PASSWORD: REGISTRY=ghcr.io/me
	@printenv REGISTRY_PASSWORD | docker login --username "$$REGISTRY_USERNAME" --password-stdin $(firstword $(subst /, ,$(call need,REGISTRY)))

# What was pushed for a commit stays what it is: a build made again has another
# digest than the one that staging has served.
.PHONY: push
push: ## Build an image with SBOM and provenance, and push it, once for a commit: IMAGE=realworld REGISTRY=ghcr.io/me
	@if said=$$(docker buildx imagetools inspect $(image):$(TAG) 2>&1); then echo "$(image):$(TAG) is there already"; exit 0; fi; \
	case "$$said" in *"not found"* | *unknown* | *denied* | *[Ff]orbidden* | *[Uu]nauthorized*) ;; *) echo "$$said" >&2; exit 1 ;; esac; \
	set -x; docker buildx build --push --sbom=true --provenance=mode=max --tag $(image):$(TAG) --file images/$(call need,IMAGE)/Dockerfile .

.PHONY: digest
digest: ## Name what was pushed by its digest: IMAGE=realworld REGISTRY=ghcr.io/me
	@digest=$$(docker buildx imagetools inspect $(image):$(TAG) --format '{{.Manifest.Digest}}') && echo "$(image)@$$digest"

.PHONY: release
release: ## Build, sign and push berth for every platform: VERSION=v1.2.0 REGISTRY=ghcr.io/me KEY=release.key
	go build -o bin/release ./cmd/release
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} bin/release \
		-version $(call need,VERSION) -repository $(call lower,$(call need,REGISTRY)/berth) -key $(call need,KEY) $(ARGS)

# Go decides what is out of date.
.PHONY: bin/berth
bin/berth:
	@command -v go >/dev/null || { echo "berth is compiled by Go 1.26 or newer: https://go.dev/doc/install" >&2; exit 1; }
	go run ./internal/source/pack
	go build -ldflags '-s -w' -o bin/berth ./cmd/berth

# Kubernetes on this machine takes root. Who may become root is asked before
# anything is compiled; the command takes it from there.
.PHONY: root
root:
	@[ "$$(id -u)" -eq 0 ] || { [ -t 0 ] && sudo -v -p "[berth] Kubernetes on this machine needs root; password of %p: "; } || sudo -n true || \
		{ echo "this needs root: sudo make $(MAKECMDGOALS)" >&2; exit 1; }

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# need gives a variable's value, or ends with a line that says how to give it.
need = $(or $($(1)),$(error give $(1), as in: make $@ $(1)=$(or $(example_$(1)),staging)))
example_VERSION := v1.2.0
example_REGISTRY := ghcr.io/me
example_KEY := release.key
