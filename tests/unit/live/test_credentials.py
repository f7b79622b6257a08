"""Secrets by name, and a log without their values."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.live.credentials import Credentials, Redactor

SECRET = 'p@ss/w:rd é"%'


@pytest.fixture
def logged() -> tuple[logging.Logger, Redactor, io.StringIO]:
    """A logger of its own with the redactor on its handler."""
    stream, redactor = io.StringIO(), Redactor()
    handler = logging.StreamHandler(stream)
    handler.addFilter(redactor)
    logger = logging.Logger("secret-test", logging.DEBUG)
    logger.addHandler(handler)
    return logger, redactor, stream


def test_redactor_masks_messages_arguments_and_tracebacks(logged: tuple[logging.Logger, Redactor, io.StringIO]) -> None:
    logger, redactor, stream = logged
    source = Credentials(redactor, environment={"HALL": SECRET}).fill("rtsp://u:{HALL}@host/x", "here", url=True)
    logger.debug("opening %s", source)
    logger.info("raw %s and %r", SECRET, {"password": SECRET})
    try:
        raise ValueError(f"can't open {source} with {SECRET}")
    except ValueError:
        logger.exception("failed")
    text = stream.getvalue()
    assert "p%40ss" not in text
    assert "p@ss" not in text
    assert text.count("***") >= 5


def test_credentials_fill_quotes_what_goes_into_a_url() -> None:
    credentials = Credentials(Redactor(), environment={"HALL": SECRET})
    assert credentials.fill("rtsp://u:{HALL}@h/x", "here", url=True) == "rtsp://u:p%40ss%2Fw%3Ard%20%C3%A9%22%25@h/x"
    assert credentials.fill("{HALL}", "here") == SECRET


def test_credentials_look_in_environment_then_folders_then_file(tmp_path: Path) -> None:
    (tmp_path / "A_NAME").write_text("from-folder\n")
    file = tmp_path / "file"
    file.write_text("# comment\n\nA_NAME=from-file\nB_NAME = other-value\n")
    file.chmod(0o600)
    in_folder = Credentials(Redactor(), file, {}, [tmp_path])
    assert in_folder.fill("{A_NAME} {B_NAME}", "here") == "from-folder other-value"
    in_environment = Credentials(Redactor(), file, {"A_NAME": "from-environment"}, [tmp_path])
    assert in_environment.fill("{A_NAME}", "here") == "from-environment"
    by_systemd = Credentials(Redactor(), environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert by_systemd.fill("{A_NAME}", "here") == "from-folder"


def test_credentials_name_a_secret_without_a_value() -> None:
    with pytest.raises(
        FalldetError, match="the source of camera hall names the secret HALL_PASSWORD, which has no value"
    ):
        Credentials(Redactor(), environment={}, folders=[]).fill("{HALL_PASSWORD}", "the source of camera hall")


def test_credentials_warn_of_a_literal_password_and_mask_it(caplog: pytest.LogCaptureFixture) -> None:
    redactor = Redactor()
    with caplog.at_level(logging.WARNING):
        Credentials(redactor, environment={}).fill("rtsp://u:hunter2hunter@h/x", "the source of camera hall", url=True)
    assert "plain text" in caplog.text
    assert "hunter2" not in caplog.text
    assert redactor.redact("hunter2hunter") == "***"


def test_credentials_warn_of_a_file_that_others_can_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "file"
    file.write_text("A=value")
    file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        Credentials(Redactor(), file, {})
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize("text", ["no equals sign", "lower=x"])
def test_credentials_refuse_a_line_that_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(FalldetError, match=":1 is no NAME=value line"):
        Credentials(Redactor(), file, {})
    with pytest.raises(FalldetError, match="can't read the credentials file"):
        Credentials(Redactor(), tmp_path / "nothing", {})
