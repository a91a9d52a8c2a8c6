# These commands do everything on a machine with Python 3.11, Node 20, npm and git:
#   make demo          the example app on http://localhost:3000 (PORT=… for another port)
#   make demo-cluster  three processes of the example app and a Redis of their own (needs redis-server)
#   make demo-flask    the Flask example on http://localhost:3001
#   make demo-django   the Django example on http://localhost:3002
#   make test          the whole suite. Installs its dependencies, or names the command that does (WORKERS=… processes)
#   make test-django   the tests of Django with its newest version
#   make test-redis-clients  the tests that use Redis, with each version of redis-py that is supported
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
WIRE := tests/wire
SCHEMA := tests/schema
CLIENT := clients/typescript
PAGE := examples/flask_adapter/static/websocket-test
CLIENT_SOURCES := $(wildcard $(CLIENT)/src/*.ts $(CLIENT)/src/generated/*.ts $(CLIENT)/*.json)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
TYPED := asgi_realtime tests examples benchmarks clients
# Processes that run tests at the same time. With three on two cores, tests that wait for something within 20 s failed.
WORKERS ?= auto
# The tests start hundreds of Python processes. Each would compile all modules of this folder again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo demo-cluster demo-flask demo-django websocket-test test test-faults test-django test-redis-clients test-matrix test-five-minutes test-writers check check-deployment check-package lock release-notes format bench docs screenshots clean

setup: $(VENV)/dev.stamp $(WIRE)/node_modules/.stamp $(SCHEMA)/node_modules/.stamp benchmarks/node/node_modules/.stamp websocket-test

demo: $(VENV)/example.stamp
	@MEW_DEV=$${MEW_DEV:-true} exec $(BIN)/python -m examples.fastapi_app

demo-cluster: $(VENV)/example.stamp
	@exec $(BIN)/python -m examples.cluster

# Without Node there is no test page. Everything else works.
demo-flask: $(VENV)/example.stamp $(if $(shell command -v npm),websocket-test)
	@MEW_DEV=$${MEW_DEV:-true} WS_ALLOW_DEMO_TOKEN=$${WS_ALLOW_DEMO_TOKEN:-true} exec $(BIN)/python -m examples.flask_adapter

demo-django: $(VENV)/example.stamp
	@exec $(BIN)/python -m examples.django_app

# The Flask example's test page, and the client that the command-line version uses.
websocket-test: $(PAGE)/index.html $(CLIENT)/dist/index.js

test: setup
	@scripts/system-packages
	npm test --prefix $(CLIENT)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

# Tests of Redis in their long form: 10 s without it, 50 times without a connection, a rolling restart with 2,000 clients,
# 1,000 joins and leaves per second, 10,000 idle clients; recovery of 200 stock clients in three minutes of faults, and of
# 2,000 at a rolling restart; applications and contracts with TLS, Sentinel, a cluster and a restricted user; and 10,000
# idle clients through nginx.
test-faults: setup
	@scripts/system-packages
	FAULTS=long $(BIN)/pytest --numprocesses auto tests/faults tests/cluster tests/contracts tests/deployment tests/django

# The tests of Django with its newest version, which needs Python 3.12. The suite runs them with the version of .venv.
DJANGO ?= 6.1
test-django: setup
	@scripts/system-packages
	scripts/django-venv .cache/django/$(DJANGO) $(DJANGO)
	.cache/django/$(DJANGO)/bin/python -m pytest --numprocesses $(WORKERS) tests/django tests/test_example_django.py

# The tests that use redis-py, with each version that is supported.
REDIS_PY ?= 5.1 6.4 7 8.0.1 8.1
REDIS_PY_TESTS ?= tests/redis tests/contracts tests/presence tests/broker tests/cluster/test_connect.py \
  tests/socketio/test_redis_manager.py
test-redis-clients: setup
	@scripts/system-packages
	for version in $(REDIS_PY); do \
	  scripts/redis-py-venv .cache/redis-py/$$version $$version $(VENV); \
	  .cache/redis-py/$$version/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(REDIS_PY_TESTS); \
	done

# The pages of frameworks and of Django, and the tutorial, as they are printed: an empty folder, pip install, a message in
# the browser.
test-five-minutes: setup
	@scripts/system-packages
	FIVE_MINUTES=long $(BIN)/pytest tests/hosts/test_five_minutes.py tests/hosts/test_tutorial.py \
	  tests/django/test_page.py

# The suite with each Python that this machine has, with the newest dependencies and with the oldest: MATRIX="3.12 3.13".
test-matrix: setup
	@scripts/system-packages
	@WORKERS=$(WORKERS) scripts/test-matrix .cache/matrix $(MATRIX)

# Builds, checks and installs the wheel, the source distribution and the npm package. Leaves the first two, and their SBOM,
# in .cache/package/dist, and the third in .cache/package/npm.
check-package: $(CLIENT)/node_modules/.stamp
	@scripts/check-package .cache/package

# The newest dependencies that fit together, with their hashes.
lock: $(VENV)/dev.stamp
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --all-extras --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --output-file requirements.lock pyproject.toml

release-notes:
	@$(BIN)/python scripts/release_notes.py

# The files of examples/deployment, with hadolint, the Compose specification and the schemas of Kubernetes.
check-deployment:
	@scripts/check-deployment .cache/deployment

# The tests that need a server, with two other ways of writing: the package's protocol class, and only ASGI's `send`.
WRITER_TESTS ?= tests
test-writers: setup
	for server in WebSocketProtocol plain; do \
	  $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal --server $$server $(WRITER_TESTS); \
	done

check: $(VENV)/dev.stamp $(CLIENT)/node_modules/.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/python scripts/check_version.py
	npm run check --prefix $(CLIENT)

format: $(VENV)/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/bench.stamp benchmarks/node/node_modules/.stamp
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.recovery
	$(BIN)/python -m benchmarks.observability

# The documentation site, in .cache/site/html. A link that leads nowhere fails.
docs: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.site_pages .cache/site
	$(BIN)/zensical build --strict --config-file .cache/site/zensical.toml

# The pictures in docs/images, from the pages of the Mew example.
screenshots: $(VENV)/dev.stamp $(WIRE)/node_modules/.stamp
	@scripts/system-packages
	@PYTHONPATH=. scripts/screenshots $(BIN)/python docs/images

clean:
	rm -rf $(VENV) .cache $(WIRE)/node_modules $(SCHEMA)/node_modules $(CLIENT)/node_modules $(CLIENT)/dist $(PAGE) benchmarks/node/node_modules

$(BIN)/python:
	@scripts/make-venv $(VENV)

$(VENV)/example.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[fast]' --group example
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[fast,metrics,cli,flask,litestar,django]' --group dev
	@touch $@ $(VENV)/example.stamp

$(VENV)/bench.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[fast]' --group bench
	@touch $@

benchmarks/node/node_modules/.stamp: benchmarks/node/package.json benchmarks/node/package-lock.json
	npm ci --prefix benchmarks/node --no-audit --no-fund --loglevel=error
	@touch $@

$(CLIENT)/node_modules/.stamp: $(CLIENT)/package.json $(CLIENT)/package-lock.json
	npm ci --prefix $(CLIENT) --no-audit --no-fund --loglevel=error
	@touch $@

$(CLIENT)/dist/index.js: $(CLIENT_SOURCES) | $(CLIENT)/node_modules/.stamp
	npm run build --prefix $(CLIENT)
	@touch $@

$(PAGE)/index.html: $(CLIENT_SOURCES) $(wildcard $(CLIENT)/websocket-test/* $(CLIENT)/websocket-test/src/*) | $(CLIENT)/node_modules/.stamp
	npm run build:page --prefix $(CLIENT)

$(WIRE)/node_modules/.stamp: $(WIRE)/package.json $(WIRE)/package-lock.json
	npm ci --prefix $(WIRE) --no-audit --no-fund --loglevel=error
	@touch $@

$(SCHEMA)/node_modules/.stamp: $(SCHEMA)/package.json $(SCHEMA)/package-lock.json
	npm ci --prefix $(SCHEMA) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
