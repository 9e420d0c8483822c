# make demo   see it work: a small shop under a real systemd; make demo-down ends it
# make test   every check: format, lint, types, unit, golden and system tests
# make test-vm  those of them that need a whole machine with cgroup v2: user-mode Linux
# make test-faults  200 random faults with each strategy, on a stack of 20: on each systemd, and on a whole machine
# make test-oldest  the unit and golden tests, on the oldest libraries that pyproject.toml allows
# make locks  write packaging/locks anew, with the newest libraries that pyproject.toml allows
# make bench  measurements, beside a peer where there is one
# make docs   write the generated pages of docs/ anew

.PHONY: demo demo-down test test-vm test-faults test-oldest locks lint bench docs venv

venv:
	@packaging/setup.sh

demo: venv
	@examples/demo.sh up

demo-down: venv
	@examples/demo.sh down

test:
	@packaging/setup.sh test
	.venv/bin/pytest --numprocesses 3 --dist worksteal $(TESTS)

test-vm:
	@packaging/setup.sh test
	.venv/bin/pytest tests/system/test_vm.py

test-faults:
	@packaging/setup.sh test
	FAULTS=200 .venv/bin/pytest --timeout 7200 tests/system/test_faults.py tests/system/test_vm.py -k faults

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
