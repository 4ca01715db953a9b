"""The Debian package: built, installed by dpkg over a copy of this machine's root, run, removed and purged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEBIAN_PYTHON = Path("/usr/bin/python3")
# Changes of the package stay in memory, over the root of this machine, in a mount namespace of their own.
INSIDE = """
set -eu
mount -t tmpfs -o size=2g none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
for room in proc dev; do mount --rbind "/$room" "$1/root/$room"; done
cp "$2" "$1/root/nissa.deb"
exec chroot "$1/root" sh -eu -c "$3"
"""
LIFE = """
cd /
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
say() { echo "== $*"; }
dpkg --force-depends -i /nissa.deb >/dev/null
say "$(nissa --version)" "$(stat -c '%U %a' /var/lib/nissa)" "$(stat -c '%U:%G %a' /etc/nissa/nissa.yaml)"
nissa config check /etc/nissa/nissa.yaml
nissa-ingest --version
as_nissa="setpriv --reuid nissa --regid nissa --init-groups"
ports="--ingest 127.0.0.1:0 --api 127.0.0.1:0"
$as_nissa nissa-ingest --config /etc/nissa/nissa.yaml $ports >/tmp/out 2>/tmp/err &
daemon=$!
for _ in $(seq 600); do grep -q ready /tmp/out && break; sleep 0.1; done
ingest=$(sed -n 's/.*ingest=\\([^ ]*\\).*/\\1/p' /tmp/out)
curl -fs --data-binary 'room,place=cellar warmth=9.5' "$ingest/write"
kill $daemon
wait $daemon
$as_nissa nissa export /var/lib/nissa --match room_warmth
echo "# mine" >>/etc/nissa/nissa.yaml
dpkg --force-depends -i /nissa.deb >/dev/null
say "$(grep -c mine /etc/nissa/nissa.yaml) kept"
dpkg -r nissa >/dev/null
say "$(ls /etc/nissa)" "$(ls /var/lib/nissa | grep -cx catalogue.sqlite)" "$(ls -d /usr/lib/nissa 2>/dev/null | wc -l)"
dpkg -P nissa >/dev/null
say "$(ls -d /etc/nissa /var/lib/nissa 2>/dev/null | wc -l)" left
"""


def can_overlay() -> str:
    """Why the package cannot be installed here; empty where it can."""
    if os.getuid() != 0:
        return "needs root"
    for program in ("dpkg-deb", "unshare", "chroot", "setpriv", "curl"):
        if shutil.which(program) is None:
            return f"{program} is missing"
    if not DEBIAN_PYTHON.exists():
        return f"{DEBIAN_PYTHON} is missing"
    version = subprocess.run([DEBIAN_PYTHON, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    if version.split(".")[:2] != [str(part) for part in sys.version_info[:2]]:
        return f"compiled for another Python than Debian's {version}"
    return ""


@pytest.mark.slow
def test_the_package_is_installed_run_and_purged(tmp_path: Path) -> None:
    """With an account of its own; settings survive an upgrade and a removal, data a removal; a purge leaves nothing."""
    if why := can_overlay():
        pytest.skip(f"the Debian package is NOT tested: {why}")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    environment = {**os.environ, "DEB_COMPRESSION": "none", "DEB_PIP": f"{Path(sys.executable).parent}/pip"}
    command = [str(ROOT / "scripts" / "build-deb"), str(tmp_path), str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    package = built.stdout.strip()
    facts = subprocess.run(["dpkg-deb", "-f", package], capture_output=True, text=True, check=True).stdout
    assert "Depends: python3 (>= 3." in facts
    place = tmp_path / "overlay"
    place.mkdir()
    spaces = ["--mount", "--pid", "--fork", "--kill-child"]
    inside = ["unshare", *spaces, "sh", "-c", INSIDE, "sh", str(place), package, LIFE]
    done = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=240)
    if "mount" in done.stderr and done.returncode == 32:
        pytest.skip(f"the Debian package is NOT installed: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("== ")]
    assert lines[0].split()[3:] == ["nissa", "750", "root:nissa", "640"]
    assert lines[1:] == ["== 1 kept", "== nissa.yaml 1 0", "== 0 left"]
    assert '"room_warmth","place":"cellar"' in done.stdout
