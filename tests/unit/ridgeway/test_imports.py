"""What each part of the house brings into memory."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import ridgeway

ROOT = Path(__file__).parents[3]
HEAVY = ("alembic", "fastapi", "numpy", "optuna", "pandas", "pyarrow", "ray", "sqlalchemy", "torch")


def imported(statement: str) -> set[str]:
    """The top-level packages in memory after the statement, in a new process."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import ridgeway", "import ridgeway.errors"])
def test_the_package_alone_brings_nothing(statement: str) -> None:
    assert not imported(statement) & {*HEAVY, "httpx", "pydantic", "rich", "click"}


@pytest.mark.parametrize(
    "statement",
    [
        "from ridgeway import Client, JobSpec, JobFailed",
        "import ridgeway.client.client, ridgeway.client.show, ridgeway.demo",
        "import ridgeway.cli, ridgeway.host.serve, ridgeway.host.supervisor",
        "import ridgeway.engines.cluster, ridgeway.engines.local, ridgeway.engines.seat",
        "import ridgeway.spec.spec, ridgeway.views, ridgeway.spec.profiles, ridgeway.settings",
    ],
)
def test_clients_and_supervisors_stay_light(statement: str) -> None:
    assert not imported(statement) & {*HEAVY, "opentelemetry", "structlog"}


def test_the_commands_do_not_load_the_client_before_they_need_it() -> None:
    assert not imported("import ridgeway.cli, ridgeway.host.serve") & {"httpx", "rich", "structlog"}


def test_the_names_of_plots_bring_no_library_that_draws_and_nor_does_the_service() -> None:
    drawing = {"altair", "vl_convert", "sklearn", "pandas"}
    assert not imported("import ridgeway.plots.plots, ridgeway.plots.palette") & {*HEAVY, *drawing}
    assert not imported("import service.app") & drawing


def test_a_model_brings_numpy_and_safetensors_alone(tmp_path: Path) -> None:
    inputs = [{"name": "x", "source": "x", "mean": 1.0, "scale": 2.0}]
    words = {"outputs": "1", "classes": "[]", "target_mean": "0", "target_scale": "1"}
    words |= {"inputs": json.dumps(inputs), "spec": '{"model": {"kind": "linear"}, "task": "r"}'}
    words |= {"target": '{"name": "y", "kind": "number"}'}
    tensors = {"weight": np.ones((1, 1)), "bias": np.zeros(1)}
    save_file(tensors, tmp_path / "model", metadata=words)
    path = str(tmp_path / "model")
    loaded = imported(f"import ridgeway; print(ridgeway.load_model({path!r}).predict([[3]]))")
    assert "[1.]" in loaded  # printed: (3 - 1) / 2
    assert "numpy" in loaded
    assert not loaded & ({*HEAVY, "httpx", "sklearn"} - {"numpy"})


def test_without_numpy_a_model_says_what_to_install() -> None:
    told = imported(
        "sys.modules['numpy'] = None\nimport ridgeway\n"
        "try:\n    ridgeway.load_model(b'')\n"
        "except ridgeway.RidgewayError as error:\n    print(error)"
    )
    assert "'ridgeway[model]'." in told


def test_the_service_loads_neither_torch_nor_the_dashboard() -> None:
    assert not imported("import service.app") & {"torch", "sklearn", "optuna_dashboard"}


def test_estimators_load_the_workers_with_the_first_fit() -> None:
    assert not imported("import ridgeway.sklearn, ridgeway.local.search") & {"torch", "workers"}


def test_every_public_name_is_there() -> None:
    for name in ridgeway.__all__:
        assert getattr(ridgeway, name).__name__ == name


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'ridgeway' has no attribute 'Klient'"):
        ridgeway.Klient  # noqa: B018 - the look-up is what is tested


def _uses_optuna_storages(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        if any(name.startswith("optuna.storages") for name in names):
            return True
    return False


def test_nobody_else_opens_optunas_storage() -> None:
    ours = [
        path for part in ("ridgeway", "service", "workers") for path in (ROOT / part).rglob("*.py")
    ]
    knowing = {str(path.relative_to(ROOT)) for path in ours if _uses_optuna_storages(path)}
    # `migrate` creates Optuna's tables through Optuna's own storage, an import reads another
    # database through it, and the dashboard is handed one; every other statement on them goes
    # through optuna_tables.
    assert "ridgeway/study/optuna_tables.py" in knowing
    assert knowing <= {
        "ridgeway/study/optuna_tables.py",
        "ridgeway/database/schema.py",
        "ridgeway/study/imports.py",
        "service/dashboard.py",
    }
