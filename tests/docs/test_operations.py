"""docs/operations.md: every command of the page is run against a daemon, and every setting that it names exists."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from journeys.rig import Ledger, connect, post, running

from nissa.config.check import written_leaves
from nissa.config.tree import Config

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
SYMPTOMS = "\n".join(row.split("|")[2] for row in PAGE.partition("## Symptoms")[2].splitlines() if row.startswith("|"))
COMMAND = re.compile(r"`((?:nissa|curl|cat|du) [^`]+)`")
ROUTING = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
API = "http://127.0.0.1:9471"
WORDS = {"NAME": "far", "alertmanager.yml": "alertmanager.yml", "/etc/nissa/": ""}


def test_settings_of_the_page_exist() -> None:
    """Each in backquotes with a dot, but for parts of answers and names to fill in."""
    settings = set(written_leaves(Config()))
    sections = {name.partition(".")[0] for name in settings}
    named = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", PAGE))
    answers = {"maintenance.clock", "database.sqlite"}
    assert {name for name in named if name.partition(".")[0] in sections} - settings - answers == set()


@pytest.mark.long
def test_commands_of_the_symptoms_run(tmp_path: Path) -> None:
    """None of them is misspelt: each exits with 0, or with 1 where that says that something is to be done."""
    (tmp_path / "alertmanager.yml").write_text(ROUTING)
    (tmp_path / "nissa.yaml").write_text("sinks: {far: {type: remote_write, url: 'http://127.0.0.1:9/write'}}\n")
    programs = {"nissa": f"{shlex.quote(sys.executable)} -m nissa.cli.main"}
    failed = []
    with running(tmp_path / "data", "--config", str(tmp_path / "nissa.yaml")) as daemon:
        ledger = Ledger(1)
        assert post(connect(daemon.ingest_url), ledger.body(ledger.claim())) == 204
        for command in dict.fromkeys(COMMAND.findall(SYMPTOMS)):
            shown = command.replace("/var/lib/nissa", str(daemon.directory)).replace(
                "http://127.0.0.1:9471", daemon.api_url
            )
            for word, value in WORDS.items():
                shown = shown.replace(word, value)
            program, _, rest = shown.partition(" ")
            api = f" --api {daemon.api_url}" if re.match(r"(doctor|mode|sinks|dead-letters)\b", rest) else ""
            rest = rest if rest != "size" else "size --series 10"
            line = f"{programs.get(program, program)} {rest}{api}"
            done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, env=os.environ)
            if done.returncode not in (0, 1) or (done.returncode and "doctor" not in line):
                failed.append((line, done.returncode, done.stdout[-200:], done.stderr[-300:]))
    assert failed == []
