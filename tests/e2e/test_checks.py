"""Real nginx as the check: a configuration that it refuses is never live, and the fix flows by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.harness import TARGET, Node, Pair, paired, wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("nginx")]

MAIN = """
pid {scratch}/nginx.pid;
events {{ worker_connections 16; }}
http {{
    access_log off;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    include conf.d/*.conf;
}}
"""
GOOD = "server {{ listen 127.0.0.1:{port}; server_name {name}; }}\n"
BROKEN = "server { lisen 80; api_token hunter2; }\n"


class Nginx:
    """A pair whose failover node checks with nginx and reloads by noting that it did."""

    def __init__(self, folder: Path) -> None:
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.runs, self.reloads = folder / "runs", folder / "reloads"
        conf = folder / "failover" / "root" / "nginx.conf"
        check = ["/bin/sh", "-c", f'echo x >> {self.runs}; exec nginx -t -q -e stderr -c "$SYNCER_ROOT/nginx.conf"']
        reload = ["/bin/sh", "-c", f'echo "$SYNCER_GENERATION" >> {self.reloads}']
        self.tables = f"check = {_toml(check)}\nreload = {_toml(reload)}\n"
        self.conf = conf

    def count(self) -> int:
        return len(self.runs.read_text()) // 2 if self.runs.exists() else 0

    def write_main(self, production: Node) -> None:
        (production.root / "conf.d").mkdir(exist_ok=True)
        production.put("nginx.conf", MAIN.format(scratch=self.scratch))


def _toml(words: list[str]) -> str:
    return "[" + ", ".join(f"'''{word}'''" for word in words) + "]"


@pytest.fixture
def nginx(tmp_path: Path) -> Nginx:
    return Nginx(tmp_path)


@pytest.fixture
def pair(tmp_path: Path, nginx: Nginx) -> Iterator[Pair]:
    with paired(tmp_path, domain=nginx.tables, target="start_services = true\n") as found:
        nginx.write_main(found.production)
        save(found, "one", GOOD.format(port=8081, name="one"))
        found.wait_synced()
        found.wait_equal()
        yield found


def save(pair: Pair, name: str, text: str) -> None:
    """Save a site in one step: each state that is checked must be one that was meant."""
    pair.production.put(f"conf.d/{name}.conf", text)


@contextmanager
def watched(root: Path) -> Iterator[list[bytes]]:
    """Read every file of the live tree again and again, as fast as it goes; yields the broken ones seen."""
    seen: list[bytes] = []
    stop, reads = threading.Event(), [0]

    def read() -> None:
        while not stop.is_set():
            for path in (root / "nginx.conf", *(root / "conf.d").glob("*.conf")):
                try:
                    data = path.read_bytes()
                except FileNotFoundError:
                    continue
                reads[0] += 1
                if b"lisen" in data:
                    seen.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join()
    assert reads[0] > 100


def refused(pair: Pair) -> None:
    pair.wait_for(lambda stream: stream["state"] == "suspended" and "lisen" in stream["reason"], "the check refused")


def test_guarantee_14_a_configuration_that_its_check_refuses_is_never_live(pair: Pair, nginx: Nginx) -> None:
    live = pair.failover.root
    generation = pair.production.stream()["generation"]
    with watched(live) as seen:
        save(pair, "one", BROKEN)
        refused(pair)
        # What comes along with it waits, too: it is one state of the tree.
        runs = nginx.count()
        save(pair, "two", GOOD.format(port=8082, name="two"))
        (pair.production.root / "more").mkdir()
        wait_until(lambda: nginx.count() > runs, 60, "the newer state was checked")
        pair.production.cli("wait", "--synced", "--timeout", "1s", check=4)
        assert not (live / "conf.d/two.conf").exists()
        assert (live / "conf.d/one.conf").read_text() == GOOD.format(port=8081, name="one")
        save(pair, "one", GOOD.format(port=8083, name="fixed"))
        pair.wait_equal()
        pair.wait_synced()
    assert seen == []
    stream = pair.production.stream()
    assert (stream["state"], stream["reason"]) == ("streaming", "")
    assert stream["generation"] == generation + 1
    # Its end was told once: that a newer state was tried is none.
    assert len(pair.production.told("target.resumed")) == 1
    assert not list((live.parent / ".syncer").rglob("conf.d"))


@pytest.mark.soak
def test_the_same_state_is_checked_once_and_again_when_a_person_asks(pair: Pair, nginx: Nginx) -> None:
    runs = nginx.count()
    save(pair, "one", BROKEN)
    refused(pair)
    pair.production.cli("wait", "--synced", "--timeout", "1s", check=4)
    pair.failover.kill()
    pair.failover.start()
    refused(pair)
    assert nginx.count() == runs + 1
    answer = pair.production.json("snapshot", TARGET, expected=(4,))
    assert "nginx -t" in answer["targets"][0]["domains"][0]["error"]
    assert nginx.count() == runs + 2
    refused(pair)


def test_both_nodes_say_why_and_neither_says_secrets(pair: Pair) -> None:
    save(pair, "one", BROKEN.replace("lisen 80", 'error_log "lisen token=hunter2"'))
    stream = pair.wait_for(lambda stream: stream["state"] == "suspended", "the check refused")
    assert "conf.d/one.conf" in stream["reason"]
    [domain] = pair.failover.status()["domains"]
    assert domain["check"]["exit"] == "1"
    assert "conf.d/one.conf" in domain["check"]["output"]
    for node in (pair.production, pair.failover):
        [told] = node.told("check.failed")
        assert told["exit"] == "1"
        assert "hunter2" not in str(told)
        assert "hunter2" not in node.log.read_text() + str(node.status())


def test_services_are_reloaded_after_a_passed_check_and_only_where_they_are_meant_to_run(
    pair: Pair, nginx: Nginx
) -> None:
    generation = pair.production.stream()["generation"]
    wait_until(lambda: nginx.reloads.exists() and f"{generation}\n" in nginx.reloads.read_text(), 60, "it was reloaded")
    before = nginx.reloads.read_text()
    save(pair, "one", BROKEN)
    refused(pair)
    assert nginx.reloads.read_text() == before
    pair.production.stop()
    text = pair.production.config.read_text()
    pair.production.config.write_text(text.replace("start_services = true", "start_services = false"))
    pair.production.start()
    save(pair, "one", GOOD.format(port=8084, name="one"))
    pair.wait_equal()
    pair.wait_synced()
    pair.failover.stop()
    assert nginx.reloads.read_text() == before
