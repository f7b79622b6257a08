"""Secrets by name, and a logging filter that keeps their values out of every log line.

A configuration names a secret as `{HALL_PASSWORD}`. The value is taken from the environment, from the folder of
systemd's LoadCredential= ($CREDENTIALS_DIRECTORY), from /run/secrets, or from a credentials file of `NAME=value` lines.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote, urlsplit

from falldet.errors import FalldetError

logger = logging.getLogger(__name__)

PLACEHOLDER = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")
MASK = "***"
MIN_LENGTH = 4
"""A shorter value can't be masked: it would occur in ordinary words."""


class Redactor(logging.Filter):
    """Masks the secrets that it knows, by value, in messages, arguments and tracebacks of log records."""

    def __init__(self) -> None:
        super().__init__()
        self._values: list[str] = []

    def learn(self, secret: str) -> None:
        """Mask `secret` from now on, as it is and as URLs and JSON write it."""
        if len(secret) < MIN_LENGTH:
            logger.warning(
                "a secret of fewer than %d characters can't be kept out of the log; use a longer one", MIN_LENGTH
            )
            return
        forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
        self._values = sorted({*self._values, *forms}, key=len, reverse=True)  # the longest first

    def redact(self, text: str) -> str:
        """Return `text` with every known secret masked."""
        for value in self._values:
            text = text.replace(value, MASK)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record in place, and let it pass."""
        record.msg, record.args = self.redact(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        if record.exc_text:
            record.exc_text, record.exc_info = self.redact(record.exc_text), None
        if record.stack_info:
            record.stack_info = self.redact(record.stack_info)
        return True

    def install(self) -> None:
        """Put this filter on every handler of the root logger."""
        for handler in logging.getLogger().handlers:
            if self not in handler.filters:
                handler.addFilter(self)


class Credentials:
    """Finds the values of named secrets, and teaches each to a redactor.

    Args:
        redactor: learns every value that is handed out.
        file: `NAME=value` lines; the last place where a name is looked up. Empty: none.
        environment: the process's own if not given.
        folders: files named like the secret; by default $CREDENTIALS_DIRECTORY and /run/secrets.

    Raises:
        FalldetError: the credentials file can't be read.
    """

    def __init__(
        self,
        redactor: Redactor,
        file: str | Path = "",
        environment: Mapping[str, str] | None = None,
        folders: Iterable[Path] | None = None,
    ) -> None:
        self._redactor = redactor
        self._environment = os.environ if environment is None else environment
        named = self._environment.get("CREDENTIALS_DIRECTORY")
        self._folders = [*([Path(named)] if named else []), Path("/run/secrets")] if folders is None else list(folders)
        self._lines = _read_credentials(Path(file)) if file else {}

    def fill(self, text: str, where: str, url: bool = False) -> str:
        """Return `text` with its `{NAME}` placeholders replaced.

        Args:
            text: may hold placeholders.
            where: the setting that `text` comes from, for the message.
            url: percent-encode the values, and take a literal password for a secret.

        Raises:
            FalldetError: a name has no value anywhere.
        """
        if url:
            self._learn_literal_password(text, where)

        def value_of(match: re.Match[str]) -> str:
            value = self._find(match[1], where)
            self._redactor.learn(value)
            return quote(value, safe="") if url else value

        return PLACEHOLDER.sub(value_of, text)

    def _find(self, name: str, where: str) -> str:
        if name in self._environment:
            return self._environment[name]
        for folder in self._folders:
            if (folder / name).is_file():
                return (folder / name).read_text(encoding="utf-8").rstrip("\r\n")
        if name in self._lines:
            return self._lines[name]
        raise FalldetError(
            f"{where} names the secret {name}, which has no value; set it in the environment or in a credentials file"
        )

    def _learn_literal_password(self, text: str, where: str) -> None:
        try:
            password = urlsplit(text).password
        except ValueError:
            return
        if password and not PLACEHOLDER.search(password):
            self._redactor.learn(unquote(password))
            self._redactor.learn(password)
            logger.warning(
                "%s holds a password in plain text; name it, as {CAMERA_PASSWORD}, and set that in the environment",
                where,
            )


def _read_credentials(path: Path) -> dict[str, str]:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise FalldetError(f"can't read the credentials file {path}: {reason}") from None
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        logger.warning("%s can be read by others; run: chmod 600 %s", path, path)
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not equals or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name.strip()):
            raise FalldetError(f"{path}:{number} is no NAME=value line; names are capitals, digits and _")
        values[name.strip()] = value.strip()
    return values
