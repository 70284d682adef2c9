"""Every notebook in examples/notebooks/ runs to its end, and what it tells is so.

One kernel runs them all, each in a folder of its own and with nothing of the one before: most of a
short notebook's time is the import of torch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from deployments import REPOSITORY
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

NOTEBOOKS = REPOSITORY / "examples" / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
README = (REPOSITORY / "README.md").read_text()


class OwnKernel(KernelSpecManager):
    """Knows one kernel, of this interpreter, whatever is installed for the machine's user."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookClient]:
    """A client of a running kernel that keeps its files in a folder of its own."""
    folder = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        manager = KernelManager(kernel_spec_manager=OwnKernel(parent=None))
        manager.start_kernel(cwd=str(folder))
        client = NotebookClient(new_notebook(), km=manager, timeout=120)
        yield client
        if client.kc is not None:
            client.kc.stop_channels()
        manager.shutdown_kernel(now=True)


class Played:
    """A notebook that has run, with what its cells show."""

    def __init__(self, name: str, kernel: NotebookClient, folder: Path, told: str) -> None:
        read = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        before = f"%reset -f\nimport os\nos.chdir({str(folder)!r})\ndel os"
        after = f"import json\nprint(json.dumps({told}))"
        read.cells = [new_code_cell(before), *read.cells, new_code_cell(after)]
        kernel.nb = read
        kernel.execute()
        *cells, last = read.cells
        self.told: Any = json.loads(last.outputs[-1].text)
        self.outputs = [output for cell in cells for output in cell.get("outputs", [])]
        self.pictures = [
            output.data["image/svg+xml"]
            for output in self.outputs
            if "image/svg+xml" in output.get("data", {})
        ]


def test_quickstart_uses_few_columns_and_writes_its_report(kernel, tmp_path):
    told = "[model.score(data.data, tumour), len(model.model_.features), model.verdict_.sentence]"
    played = Played("quickstart", kernel, tmp_path, told)
    accuracy, used, sentence = played.told
    assert accuracy > 0.95
    assert used < 30
    assert sentence.split(":")[0] in (tmp_path / "report.html").read_text()
    assert len(played.pictures) == 2


def test_own_data_finds_what_the_rows_were_drawn_from(kernel, tmp_path):
    told = "[dict(zip(model.model_.encoded_names_, model.coef_[0])), list(model.predict(new))]"
    coefficients, predicted = Played("own_data", kernel, tmp_path, told).told
    assert coefficients["age"] > 0
    assert coefficients["visits"] > 0
    assert coefficients["city=Oslo"] > max(coefficients["city=Bergen"], coefficients["noise"])
    assert (predicted[0], predicted[2]) == ("yes", "no")


def test_glmnets_path_starts_empty_and_its_strength_is_scikit_learns(kernel, tmp_path):
    told = (
        "[list(chosen.values()), along.iloc[0].abs().sum(), kept, list(model.model_.features),"
        " abs(by_lasso - by_ridgeway).max(), by_ridgeway.std()]"
    )
    played = Played("glmnet_users", kernel, tmp_path, told)
    (least, one_error), empty, kept, features, difference, spread = played.told
    assert least <= one_error
    assert empty == 0
    assert kept == features
    assert difference < spread / 3
    assert len(played.pictures) == 1


def test_deep_nets_find_the_columns_that_matter_and_beat_the_line(kernel, tmp_path):
    told = (
        "[list(features['name'][:4]), norms.loc[net.path_.best_strength].to_dict(),"
        " sealed.simplest, sealed.linear]"
    )
    played = Played("deep_nets", kernel, tmp_path, told)
    largest, norms, by_net, by_line = played.told
    matter = {"x0", "x1", "x2", "x3"}
    assert set(largest) == matter
    assert min(norms[name] for name in matter) > max(norms[name] for name in norms.keys() - matter)
    assert by_net > by_line + 0.2
    assert len(played.pictures) == 3


def test_from_optuna_reads_the_stored_study_and_learns_from_another(kernel, tmp_path):
    told = (
        "[len(stored.trials), stored.best_value, study.best_value, len(taught),"
        " len(warm.study_.trials), warm.job_.progress.complete]"
    )
    trials, stored, best, taught, ended, own = Played("from_optuna", kernel, tmp_path, told).told
    assert trials == 40
    assert stored == best
    assert (taught, ended, own) == (12, 32, 20)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_without_outputs(name):
    read = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)
    nbformat.validate(read)
    code = [cell for cell in read.cells if cell.cell_type == "code"]
    assert code
    assert [cell for cell in code if cell.outputs or cell.execution_count is not None] == []


@pytest.mark.parametrize("name", NAMES)
def test_readme_links_to_the_notebook_which_has_a_test(name):
    assert f"(examples/notebooks/{name}.ipynb)" in README
    assert f'Played("{name}"' in Path(__file__).read_text()
