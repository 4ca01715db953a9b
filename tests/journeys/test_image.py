"""The image, built without Docker: its instructions run in order over a copy of this machine's root, and it serves.

The base images are Debian with Python, as this machine is. NISSA_KIT=full runs it: it installs two environments.
"""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from journeys.test_kit import ROOT, instructions
from scripts.test_build_deb import INSIDE, can_overlay

# A root that cannot be written, an account without a name, and only /data and /tmp to write.
SERVE = """
mount -o remount,bind,ro / 2>/dev/null || mount --bind -o ro / /
mount -t tmpfs -o mode=1777 none /tmp
mount -t tmpfs -o uid=10001,gid=10001,mode=0750 none /data
cd /data
run="setpriv --reuid 10001 --regid 10001 --clear-groups --bounding-set -all --no-new-privs"
$run env PATH=/opt/nissa/bin:$PATH nissa-ingest >/tmp/out 2>/tmp/err &
daemon=$!
for _ in $(seq 600); do grep -q ready /tmp/out && break; sleep 0.1; done
for _ in $(seq 100); do $run python3 -c "$CHECK" && break; sleep 0.1; done
echo "== healthy $?"
curl -fs --data-binary 'room warmth=9.5' http://127.0.0.1:9470/write && echo "== stored"
curl -s -o /dev/null -w '== api %{http_code}\\n' http://127.0.0.1:9471/api/v1/labels
kill $daemon
wait $daemon
echo "== ended $?"
"""


def script() -> str:
    """The instructions of the Dockerfile as a script, then what the image does when it is started."""
    lines = ["set -eu", "cd /", "export PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    for word, rest in instructions():
        if word == "FROM":
            lines.append("cd /")
        elif word in ("ARG", "ENV") and "=" in rest:
            pairs = [part for part in shlex.split(rest) if "=" in part]
            lines += [f'export {name}="{value}"' for name, _, value in (part.partition("=") for part in pairs)]
        elif word == "WORKDIR":
            lines.append(f"mkdir -p {rest} && cd {rest}")
        elif word == "COPY" and not rest.startswith("--from"):
            source, target = rest.split()
            lines.append(f"mkdir -p $(dirname {target}) && cp -r /context/{source} {target}")
        elif word == "RUN":
            lines.append(rest)
        elif word == "HEALTHCHECK":
            check = rest[rest.index('"-c", "') + 7 : rest.rindex('"]')]
            lines.append(f"export CHECK={shlex.quote(check)}")
    return "\n".join(lines) + SERVE


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_image_is_built_and_serves(tmp_path: Path) -> None:
    """Every RUN succeeds; the daemon runs as a number on a root that is read-only, and its API asks for a login."""
    if os.environ.get("NISSA_KIT") != "full":
        pytest.skip("the image is NOT built: NISSA_KIT=full builds it without Docker, as root")
    if why := can_overlay():
        pytest.skip(f"the image is NOT built: {why}")
    context = tmp_path / "context"
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", "--output", str(tmp_path / "tree.tar"), "HEAD"]
    subprocess.run(command, check=True)
    context.mkdir()
    subprocess.run(["tar", "-xf", str(tmp_path / "tree.tar"), "-C", str(context)], check=True)
    built = ROOT / "build"  # as scripts/make-package: what was compiled from the same sources is not compiled again
    if (built / "inplace-mode").read_text().strip() == "release":
        (context / "build").mkdir()
        subprocess.run(["cp", "-a", built / "release", *built.glob("lib.*"), context / "build"], check=True)
    place = tmp_path / "overlay"
    place.mkdir()
    given = 'mkdir "$1/root/context"; mount --bind "$2" "$1/root/context"'
    inside = INSIDE.replace('cp "$2" "$1/root/nissa.deb"', given).replace("size=2g", "size=6g")
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", inside, "sh", str(place)]
    done = subprocess.run([*command, str(context), script()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("== ")]
    assert lines == ["== healthy 0", "== stored", "== api 401", "== ended 0"]
