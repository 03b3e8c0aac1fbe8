# The targets that people and CI use. `make test` leaves no test of the library out.

GO ?= go
SOAK ?= 1h
# One package more is tested at a time than there are processors, since many tests wait for real servers and clocks.
PACKAGES := $(shell expr 1 + "$$(getconf _NPROCESSORS_ONLN)")

.PHONY: test compat gocrontests newest lint golangci release-check bench demo outages soak chaos model browsertest rules mutants cover

test: ## all tests of the library, with the race detector, on real redis-server processes
	@scripts/need redis-server
	REDTICK_REQUIRE_REDIS=1 $(GO) test -race -p $(PACKAGES) ./...
	$(GO) test -run 'TestCost_|TestSimulation|_overload' ./redlock # in full, and with exact counts
	cd redlock/otelredlock && REDTICK_REQUIRE_REDIS=1 $(GO) test -race ./...
	cd examples/migration && REDTICK_REQUIRE_REDIS=1 $(GO) test -race ./...
	cd examples/netresearchcron && $(GO) test ./... # without -race: it would build everything once more
	cd examples/compose && REDTICK_REQUIRE_REDIS=1 $(GO) test ./... # the same
	cd test/mutants && $(GO) test -count=1 ./...

compat: ## on Redis and Valkey from Debian's packages: the drivers, and a fleet through every failover; QUICK=1 for a minute
	scripts/compat $(if $(QUICK),-quick)

gocrontests: ## gocron's own tests of its scheduler, on gocronadapter's; test/gocron/differences.txt lists those that fail, and why
	test/gocron/run

newest: ## the drivers, adapters and the command with the newest releases of the libraries they stand on
	scripts/newest

lint: ## what CI checks besides the tests
	scripts/lint

golangci: ## golangci-lint with the repository's rules; installs it when it is missing
	scripts/golangci

release-check: ## every published module and the command, from an empty directory; VERSION=v0.2.0 before that release
	cd test/release && $(GO) run . $(if $(VERSION),-version $(VERSION))

bench: ## redtick beside its peers, on servers that it starts itself; AGAINST=v0.1.0 beside another version, AWAKE=1 with cores that never halt
	@scripts/need redis-server
	cd test/bench && $(GO) run .$(if $(AGAINST), -against $(AGAINST))$(if $(AWAKE), -awake)

demo: ## three replicas, one schedule
	$(GO) run ./examples/gocron

chaos: ## replicas on real servers that are killed, frozen and cut off; FOR=60s for less, LOCKER=redsync to compare
	@scripts/need redis-server
	LIMIT=0 test/chaos/bite.sh
	cd test/chaos && $(GO) test . && $(GO) run . -for $(or $(FOR),10m) -locker $(or $(LOCKER),redtick)

outages: ## adapters whose only Redis is away for 5 s, 30 s and 300 s at the instant of a daily job; make test has the 5 s
	@scripts/need redis-server
	REDTICK_OUTAGES=5s,30s,300s $(GO) test -count=1 -timeout 15m -run 'TestOutage_onRealRedis' ./gocronadapter ./cronadapter

soak: ## the simulation, for SOAK (1h) on ever new seeds; prints how to replay a failure
	REDTICK_SOAK=$(SOAK) $(GO) test ./redlock -count=1 -timeout 0 -v -run 'TestSimulation$$'

model: ## the protocol, checked exhaustively (apt-get install -y spin gcc); QUICK=1 for seconds instead of minutes
	test/model/check.sh $(if $(QUICK),-quick)

browsertest: ## the dashboard in a headless Chromium
	@scripts/need chromium
	cd redlock/dashboard/browsertest && REDTICK_REQUIRE_CHROMIUM=1 $(GO) test -count=1 ./...

rules: ## the alerts of docs/prometheus.rules.yaml on a dead fleet, a deployment, a healthy fleet
	@scripts/need promtool
	cd redlock/otelredlock && REDTICK_REQUIRE_PROMTOOL=1 $(GO) test -count=1 -run TestRules .

cover:
	REDTICK_REQUIRE_REDIS=1 $(GO) test -coverprofile=coverage.out ./redlock/... && $(GO) tool cover -func=coverage.out | tail -1

mutants: ## breaks the core in one place at a time; each must be caught
	@scripts/need redis-server
	cd test/mutants && $(GO) run . $(MUTANT)
