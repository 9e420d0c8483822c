"""Every module has a test file of its name, or stands below with what tests it instead."""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "omnitron"

TESTED_ELSEWHERE = {
    # Programs, which are run whole.
    "__main__.py": "all of tests/system and tests/unit/cli/test_exit_codes.py run it",
    "version.py": "one constant; tests/unit/test_linters.py builds the wheel with it",
    "cli/main.py": "tests/unit/cli/test_exit_codes.py runs it for every kind of error",
    "cli/changes.py": "tests/system/test_install.py reads what plan prints",
    "cli/job_results.py": "tests/system/test_verbs.py starts and stops what fails, too",
    "cli/selection.py": "tests/unit/policy/test_store.py tests the addresses, tests/system/test_verbs.py the verbs",
    "cli/verbs/dev.py": "up, logs and down in turn, which tests/system/test_verbs.py and tests/system/test_logs.py run",
    "cli/verbs/disable.py": "tests/system/test_install.py runs it",
    "cli/verbs/doctor.py": "tests/system/test_doctor.py runs it",
    "cli/verbs/down.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/enable.py": "tests/system/test_install.py runs it",
    "cli/verbs/env.py": "tests/system/test_environment.py runs it",
    "cli/verbs/exec.py": "tests/system/test_host.py runs it",
    "cli/verbs/generate.py": "tests/system/test_install.py runs it",
    "cli/verbs/graph.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/health.py": "tests/system/test_health.py runs it",
    "cli/verbs/infra.py": "tests/system/test_infra.py runs it",
    "cli/verbs/init.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/inspect.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/list.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/maintenance.py": "tests/system/test_gateway.py runs it",
    "cli/verbs/metrics.py": "tests/system/test_metrics.py runs it",
    "cli/verbs/plan.py": "tests/system/test_install.py runs it",
    "cli/verbs/reload.py": "tests/system/test_host.py runs it",
    "cli/verbs/reset.py": "tests/system/test_supervision.py runs it",
    "cli/verbs/restart.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/sandbox.py": "tests/system/test_sandbox.py runs it",
    "cli/verbs/scale.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/secret.py": "tests/system/test_secrets.py runs it",
    "cli/verbs/start.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/status.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/stop.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/top.py": "tests/system/test_metrics.py runs it",
    "authority/accounts.py": "tests/unit/authority/test_files.py names owners with and without an account",
    "cli/verbs/trust.py": "tests/system/test_trust.py runs it",
    "cli/verbs/up.py": "tests/system/test_verbs.py runs it",
    "cli/verbs/validate.py": "tests/system/test_doctor.py runs it",
    "cli/verbs/why.py": "tests/system/test_watcher.py runs it",
    "cli/verbs/imports.py": "tests/unit/importers/test_command.py runs it",
    "host/__main__.py": "tests/system/test_host.py runs it whole",
    "host/main.py": "tests/system/test_host.py runs it whole",
    "host/process.py": "tests/system/test_host.py and tests/system/test_host_rows.py run it whole",
    "programs/containers/*.py": "tests/system/test_containers.py and tests/system/test_presets.py run them",
    "programs/secrets/*.py": "tests/system/test_secrets.py and tests/system/test_user_scope.py run them as units",
    "programs/servers/*.py": "tests/system/test_infra.py and tests/system/test_gateway.py run the real servers",
    "sandbox/boot.py": "tests/system/test_sandbox.py boots machines with it, and some that cannot be booted",
    "sandbox/cgroup.py": "tests/system/test_sandbox.py looks for what it leaves behind",
    "sandbox/debian.py": "tests/system/test_sandbox.py runs it, with another mmdebstrap, too",
    "sandbox/machine.py": "tests/system/test_sandbox.py runs it whole",
    "supervision/helpers/run_as_service.py": "tests/system/test_run.py runs it: `omnitron exec` of a command",
    "watcher/__main__.py": "tests/system/test_watcher.py runs it whole",
    "watcher/daemon.py": "tests/system/test_watcher.py runs it whole",
    "watcher/stack_supervisor.py": "tests/system/test_watcher.py runs it; it decides by decisions.py",
    "watcher/bus_publisher.py": "tests/system/test_bus.py asks it on a real bus",
    "watcher/metrics/collector.py": "tests/system/test_metrics.py reads what it has collected",
    "cli/options.py": "tests/system/test_user_scope.py and tests/system/test_verbs.py run verbs in both scopes",
    "cli/progress.py": "tests/system/test_verbs.py reads what up prints meanwhile",
    "cli/stack_report.py": "tests/system/test_verbs.py brings up what is healthy and what is not",
    "cli/verbs/logs.py": "tests/system/test_logs.py runs it",
    "cli/verbs/run.py": "tests/system/test_run.py runs it",
    "operations/boot.py": "tests/system/test_install.py enables and disables stacks",
    "operations/changes.py": "tests/system/test_install.py plans on a real systemd",
    "operations/down.py": "tests/system/test_verbs.py and tests/system/test_containers.py end and remove stacks",
    "operations/events.py": "values",
    "operations/host_facts/*.py": "tests/unit/operations/test_host_facts.py gathers them all",
    "operations/infra.py": "tests/system/test_infra.py asks and resets real servers",
    "operations/inspect.py": "tests/system/test_verbs.py inspects what has crashed",
    "operations/install.py": "tests/system/test_install.py installs, two at once, killed midway",
    "operations/job_runner.py": "tests/system/test_verbs.py runs jobs that fail, too",
    "operations/maintenance.py": "tests/system/test_gateway.py switches it",
    "operations/planning.py": "tests/unit/cli/test_exit_codes.py plans with each verb",
    "operations/secret*.py": "tests/system/test_secrets.py sets, rotates and deletes them",
    "operations/status.py": "tests/system/test_verbs.py and tests/system/test_user_scope.py: both managers",
    "operations/up.py": "tests/system/test_verbs.py brings stacks up",
    "operations/why.py": "tests/system/test_watcher.py asks why; tests/unit/observe/test_diagnosis.py has the causes",
    # What asks a real systemd or a real server, and has nothing to decide.
    "gateway/maintenance.py": "tests/system/test_gateway.py switches it in a real Redis",
    "operations/jobs.py": "tests/system/test_verbs.py waits for real jobs",
    "operations/reset_budget.py": "tests/system/test_verbs.py and tests/system/test_supervision.py reset budgets",
    "operations/watcher_client.py": "tests/unit/watcher/test_http_server.py asks with it",
    "supervision/notify.py": "tests/system/test_watcher.py and tests/system/test_host.py are Type=notify services",
    "systemd/bus*.py": "tests/system/test_bus.py uses them on a real bus",
    "systemd/foreground.py": "tests/system/test_run.py runs it in a terminal and without one",
    "systemd/invocations.py": "tests/system/test_supervision.py reads the exits of real services",
    "systemd/local.py": "tests/unit/cli/test_exit_codes.py: no systemd; tests/system/test_user_scope.py: a user's",
    "systemd/manager.py": "tests/system/test_verbs.py and tests/system/test_watcher.py use it on a real bus",
    "systemd/systemctl.py": "tests/system/test_verbs.py: status of real units",
    # Models and pure parts that are tested through the one function which all of them serve.
    "definition/a*.py": "tests/unit/definition/test_fields.py, tests/unit/definition/test_defaults.py",
    "definition/check.py": "tests/unit/definition/test_problems.py and tests/unit/definition/test_topology.py",
    "definition/d*.py": "tests/unit/definition/test_defaults.py and tests/unit/planner/test_service.py",
    "definition/ecosystem.py": "tests/unit/definition/test_defaults.py and tests/unit/definition/test_problems.py",
    "definition/infrastructure.py": "tests/unit/definition/test_defaults.py and tests/unit/infra/test_resolve.py",
    "definition/loader.py": "tests/unit/definition/test_formats.py and tests/unit/definition/test_lookup.py",
    "definition/process.py": "tests/unit/definition/test_fields.py",
    "definition/salvage.py": "tests/unit/definition/test_problems.py: every problem at once",
    "definition/schema.py": "tests/unit/test_linters.py: fields and pages",
    "definition/source.py": "tests/unit/definition/test_bad_input.py",
    "definition/python/*.py": "tests/unit/definition/test_evaluate.py runs them as a definition's own process",
    "gateway/openresty.py": "tests/unit/infra/test_resolve.py and tests/system/test_gateway.py, on a real nginx",
    "gateway/routes.py": "tests/unit/infra/test_resolve.py and tests/system/test_gateway.py, on a real nginx",
    "host/config_files.py": "tests/unit/host/test_config.py",
    "host/rpc/calls.py": "tests/unit/host/test_dispatch.py",
    "host/rpc/errors.py": "tests/unit/host/test_dispatch.py",
    "importers/compose/interpolate.py": "tests/unit/importers/test_dotenv.py",
    "importers/compose/*.py": "tests/unit/importers/test_compose_importer.py imports whole files",
    "importers/pm2/*.py": "tests/unit/importers/test_pm2_importer.py imports whole files",
    "importers/document.py": "tests/unit/importers/test_emit.py",
    "importers/fields.py": "tests/unit/importers/test_any_data.py: data of every shape",
    "importers/host_files.py": "tests/unit/importers/test_compose_importer.py and tests/unit/importers/test_awful.py",
    "importers/report.py": "tests/unit/importers/test_golden.py: the whole report",
    "importers/scalars.py": "tests/unit/importers/test_awful.py and tests/unit/importers/test_any_data.py",
    "infra/*.py": "tests/unit/infra/test_resolve.py and tests/unit/infra/test_presets.py resolve whole stacks",
    "definition/p*.py": "tests/unit/definition/test_lookup.py and tests/unit/definition/test_defaults.py",
    "observe/host_checks/*.py": "tests/unit/observe/host_checks runs each check on hosts of several kinds",
    "planner/questions.py": "tests/unit/operations/test_host_facts.py answers what it asks",
    "planner/checks/ports.py": "tests/unit/infra/test_ports.py and tests/unit/planner/test_plan.py",
    "planner/checks/unit_names.py": "tests/unit/planner/test_accounts.py",
    "planner/facts.py": "values; tests/unit/planner/test_plan.py plans with them",
    "planner/policy.py": "tests/unit/policy/test_store.py: what is written is what is read",
    "planner/resolve/*.py": "tests/unit/planner/test_process.py and tests/unit/planner/test_plan.py",
    "planner/spec_files.py": "values; tests/unit/planner/test_host_spec.py",
    "planner/units/health_sweep.py": "tests/unit/supervision/test_health_sweep.py runs what it plans",
    "planner/units/*.py": "tests/unit/render/test_golden.py: each kind of unit, as it is written",
    "policy/addresses.py": "tests/unit/policy/test_store.py",
    "policy/server_specs.py": "tests/unit/policy/test_codec.py: every document survives the round trip",
    "policy/model.py": "tests/unit/policy/test_store.py",
    "render/files.py": "tests/unit/render/test_golden.py: all files of a stack",
    "render/gateway.py": "tests/unit/render/test_golden.py: nginx.conf",
    "secrets/generated.py": "tests/system/test_infra.py: passwords that nobody gave",
    "secrets/*_store.py": "tests/unit/secrets/test_store.py: one set of tests for both",
    "supervision/probes.py": "tests/unit/supervision/test_readiness_probe.py, against servers of every kind",
    "supervision/state/probes.py": "tests/unit/supervision/test_health_sweep.py",
    "supervision/state/health_results.py": "tests/unit/supervision/test_health_sweep.py",
    "supervision/state/operator_stop.py": "tests/unit/operations/test_operator_stop.py",
    "supervision/state/run_notes.py": "tests/unit/supervision/test_count_crash.py",
    "supervision/state/trusted_files.py": "tests/unit/supervision/test_crash_record.py: links, owners, modes",
    "watcher/autoscaler/autoscaler.py": "tests/unit/watcher/test_autoscaler_rules.py and tests/system/test_scaling.py",
    "watcher/crash_events.py": "tests/unit/watcher/test_decisions.py",
    "watcher/metrics/pending_calls.py": "tests/unit/watcher/test_autoscaler_rules.py",
    "watcher/metrics/sampler.py": "tests/unit/watcher/test_exposition.py",
    "watcher/stack_view.py": "tests/unit/watcher/test_decisions.py",
    "watcher/watch/patterns.py": "tests/unit/watcher/test_inotify.py",
}
"""By pattern of modules: the first that fits counts."""

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
SAME_NAME = Counter((module.parts[0], module.stem) for module in MODULES)


