"""Secrets in files, as containers get them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ridgeway.settings import SECRETS, Settings, refusals


@pytest.fixture(autouse=True)
def nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(f"RIDGEWAY_{name.upper()}", raising=False)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_lie_in_a_file_and_the_variable_wins(tmp_path, monkeypatch, name):
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.setenv(f"RIDGEWAY_{name.upper()}_FILE", str(tmp_path / "secret"))
    assert getattr(Settings(), name).get_secret_value() == "from the file"
    assert "from the file" not in repr(Settings())
    monkeypatch.setenv(f"RIDGEWAY_{name.upper()}", "from the variable")
    assert getattr(Settings(), name).get_secret_value() == "from the variable"


def test_a_file_that_can_not_be_read_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RIDGEWAY_API_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(ValidationError, match=r"RIDGEWAY_API_KEY_FILE: .*none can't be read"):
        Settings()
    (tmp_path / "none").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValidationError, match="is no text"):
        Settings()


def test_a_refused_setting_is_told_by_its_variable_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RIDGEWAY_PORT", "-1")
    with pytest.raises(ValidationError) as caught:
        Settings()
    [told] = refusals(caught.value)
    assert told.startswith("RIDGEWAY_PORT: ")
    monkeypatch.setenv("RIDGEWAY_DATABASE_URL_FILE", str(tmp_path / "none"))
    with pytest.raises(ValidationError) as caught:
        Settings()
    [told] = refusals(caught.value)
    assert told.startswith("RIDGEWAY_DATABASE_URL_FILE: ")


def test_only_secrets_are_wrapped_and_may_lie_in_files():
    wrapped = {
        name
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert wrapped == {*SECRETS}
