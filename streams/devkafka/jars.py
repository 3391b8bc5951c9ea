"""Apache Kafka's jars from Maven Central, fetched once into the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "4.3.1"
_POM = Path(__file__).with_name("pom.xml")
_FETCH_TIMEOUT = 600


class DevKafkaUnavailable(RuntimeError):
    """No Kafka can be had on this machine; the text says what is missing."""


def java() -> str:
    """Path of the Java launcher."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("java")
    if found is None:
        raise DevKafkaUnavailable("there is no Java: install Java 17 or newer (Debian: openjdk-17-jre-headless)")
    return found


def fetch_jars() -> Path:
    """The folder with the jars; Maven brings them the first time. Parallel callers wait for the first one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamgauge" / f"kafka-{VERSION}"
    jars = cache / "lib"
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "fetch.lock"):
        if not jars.is_dir():
            _copy_dependencies(cache, jars)
    return jars


def _copy_dependencies(cache: Path, jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise DevKafkaUnavailable("there is no Maven (mvn) to fetch Apache Kafka with: install it (Debian: maven)")
    partial = cache / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    command = [
        *(maven, "-B", "-ntp", "-q", "-f", str(_POM), "dependency:copy-dependencies"),
        *("-DincludeScope=runtime", f"-DoutputDirectory={partial}"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise DevKafkaUnavailable(f"Maven did not bring Apache Kafka within {_FETCH_TIMEOUT} s") from error
    if done.returncode != 0:
        raise DevKafkaUnavailable(f"Maven could not bring Apache Kafka {VERSION}: {_last_line(done.stdout)}")
    partial.rename(jars)  # all or nothing: an interrupted fetch leaves no `lib`


def _last_line(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("[ERROR]")]
    return errors[0] if errors else "it gave no reason"


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock between processes; the kernel lets go of it when its holder dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