def own_tests(module: Path) -> list[Path]:
    """The test files of a module: of its name, with its package's in front where the part has two of that name."""
    *folders, _ = module.parts
    names = {f"test_{folders[-1]}_{module.stem}.py"} if folders else set()
    if len(folders) <= 1 or SAME_NAME[module.parts[0], module.stem] == 1:
        names.add(f"test_{module.stem}.py")
    place = TESTS / "unit" / folders[0] if folders else TESTS / "unit"
    files = place.rglob("test_*.py") if folders else place.glob("test_*.py")
    return [path for path in files if path.name in names]


def pattern_of(module: Path) -> str | None:
    return next((pattern for pattern in TESTED_ELSEWHERE if fnmatch(str(module), pattern)), None)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_a_test(module: Path) -> None:
    name = f"tests/unit/{module.parts[0]}/test_{module.stem}.py" if len(module.parts) > 1 else f"test_{module.stem}.py"
    assert own_tests(module) or pattern_of(module), f"write {name}, or say in TESTED_ELSEWHERE what tests it"


def test_what_is_tested_elsewhere_is_there_and_has_no_test_of_its_own() -> None:
    used = {pattern_of(module) for module in MODULES if not own_tests(module)}
    assert used - {None} == set(TESTED_ELSEWHERE)
    for reason in TESTED_ELSEWHERE.values():
        named = re.findall(r"tests/[a-z0-9_/]+(?:\.py)?", reason)
        assert (named or reason.startswith("values")) and all((TESTS.parent / path).exists() for path in named), reason
