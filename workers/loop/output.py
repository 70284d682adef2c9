"""What plug-ins print, up to a limit for each job: one that prints at every step fills the log.

Counted is what goes through Python's standard streams, and through loggers that are not ours. What
C code or other processes write to the descriptors themselves is not seen.
"""

from __future__ import annotations

import logging
import sys
from collections import OrderedDict
from typing import IO, Any

MOST_CHARACTERS = 2**16  # of a job, in one worker
JOBS = 100  # whose counts are kept


class Output(logging.Filter):
    """The output of the jobs that one worker turns to. job: the id of the one that it is at."""

    def __init__(self) -> None:
        super().__init__()
        self.job: str | None = None
        self._left: OrderedDict[str, int] = OrderedDict()

    def install(self) -> None:
        """Count what this process prints from now on, and what it logs."""
        for handler in logging.getLogger().handlers:
            handler.addFilter(self)
        sys.stdout, sys.stderr = _Counted(sys.stdout, self), _Counted(sys.stderr, self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record may be logged: ours always may."""
        if record.name.split(".")[0] == "ridgeway":
            return True
        kept = self.kept_of(record.getMessage())
        record.msg, record.args = kept, ()
        return bool(kept)

    def kept_of(self, text: str) -> str:
        """Return as much of a text as the job may still print; nothing from a limit on."""
        job = self.job
        if job is None:
            return text
        left = self._left.pop(job, MOST_CHARACTERS)
        self._left[job] = max(0, left - len(text))
        while len(self._left) > JOBS:
            self._left.popitem(last=False)
        if len(text) <= left:
            return text
        note = (
            f"\njob {job}: it has printed {MOST_CHARACTERS} characters; what follows is dropped\n"
        )
        return text[:left] + note if left else ""


class _Counted:
    """A text stream that passes on what a job may print."""

    def __init__(self, stream: IO[str], output: Output) -> None:
        self._stream, self._output = stream, output

    def write(self, text: str) -> int:
        if kept := self._output.kept_of(text):
            self._stream.write(kept)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
