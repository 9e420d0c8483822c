# make demo      see it work: a small shop under a real systemd; make demo-down ends it
# make check     tests/unit: format, lint, types, units of code, golden files; 3 minutes on 2 cores
# make test      all that CI runs: these, and tests/system on real systemds in disposable machines; 25 minutes
# make test-all  these, and hours more: 200 random faults with each strategy, on each systemd and on a virtual
#                machine (FAULTS=… for another number, FAULT_SEED=… repeats a run), and a long load
# make test-oldest  the unit and golden tests, on the oldest libraries that pyproject.toml allows
# make locks     write packaging/locks anew, with the newest libraries that pyproject.toml allows
# make lint      format, lint, types and the rules of layout alone
#                TESTS=… names files or tests for any of them, as pytest takes them
# make bench     measurements, beside a peer where there is one
# make docs      write the generated pages of docs/ anew

.PHONY: demo demo-down check test test-all test-oldest locks lint bench docs venv

venv:
	@packaging/setup.sh

demo: venv
	@examples/demo.sh up

demo-down: venv
	@examples/demo.sh down

PYTEST = .venv/bin/pytest --numprocesses 3 --dist worksteal --durations 20

check:
	@packaging/setup.sh test
	$(PYTEST) -m unit $(TESTS)

test:
	@packaging/setup.sh test
	$(PYTEST) -m "unit or system" $(TESTS)

test-all:
	@packaging/setup.sh test
	$(PYTEST) $(TESTS)

test-oldest:
	@packaging/test-oldest.sh $(TESTS)

locks:
	@packaging/locks.sh

lint:
	@packaging/setup.sh test
	.venv/bin/pytest tests/unit/test_linters.py

bench:
	@packaging/setup.sh test
	.venv/bin/python -m tests.bench

docs: venv
	.venv/bin/python docs/generate.py
