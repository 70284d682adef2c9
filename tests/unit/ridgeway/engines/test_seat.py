"""A command is kept running, in order to the end, and outlives nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from ridgeway.engines.seat import Seat

# Tells its id and what it knows of Ray, and ends with its standard input.
WAITS = "import os, sys; print(os.getpid(), 'RAY_AUTH_TOKEN' in os.environ, file=open({!r}, 'a')); "
WAITS += "sys.stdin.read(); print('left', file=open({!r}, 'a'))"


def command(diary: Path) -> list[str]:
    diary.touch()
    return [sys.executable, "-c", WAITS.replace("{!r}", repr(str(diary)))]


def lines(diary: Path) -> list[list[str]]:
    return [line.split() for line in diary.read_text().splitlines()]


def test_a_command_that_dies_is_started_again_and_ends_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    diary = tmp_path / "diary"
    seat = Seat(command(diary))
    ((pid, knows_the_token),) = wait_until(lambda: lines(diary))
    assert knows_the_token == "False"
    os.kill(int(pid), 9)
    wait_until(lambda: len(lines(diary)) == 2)
    assert seat.last_code == -9
    seat.leave()
    assert lines(diary)[2:] == [["left"]]
    assert lines(diary)[1][0] != pid


def test_a_command_that_there_is_no_room_for_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    diary, refusals = tmp_path / "diary", [BlockingIOError(11, "no room for a process")]
    seat, whole = Seat(command(diary)), subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return whole(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    ((pid, _),) = wait_until(lambda: lines(diary))
    os.kill(int(pid), 9)
    wait_until(lambda: len(lines(diary)) == 2)
    assert not refusals
    seat.leave()


def test_its_children_are_known(tmp_path: Path):
    started = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); "
    started += f"print(p.pid, file=open({str(tmp_path / 'child')!r}, 'w'), flush=True); "
    seat = Seat([sys.executable, "-c", f"{started} sys.stdin.read(); p.kill(); p.wait()"])
    child = wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    assert seat.pids() == {int(child)}
    seat.leave()
    assert seat.pids() == frozenset()


def test_it_ends_with_its_owner_however_that_dies(tmp_path: Path):
    diary = tmp_path / "diary"
    owner = "import sys, time; from ridgeway.engines.seat import Seat; Seat(sys.argv[1:]); "
    owner += "time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", owner, *command(diary)]) as process:
        wait_until(lambda: lines(diary))
        process.kill()
    wait_until(lambda: ["left"] in lines(diary))
