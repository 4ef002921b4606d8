"""Faults from outside: a full disk, silent accounts, half-open connections, big bodies, PostgreSQL gone, NUL
characters, damaged files. The program must refuse in words, lose nothing that it acknowledged, and heal alone.

    python tests/e2e/faults.py [part...]

Parts: disk_full, slow_account, half_open, big_bodies, big_events, postgres_down, nul, damaged_file; all of them if none
is named (about 15 minutes). Use the Python of dev/install. The program is $CARGO_TARGET_DIR/debug/meterhouse
(target/debug/meterhouse if that is not set), as for the other tests here. disk_full mounts a tmpfs and so needs root
(or `unshare -rm`); postgres_down and nul start their own PostgreSQL by dev/postgres; half_open needs a hard limit of
13,500 open files. With METERHOUSE_TEST_KEEP_LOG=FOLDER the logs of parts that failed are copied there.
"""
import collections
import contextlib
import datetime
import http.client
import http.cookiejar
import itertools
import json
import multiprocessing
import os
import pathlib
import random
import re
import resource
import selectors
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request

import harness
from botocore.exceptions import BotoCoreError, ClientError
from harness import wait_until

BATCH = "application/cloudevents-batch+json"
METER = "test.units"
NOW = datetime.datetime.now(datetime.timezone.utc)


class Checks:
    """Counts tries and failures of a part, so that one failure does not hide the next."""

    def __init__(self, name):
        self.name, self.tries, self.failures, self.notes = name, 0, collections.Counter(), []
        self.lock, self.began = threading.Lock(), time.monotonic()

    def that(self, holds, text):
        with self.lock:
            self.tries += 1
            if not holds:
                self.failures[text] += 1
        return holds

    def happens(self, what, check, seconds):
        """Like `wait_until`, but goes on. Gives the seconds it took."""
        began = time.monotonic()
        try:
            wait_until(what, check, seconds)
            self.that(True, what)
        except AssertionError as error:
            self.that(False, str(error))
        return time.monotonic() - began

    def note(self, text):
        self.notes.append(text)

    def end(self):
        took = time.monotonic() - self.began
        notes = "".join(f"; {note}" for note in self.notes)
        print(f"        {self.name}: {self.tries} tries, {sum(self.failures.values())} failures, {took:.0f} s{notes}", flush=True)
        if self.failures:
            raise AssertionError("\n".join(f"{times} x {text}" for text, times in self.failures.items()))


class Parts(harness.Parts):
    """Folders and processes, and what must be undone after the processes ended."""

    def __init__(self):
        super().__init__()
        self.endings = []
        os.chmod(self.folder, 0o711)  # PostgreSQL runs as a user of its own.

    def close(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        while self.endings:
            self.endings.pop()()
        super().close()


@contextlib.contextmanager
def part(name):
    check, parts = Checks(name), Parts()
    try:
        yield check, parts
    except Exception:
        check.that(False, f"the part broke off: {traceback.format_exc()}")
    finally:
        for log in sorted(parts.folder.glob("serve*.log")):
            panics = [line for line in log.read_text(errors="replace").splitlines() if "panicked at" in line]
            check.that(not panics, f"a panic: {panics[:3]}")
            if check.failures and "METERHOUSE_TEST_KEEP_LOG" in os.environ:  # A folder.
                shutil.copy(log, f"{os.environ['METERHOUSE_TEST_KEEP_LOG']}/{name}-{log.name}")
        parts.close()
    check.end()


class Answer:
    """What came back; status 0 when nothing did."""

    def __init__(self, status, text, seconds):
        self.status, self.text, self.seconds = status, text, seconds

    @property
    def json(self):
        try:
            return json.loads(self.text)
        except ValueError:
            return {}

    def __str__(self):
        return f"{self.status} after {self.seconds:.1f} s {self.text[:300]!r}"


class House(harness.Meterhouse):
    """The program under test, with calls that do not stop at a failure."""

    def serve(self, **options):
        self.process = self.parts.start([harness.BINARY, "serve", "--config", self.config], "serve.log", env=self.environment, **options)
        wait_until("the console answering", lambda: urllib.request.urlopen(f"{self.url}/livez", timeout=2).status == 200)
        wait_until("the gateway listening", lambda: socket.create_connection(("127.0.0.1", self.s3_port), 1).close() or True)
        return self

    def begin(self):
        self.serve().sign_in()
        self.api("POST", "/v1/meters", {"code": METER, "unit": "unit", "aggregation": "sum", "dimensions": ["zone"]})
        return self

    def call(self, method, path, body=None, media="application/json", timeout=10, token=None, headers=None):
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.console_port, timeout=timeout)
        sent = {"content-type": media, **(headers or {})}
        if token or self.token:
            sent["authorization"] = f"Bearer {token or self.token}"
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(errors="replace"), time.monotonic() - began)
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, repr(error), time.monotonic() - began)
        finally:
            connection.close()

    def send(self, events, timeout=30, token=None):
        return self.call("POST", "/v1/events", events, BATCH, timeout, token)

    def taken(self, events, timeout=30, token=None):
        """Whether all of them are on disk."""
        answer = self.send(events, timeout, token)
        return answer.status == 202 and answer.json["accepted"] == len(events) and not answer.json["rejected"]

    def ready(self):
        return self.call("GET", "/readyz", timeout=5).status == 200

    def sum(self, org=None, month=None, token=None, timeout=30, zone=None):
        """(answer, sum of the test's meter)."""
        month = f"&month={month}" if month else ""
        by = "&by=dimensions" if zone else ""
        answer = self.call("GET", f"/v1/orgs/{org or self.root}/usage?meter={METER}&limit=1000{month}{by}", timeout=timeout, token=token)
        if answer.status != 200:
            return answer, None
        rows = [row for row in answer.json["data"] if not zone or (row["dimensions"] or {}).get("zone") == zone]
        return answer, sum(int(row["quantity"].split(".")[0]) for row in rows)

    def log(self):
        return (self.parts.folder / "serve.log").read_text(errors="replace")


def event(name, quantity=1, at=NOW, **more):
    data = {"quantity": str(quantity), **more.pop("data", {})}
    return {"specversion": "1.0", "id": name, "source": "/faults", "type": METER,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "data": data, **more}


def sealed_events(folder):
    """Events in batches so far, without a question that would seal (SQLite)."""
    with contextlib.closing(sqlite3.connect(f"file:{folder}/lake.db?mode=ro", uri=True, timeout=10)) as catalog:
        return catalog.execute("select coalesce(sum(events), 0) from lake_batch").fetchone()[0]


def live_files(folder):
    with contextlib.closing(sqlite3.connect(f"file:{folder}/lake.db?mode=ro", uri=True, timeout=10)) as catalog:
        rows = catalog.execute("select path from ducklake_data_file where end_snapshot is null order by data_file_id").fetchall()
    return [pathlib.Path(folder) / "files" / "main" / "usage" / row[0] for row in rows]


def metered(files, meter):
    """Record ids in the files, with how often each is there."""
    import duckdb

    rows = duckdb.execute("select record_id, count(*) from read_parquet(?) where meter = ? group by 1", [[str(file) for file in files], meter])
    return dict(rows.fetchall())


def jobs(folder, account=None, due_us=None):
    """Sweep jobs by account: (due_us, attempts). Makes one due if it is named."""
    with contextlib.closing(sqlite3.connect(f"{folder}/store.db", timeout=20)) as store:
        if account:
            store.execute("update job set due_us = ? where unique_key = ?", (due_us, f"sweep/{account}"))
            store.commit()
        rows = store.execute("select unique_key, due_us, attempts from job where kind = 'sweep_account'").fetchall()
    return {key.removeprefix("sweep/"): (due, attempts) for key, due, attempts in rows}


def swept(folder, account):
    """Whether a sweep job that was due is done: it is gone, or planned for another day."""
    due, _ = jobs(folder).get(account, (time.time() * 1e6 + 7_200e6, 0))
    return due > time.time() * 1e6 + 3_600e6


def s3_client(house, key, **config):
    return harness.boto(house.s3_url, key, **{"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 0}, **config})


def s3_try(call, **arguments):
    """(status, request id, seconds, words)."""
    began = time.monotonic()
    try:
        answer = call(**arguments)
        if "Body" in answer:
            answer["Body"].read()
        meta = answer["ResponseMetadata"]
        return meta["HTTPStatusCode"], meta["HTTPHeaders"].get("x-amz-request-id", ""), time.monotonic() - began, ""
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], "", time.monotonic() - began, str(error)
    except (BotoCoreError, OSError) as error:
        return 0, "", time.monotonic() - began, repr(error)


def give_bucket(house, upstream, account, name="data"):
    """A mapped bucket, and a key that may write there."""
    with contextlib.suppress(ClientError):
        harness.boto(upstream, harness.UPSTREAM).create_bucket(Bucket="real-one")
    house.map(house.root, name, account, "real-one", f"{name}/")
    return house.key(house.root)


# --- disk_full -------------------------------------------------------------------------------------------------

def send_again(house, waiting, acknowledged, size):
    """Sends what was refused or never answered once more, in batches, until all of it is taken or ten rounds are over."""
    for _ in range(10):
        rest = list(waiting.values())
        for start in range(0, len(rest), size):
            events = rest[start:start + size]
            if house.taken(events):
                acknowledged.update(event_["id"] for event_ in events)
                for event_ in events:
                    waiting.pop(event_["id"])
        if not waiting:
            return
        time.sleep(1)


class Filler:
    """Takes all room of a file system, and what becomes free again."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "filler"

    def fill(self):
        with open(self.path, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size) == size:
                        pass

    def remove(self):
        self.path.unlink()


def mount_tmpfs(parts, size):
    folder = parts.folder / "small-disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "meterhouse-e2e", folder], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"disk_full needs root to mount a tmpfs of {size}: {done.stderr.strip()}. Run it as root, or by `unshare -rm`")
    parts.endings.append(lambda: subprocess.run(["umount", "-l", folder], check=False))
    return folder


def disk_full():
    with part("disk_full") as (check, parts):
        disk = mount_tmpfs(parts, "96m")
        data = disk / "data"
        house = House(parts, {"METERHOUSE_DATA_DIR": str(data)}).begin()
        upstream = harness.start_sim(parts)  # Its folder is not on the small disk.
        key = give_bucket(house, upstream, house.link(upstream))
        s3 = s3_client(house, key)
        numbers, filler = itertools.count(), Filler(disk)
        acknowledged, refused, puts = set(), {}, set()

        def batch(size=50):
            return [event(f"disk-{next(numbers)}", data={"attributes": {"pad": "x" * 1_000}}) for _ in range(size)]

        def offer(events):
            answer = house.send(events)
            names = {event["id"] for event in events}
            if answer.status == 202:
                acknowledged.update(names)
            else:
                refused.update({event["id"]: event for event in events})
            return answer

        def put(name):
            status, request, seconds, words = s3_try(s3.put_object, Bucket="data", Key=name, Body=b"x" * 10)
            if status == 200:
                puts.add(request)
            return status, seconds, words

        for _ in range(20):
            check.that(offer(batch()).status == 202, "events are not taken before the disk is full")
        check.that(put("before")[0] == 200, "an S3 write is not taken before the disk is full")
        filler.fill()
        # Full for at least 20 s: the sealer, the storage hours and the timers run into it as well.
        seen, not_ready, end = collections.Counter(), [], time.monotonic() + 20
        turn = 0
        while turn < 400 and (time.monotonic() < end or (seen[503] < 5 and time.monotonic() < end + 60)):
            turn += 1
            filler.fill()
            answer = offer(batch(5))
            seen[answer.status] += 1
            if answer.status != 202:
                good = answer.status == 503 and answer.json.get("retryable") is True
                check.that(good, f"full disk: POST /v1/events: {answer.status} {answer.text[:160]}")
            made = house.call("POST", f"/v1/orgs/{house.root}/children", {"name": f"Full {turn}", "kind": "customer"}, timeout=30)
            check.that(made.status in (201, 503), f"full disk: POST children: {made.status} {made.text[:160]}")
            if turn % 10 == 1:
                status, seconds, words = put(f"full-{turn}")
                check.that(status in (200, 503), f"full disk: S3 PUT: {status} after {seconds:.0f} s {words[:160]}")
            ready = house.call("GET", "/readyz", timeout=30)
            not_ready.append(ready.status)
            time.sleep(0.1)
        check.note(f"full disk: events answered {dict(seen)}, /readyz {dict(collections.Counter(not_ready))}")
        check.that(seen[503] >= 5, f"a full disk does not refuse events with 503: {dict(seen)}")
        check.that(503 in not_ready, "/readyz is 200 all the time on a full disk")
        check.that(house.process.poll() is None, "the server ended on a full disk")
        filler.remove()
        freed = time.monotonic()
        left = lambda: max(5, 30 - (time.monotonic() - freed))
        check.happens("events being taken again without a restart", lambda: offer(batch()).status == 202, left())
        check.happens("/readyz being 200 again", house.ready, left())
        fresh = lambda: house.call("POST", f"/v1/orgs/{house.root}/children", {"name": f"After {next(numbers)}", "kind": "customer"}).status == 201
        check.happens("children being made again", fresh, left())
        check.happens("S3 writes being taken again", lambda: put("after")[0] == 200, left())
        send_again(house, refused, acknowledged, 50)
        check.that(not refused, f"{len(refused)} events are refused after the disk has room, when sent again")

        def count(when):
            answer, total = house.sum()
            check.that(total is not None, f"{when}: usage: {answer.status} {answer.text[:160]}")
            if total is None:
                return
            check.that(total == len(acknowledged), f"{when}: usage says {total}, {len(acknowledged)} events were acknowledged")
            found = metered(live_files(data), METER)
            lost, twice = acknowledged - found.keys(), [name for name, times in found.items() if times > 1]
            check.that(not lost and not twice, f"{when}: {len(lost)} acknowledged events lost, {len(twice)} doubled")
            written = metered(live_files(data), "s3.requests")
            lost, twice = puts - written.keys(), [name for name in puts if written.get(name, 0) > 1]
            check.that(not lost and not twice, f"{when}: {len(lost)} acknowledged S3 writes not metered, {len(twice)} twice")

        count("after the disk has room")
        house.stop()
        house.serve()
        count("after a restart")
        check.note(f"{len(acknowledged)} events and {len(puts)} S3 writes acknowledged")
        house.stop()


# --- slow_account ----------------------------------------------------------------------------------------------

class Proxy:
    """Passes bytes on, until it is told to accept and say nothing."""

    def __init__(self, upstream):
        self.target = ("127.0.0.1", int(upstream.rsplit(":", 1)[1]))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.silent, self.unanswered, self.open = False, 0, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            self.open.append(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            if self.silent:
                self.unanswered += 1
                while client.recv(65_536):
                    pass
                return
            server = socket.create_connection(self.target)
            self.open.append(server)
            threading.Thread(target=self.copy, args=(server, client), daemon=True).start()
            self.copy(client, server)
        except OSError:
            pass

    def copy(self, source, sink):
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def fall_silent(self):
        self.silent = True
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def slow_account():
    with part("slow_account") as (check, parts):
        upstream = harness.start_sim(parts)
        proxy = Proxy(upstream)
        house = House(parts).begin()
        good, slow = house.link(upstream, "good"), house.link(proxy.url, "slow")
        key = give_bucket(house, upstream, good, "good")
        house.map(house.root, "slow", slow, "real-one", "slow/")
        s3 = s3_client(house, key)
        for bucket in ("good", "slow"):
            check.that(s3_try(s3.put_object, Bucket=bucket, Key="first", Body=b"x")[0] == 200, f"no write through {bucket}")
        wait_until("the daily sweeps being planned", lambda: {good, slow} <= jobs(house.folder).keys(), 60)
        numbers, sent, lags = itertools.count(), 0, []

        def round_(when):
            """Some events; they must be in a batch within 10 s by themselves, then in the answer about usage."""
            nonlocal sent
            before = sealed_events(house.folder)
            check.that(house.taken([event(f"slow-{next(numbers)}") for _ in range(10)]), f"{when}: events are not taken")
            sent += 10
            lags.append(check.happens(f"{when}: sealing without a question", lambda: sealed_events(house.folder) >= before + 10, 10))
            answer, total = house.sum(timeout=10)
            check.that(total == sent, f"{when}: usage says {total} of {sent} within 10 s: {answer}")
            status, _, seconds, words = s3_try(s3.put_object, Bucket="good", Key=f"k{next(numbers)}", Body=b"x")
            check.that(status == 200 and seconds < 10, f"{when}: PUT to the good account: {status} after {seconds:.0f} s {words}")
            check.that(house.ready(), f"{when}: /readyz is not 200")

        round_("before")
        proxy.fall_silent()
        forced = []
        began = time.monotonic()

        def sweep():
            forced.append((house.call("POST", f"/v1/s3-accounts/{slow}/sweep", {}, timeout=1_200), time.monotonic() - began))

        threading.Thread(target=sweep, daemon=True).start()
        wait_until("the forced sweep reaching the proxy", lambda: proxy.unanswered >= 1, 20)
        for turn in range(3):
            round_(f"a forced sweep hangs ({turn + 1})")
        # The same as work of the timers, which nobody waits for.
        seen = proxy.unanswered
        jobs(house.folder, slow, 0)
        jobs(house.folder, good, 1)
        due, done = time.monotonic(), []

        def watch():
            with contextlib.suppress(AssertionError):
                wait_until("", lambda: swept(house.folder, good), 120)
                done.append(time.monotonic() - due)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        check.happens("the due sweep of the silent account being tried", lambda: proxy.unanswered > seen, 60)
        for turn in range(5):
            round_(f"a due sweep hangs ({turn + 1})")
        watcher.join(130)
        took = done[0] if done else 120
        check.that(took < 50, "the due sweep of the good account waits for the silent one")  # Looked for every 20 s.
        check.note(f"the good account's sweep was done after {took:.0f} s")
        ended = f"ended after {forced[0][1]:.0f} s with {forced[0][0].status}" if forced else f"hangs after {time.monotonic() - began:.0f} s"
        check.note(f"longest wait for a batch {max(lags):.1f} s; the forced sweep {ended}; attempts of the due one {jobs(house.folder).get(slow)}")
        house.kill()


# --- half_open -------------------------------------------------------------------------------------------------

SPREAD, FROM_ONE, SOURCES = 5_000, 1_500, 50


def hold_half_open(ports, counts, reopen, stop):
    """A process of its own: opens the connections, sends half a head, opens again what is closed."""
    signalled = selectors.EpollSelector()
    waiting = collections.deque()
    for turn in range(SPREAD):
        waiting.extend((f"127.0.0.{2 + turn % SOURCES}", port, turn % 5) for port in ports)
    for turn in range(FROM_ONE):
        waiting.extend(("127.0.0.99", port, turn % 5) for port in ports)
    again, drips, next_drip, made = collections.deque(), set(), time.monotonic() + 2, 0

    def drop(connection, slot):
        drips.discard(connection)
        signalled.unregister(connection)
        connection.close()
        counts[1] -= 1
        again.append((time.monotonic() + 2, slot))

    while not stop.is_set():
        now = time.monotonic()
        while reopen.is_set() and again and again[0][0] < now:
            waiting.append(again.popleft()[1])
        for _ in range(min(len(waiting), 300) if made < 60_000 else 0):
            slot = waiting.popleft()
            connection = socket.socket()
            connection.setblocking(False)
            made += 1
            try:
                connection.bind((slot[0], 0))
                connection.connect_ex(("127.0.0.1", slot[1]))
            except OSError:
                connection.close()
                counts[3] += 1
                continue
            signalled.register(connection, selectors.EVENT_WRITE, slot)
            counts[1] += 1
        for ready, mask in signalled.select(0.05):
            connection, slot = ready.fileobj, ready.data
            try:
                if mask & selectors.EVENT_WRITE:
                    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code:
                        raise OSError(code, "connect")
                    if slot[2]:  # Each fifth says nothing at all.
                        connection.send(b"GET /v1/me HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
                    if slot[2] == 1:
                        drips.add(connection)
                    counts[0] += 1
                    signalled.modify(connection, selectors.EVENT_READ, slot)
                elif not connection.recv(4_096):
                    raise OSError("closed")
            except BlockingIOError:
                pass
            except OSError:
                counts[2] += 1
                drop(connection, slot)
        if time.monotonic() > next_drip:  # A byte now and then must not buy more time.
            next_drip = time.monotonic() + 2
            for connection in list(drips):
                with contextlib.suppress(OSError):
                    connection.send(b"x")


class Visitors:
    """Ordinary requests from 127.0.0.1, each of which must succeed."""

    def __init__(self, check, house, key):
        self.check, self.house, self.stop = check, house, threading.Event()
        self.when, self.counts, self.slowest = "before", collections.Counter(), 0.0
        s3 = s3_client(house, key, connect_timeout=10, read_timeout=10)
        numbers = itertools.count()
        kept = http.client.HTTPConnection("127.0.0.1", house.console_port, timeout=10)
        paths = itertools.cycle(["/livez", "/v1/me", "/readyz", f"/v1/orgs/{house.root}/usage", "/sign-in"])

        def console():
            path = next(paths)
            answer = house.call("GET", path)
            self.count("console", answer.status == 200, f"GET {path}: {answer}", answer.seconds)

        def console_kept():
            began = time.monotonic()
            try:
                kept.request("GET", "/livez")
                status = kept.getresponse().read() and 200
            except (OSError, http.client.HTTPException) as error:
                kept.close()
                status = repr(error)
            self.count("kept connection", status == 200, f"GET /livez on a kept connection: {status}", time.monotonic() - began)

        def events():
            answer = house.send([event(f"half-{next(numbers)}")], 10)
            self.count("events", answer.status == 202, f"POST /v1/events: {answer}", answer.seconds)

        def objects():
            for name, more in (("put_object", {"Body": b"x" * 100}), ("get_object", {})):
                status, _, seconds, words = s3_try(getattr(s3, name), Bucket="data", Key="k", **more)
                self.count("s3", status == 200, f"{name}: {status} {words}", seconds)

        def objects_anew():
            fresh = s3_client(house, key, connect_timeout=10, read_timeout=10)
            status, _, seconds, words = s3_try(fresh.get_object, Bucket="data", Key="k")
            fresh.close()
            self.count("s3, new connection", status == 200, f"get_object on a new connection: {status} {words}", seconds)

        ways = (console, console_kept, events, objects, objects_anew)
        self.threads = [threading.Thread(target=self.use, args=(way,), daemon=True) for way in ways]

    def use(self, way):
        while not self.stop.is_set():
            way()
            self.stop.wait(0.2)

    def count(self, name, good, words, seconds):
        self.counts[name] += 1
        self.slowest = max(self.slowest, seconds)
        self.check.that(good, f"{self.when}: {re.sub(r'after [0-9.]+ s', '', words)[:200]}")

    def begin(self):
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


#: Connections that the visitors may keep.
VISITORS_MAX = 20


def held_by(house):
    """Connections that the server itself holds. What the kernel dropped while its queue was full looks open to the client
    for minutes; the server never had it."""
    ports = {f"{port:04X}" for port in (house.console_port, house.s3_port)}
    rows = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
    return sum(row[1].split(":")[1] in ports and row[3] == "01" and row[9] != "0" for row in rows)


def half_open():
    with part("half_open") as (check, parts):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = 2 * (SPREAD + FROM_ONE) + 500
        assert hard == resource.RLIM_INFINITY or hard >= needed, f"half_open needs a hard limit of {needed} open files; it is {hard}"
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else hard, hard))
        upstream = harness.start_sim(parts)
        house = House(parts)
        # As a service manager starts it: 1,024 files, and more for who asks.
        house.serve(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard)))
        house.sign_in()
        house.api("POST", "/v1/meters", {"code": METER, "unit": "unit", "aggregation": "sum", "dimensions": ["zone"]})
        key = give_bucket(house, upstream, house.link(upstream))
        s3 = s3_client(house, key)
        s3.put_object(Bucket="data", Key="k", Body=b"x")
        fork = multiprocessing.get_context("fork")
        counts, reopen, stop = fork.Array("q", 4, lock=False), fork.Event(), fork.Event()
        reopen.set()
        # Forked before threads begin.
        attacker = fork.Process(target=hold_half_open, args=((house.console_port, house.s3_port), counts, reopen, stop), daemon=True)
        visitors = Visitors(check, house, key)
        attacker.start()
        parts.endings.append(lambda: attacker.is_alive() and attacker.kill())
        try:
            visitors.when = "while 13,000 half heads are open"
            visitors.begin()
            wanted = 2 * (SPREAD + FROM_ONE)
            began = time.monotonic()
            while counts[0] + counts[3] < wanted and time.monotonic() < began + 60:
                time.sleep(0.2)
            opened = f"{counts[0]} half heads sent ({counts[3]} could not be opened) in {time.monotonic() - began:.0f} s"
            check.that(counts[3] == 0, f"{counts[3]} connections could not be opened on this machine")
            time.sleep(40)
            opened += f", {counts[1]} open and {counts[2]} closed by the server after 40 s more"
            reopen.clear()
            visitors.when = "while the half heads run out"
            took = check.happens("the server closing every half-open connection", lambda: held_by(house) <= VISITORS_MAX, 90)
            check.note(f"{opened}; {counts[1]} open {took:.0f} s later")
        finally:
            stop.set()
            attacker.join(30)
        visitors.when = "after the half heads are gone"
        time.sleep(10)
        visitors.end()
        check.that(house.ready(), "/readyz is not 200 after the half heads are gone")
        answer, total = house.sum()
        check.that(total is not None and total > 0, f"usage after the half heads are gone: {answer}")
        check.note(f"ordinary requests {dict(visitors.counts)}, slowest {visitors.slowest:.1f} s")
        house.kill()


# --- big_bodies ------------------------------------------------------------------------------------------------

BODIES, LINES, LINE_BYTES = 60, 1_000, 15_000


def memory_mb(process, field="VmRSS"):
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+)", text).group(1)) // 1024


def big_bodies():
    """What a body needs until it is answered: most of its bytes are attributes of CloudEvents that nobody keeps."""
    with part("big_bodies") as (check, parts):
        send_bodies(check, parts, lambda pad: {"pad": pad})


def big_events():
    """The same bytes, but all of them are kept: the sealer has them in memory as well."""
    with part("big_events") as (check, parts):
        send_bodies(check, parts, lambda pad: {"data": {"attributes": {"pad": pad}}})


def send_bodies(check, parts, padded):
    house = House(parts).begin()
    for number in range(20):
        house.taken([event(f"warm-{number}")])
    base, peak, measuring = memory_mb(house.process), [0], threading.Event()

    def measure():
        while not measuring.is_set():
            with contextlib.suppress(OSError):
                peak[0] = max(peak[0], memory_mb(house.process))
            measuring.wait(0.02)

    def line(body, number):
        made = event(f"big-{body:03}-{number:05}", **padded(""))
        text = json.dumps(made, separators=(",", ":"))
        return text.replace('"pad":""', f'"pad":"{"x" * (LINE_BYTES - 1 - len(text))}"').encode() + b"\n"

    last, answers = threading.Event(), {}

    def send(body):
        """Sends all but the last byte, waits for the others, sends it. Looks for an answer all the time."""
        connection = socket.create_connection(("127.0.0.1", house.console_port), 30)
        connection.settimeout(600)
        head = (f"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {house.token}\r\n"
                f"content-type: application/x-ndjson\r\ncontent-length: {LINES * LINE_BYTES}\r\nconnection: close\r\n\r\n")
        sent, broken = 0, ""
        polled, waits = selectors.PollSelector(), selectors.PollSelector()
        polled.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        waits.register(connection, selectors.EVENT_READ)
        try:
            connection.sendall(head.encode())
            pieces = itertools.chain.from_iterable((text[:-1], text[-1:]) for text in (line(body, number) for number in range(LINES)))
            piece, early = b"", False
            while sent < LINES * LINE_BYTES and not early:
                piece = piece or next(pieces)
                if sent == LINES * LINE_BYTES - 1 and not last.is_set():
                    early = bool(waits.select(0.1))
                    continue
                ready = polled.select(600)
                early = not ready or ready[0][1] & selectors.EVENT_READ
                if not early:
                    count = connection.send(piece, socket.MSG_DONTWAIT)
                    sent, piece = sent + count, piece[count:]
        except OSError as error:
            broken = f" (sending broke off: {error!r})"
        try:
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answers[body] = Answer(answer.status, answer.read().decode(errors="replace"), 0)
        except (OSError, http.client.HTTPException) as error:
            answers[body] = Answer(0, f"no answer: {error!r}{broken}", 0)
        connection.close()

    done = threading.Event()

    def others():
        while not done.is_set():
            for path in ("/livez", "/v1/me"):
                answer = house.call("GET", path, timeout=10)
                check.that(answer.status == 200, f"beside big bodies: GET {path}: {answer.status} {answer.text[:100]}")
            done.wait(0.3)

    beside = [threading.Thread(target=work, daemon=True) for work in (measure, others)]
    senders = [threading.Thread(target=send, args=(body,), daemon=True) for body in range(BODIES)]
    for thread in beside + senders:
        thread.start()
    time.sleep(15)
    held = peak[0]
    last.set()
    end = time.monotonic() + 600
    for thread in senders:
        thread.join(max(0, end - time.monotonic()))
    done.set()
    check.that(len(answers) == BODIES, f"{BODIES - len(answers)} of {BODIES} bodies are not answered after 600 s")
    statuses = collections.Counter(answer.status for answer in answers.values())
    for answer in list(answers.values()):
        check.that(answer.status in (200, 202, 413, 429, 503), f"a body of 15 MB: {answer.status} {answer.text[:200]}")
    grown = peak[0] - base
    check.that(grown < 400, f"{BODIES} bodies of 15 MB: more than 400 MB above the start")
    # Who was refused for the moment sends it again, alone.
    again = [body for body in range(BODIES) if body not in answers or answers[body].status != 202]
    for body in again:
        text = b"".join(line(body, number) for number in range(LINES))
        answer = None
        for _ in range(60):
            answer = house.call("POST", "/v1/events", text, "application/x-ndjson", timeout=120)
            if answer.status not in (429, 503):
                break
            time.sleep(1)
        check.that(answer.status == 202, f"a body sent again alone: {answer.status} {answer.text[:200]}")
    measuring.set()
    answer, total = house.sum(timeout=600)
    check.that(total == 20 + BODIES * LINES, f"usage says {total}, {20 + BODIES * LINES} events were acknowledged: {answer.status}")
    time.sleep(5)
    check.note(f"{dict(statuses)}, {len(again)} sent again; memory {base} MB at the start, {held} MB with all bodies held, "
               f"peak {peak[0]} MB, {memory_mb(house.process)} MB in the end")
    house.kill()


# --- PostgreSQL ------------------------------------------------------------------------------------------------

class Postgres:
    """A PostgreSQL of dev/postgres that can be stopped and started again at the same place."""

    def __init__(self, parts):
        self.folder = parts.folder / "postgres"
        self.tool = harness.ROOT / "dev" / "postgres"
        done = subprocess.run([self.tool, "start", self.folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        parts.endings.append(self.stop)
        self.url = done.stdout.split()[-1]
        self.running = True
        self.bin = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))[-1]
        self.options = (self.folder / "data" / "postmaster.opts").read_text().split('"', 1)[1].strip().strip('"').replace('" "', " ")
        self.options = re.sub(r"-D \S+ ", "", self.options)

    def database(self, name):
        self.ask("postgres", f"create database {name}")
        return f"{self.url}/{name}"

    def ask(self, database, sql):
        done = subprocess.run(["psql", "-XAtq", f"{self.url}/{database}", "-c", sql], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def stop(self):
        if self.running:
            subprocess.run([self.tool, "stop", self.folder], check=False, capture_output=True)
            self.running = False

    def start(self):
        command = [self.bin / "pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", self.options, "start"]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        self.running = True


def postgres_down():
    with part("postgres_down") as (check, parts):
        postgres = Postgres(parts)
        house = House(parts, {"METERHOUSE_DATABASE_URL": postgres.database("faults")}).begin()
        upstream = harness.start_sim(parts)
        key = give_bucket(house, upstream, house.link(upstream))
        s3 = s3_client(house, key)
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        form = urllib.parse.urlencode({"email": "admin@example.com", "password": harness.PASSWORD}).encode()
        browser.open(f"{house.url}/sign-in", form, timeout=30).close()
        numbers, lock = itertools.count(), threading.Lock()
        acknowledged, unsure, puts = set(), {}, set()

        def offer(size=5):
            events = [event(f"pg-{next(numbers)}") for _ in range(size)]
            answer = house.send(events, 60)
            with lock:
                if answer.status == 202:
                    acknowledged.update(event_["id"] for event_ in events)
                else:
                    unsure.update({event_["id"]: event_ for event_ in events})
            return answer

        def put():
            status, request, seconds, words = s3_try(s3.put_object, Bucket="data", Key=f"k{next(numbers) % 7}", Body=b"x" * 10)
            with lock:
                if status == 200:
                    puts.add(request)
            return status, seconds, words

        def works():
            return offer().status == 202 and put()[0] == 200 and house.sum()[1] is not None and house.ready()

        def page():
            began = time.monotonic()
            try:
                with browser.open(f"{house.url}/me", timeout=60) as answer:
                    return Answer(answer.status, answer.url, time.monotonic() - began)
            except urllib.error.HTTPError as error:
                return Answer(error.code, error.read().decode(errors="replace"), time.monotonic() - began)

        check.that(works(), "it does not work to begin with")
        slowest = 0
        for cycle in range(2):
            postgres.stop()
            child = {"name": f"Down {cycle}", "kind": "customer"}
            token = {"email": "admin@example.com", "password": harness.PASSWORD, "name": "down"}
            calls = {
                "POST /v1/events": offer,
                "GET /v1/me": lambda: house.call("GET", "/v1/me", timeout=60),
                "GET org": lambda: house.call("GET", f"/v1/orgs/{house.root}", timeout=60),
                "GET usage": lambda: house.sum(timeout=60)[0],
                "GET audit": lambda: house.call("GET", f"/v1/orgs/{house.root}/audit", timeout=60),
                "POST children": lambda: house.call("POST", f"/v1/orgs/{house.root}/children", child, timeout=60),
                "POST children with a key": lambda: house.call(
                    "POST", f"/v1/orgs/{house.root}/children", child, timeout=60, headers={"idempotency-key": "down"}),
                "POST /v1/tokens": lambda: house.call("POST", "/v1/tokens", token, timeout=60),
            }
            # Side by side, as they come: one after the other would wait half a minute each.
            found = {}

            def ask(name, call):
                found[name] = call()

            named = {**calls, "GET /readyz": lambda: house.call("GET", "/readyz", timeout=60), "GET /me (page)": page}
            threads = [threading.Thread(target=ask, args=pair) for pair in named.items()]
            for thread in threads:
                thread.start()
            status, seconds, words = put()
            for thread in threads:
                thread.join(90)
            for name, answer in found.items():
                slowest = max(slowest, answer.seconds)
                check.that(answer.status == 503, f"PostgreSQL down: {name}: {answer.status} {answer.text[:120]}")
                check.that(answer.seconds <= 3, f"PostgreSQL down: {name}: more than 3 s")
                if name in calls:
                    check.that(answer.json.get("retryable") is True, f"PostgreSQL down: {name}: retryable {answer.json.get('retryable')}")
            check.that(status == 503, f"PostgreSQL down: S3 PUT: {status} after {seconds:.0f} s {words[:160]}")
            check.that(house.call("GET", "/livez").status == 200, "PostgreSQL down: /livez is not 200")
            time.sleep(5)
            postgres.start()
            check.happens("everything working after PostgreSQL is back", works, 30)
        # The same under load.
        stop = threading.Event()
        statuses = collections.Counter()

        def load(way):
            while not stop.is_set():
                answer = way()
                status = answer.status if isinstance(answer, Answer) else answer[0]
                with lock:
                    statuses[way.__name__, status] += 1
                if status not in (200, 202):
                    stop.wait(0.2)

        threads = [threading.Thread(target=load, args=(way,)) for way in (offer, offer, put, put)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(3)
            postgres.stop()
            time.sleep(2)
            postgres.start()
        time.sleep(3)
        stop.set()
        for thread in threads:
            thread.join(90)
        for (way, status), times in statuses.items():
            good = status in (200, 202, 503)
            for _ in range(times):
                check.that(good, f"under load: {way}: {status}")
        check.happens("everything working after three restarts under load", works, 30)
        send_again(house, unsure, acknowledged, 500)
        check.that(not unsure, f"{len(unsure)} events are refused after PostgreSQL is back, when sent again")
        answer, total = house.sum(timeout=60)
        check.that(total == len(acknowledged), f"usage says {total}, {len(acknowledged)} events were acknowledged: {answer}")
        names = postgres.ask("faults", "select path from lake.ducklake_data_file where end_snapshot is null")
        files = [house.folder / "files" / "main" / "usage" / name for name in names]
        for what, wanted, meter in (("events", acknowledged, METER), ("S3 writes", puts, "s3.requests")):
            counted = metered(files, meter)
            lost, twice = wanted - counted.keys(), [name for name in wanted if counted.get(name, 0) > 1]
            check.that(not lost and not twice, f"{len(lost)} acknowledged {what} lost, {len(twice)} doubled")
        check.that(house.process.poll() is None, "the server ended")
        check.note(f"{len(acknowledged)} events, {len(puts)} S3 writes acknowledged, slowest answer {slowest:.1f} s")
        house.stop()


# --- nul -------------------------------------------------------------------------------------------------------

def bad_events():
    """(field that must be named, event), each with a control character somewhere."""
    for name, text in (("NUL", "a\0b"), ("U+0001", "a\1b"), ("ESC", "a\x1bb"), ("DEL", "a\x7fb")):
        yield "id", f"{name} in id", event(text)
        yield "id", f"{name} in id, other quantity", event(text, 2)
        yield "source", f"{name} in source", event(f"{name}-source", source=text)
        yield "resource", f"{name} in data.resource", event(f"{name}-resource", data={"resource": text})
        yield "dimensions", f"{name} in a value of data.dimensions", event(f"{name}-dimension", data={"dimensions": {"zone": text}})
    text = "a\0b"
    yield "type", "NUL in type", event("nul-type", type=text)
    yield "subject", "NUL in subject", event("nul-subject", subject=text)
    yield "specversion", "NUL in specversion", event("nul-version", specversion=text)
    yield "time", "NUL in time", {**event("nul-time"), "time": text}
    yield "user", "NUL in data.user", event("nul-user", data={"user": text})
    yield "end", "NUL in data.end", event("nul-end", data={"end": text})
    yield "kind", "NUL in data.kind", event("nul-kind", data={"kind": text})
    yield "quantity", "NUL in data.quantity", event("nul-quantity", text)
    yield "dimensions", "NUL in a name of data.dimensions", event("nul-name", data={"dimensions": {text: "a"}})
    yield "attributes", "NUL in a value of data.attributes", event("nul-value", data={"attributes": {"host": text}})
    yield "attributes", "NUL in a name of data.attributes", event("nul-key", data={"attributes": {text: "a"}})
    yield "data.ab", "NUL in the name of an unknown field of data", event("nul-unknown", data={text: "a"})


def nul_bodies(house, me):
    """Routes that keep text, with NUL in it; then those that only read it."""
    org = f"/v1/orgs/{house.root}"
    nul = "a\0b"
    yield "POST", "/v1/tokens", {"email": "a\0b@example.com", "password": "x"}
    yield "POST", "/v1/tokens", {"email": "admin@example.com", "password": nul}
    yield "POST", "/v1/tokens", {"email": "admin@example.com", "password": harness.PASSWORD, "name": nul}
    yield "POST", f"{org}/children", {"name": nul, "kind": "customer"}
    yield "POST", f"{org}/children", {"name": "Nul a", "kind": "customer", "address": [nul]}
    yield "POST", f"{org}/children", {"name": "Nul b", "kind": "customer", "slug": nul}
    yield "POST", f"{org}/children", {"name": "Nul c", "kind": "customer", "zone": nul}
    yield "POST", f"{org}/children", {"name": "Nul d", "kind": "customer", "currency": nul}
    yield "PATCH", org, {"name": nul}
    yield "PATCH", org, {"address": [nul]}
    yield "PATCH", f"/v1/users/{me}", {"name": nul}
    yield "POST", f"{org}/invitations", {"email": "a\0b@example.com", "policy": "member"}
    yield "POST", f"{org}/invitations", {"email": "x@example.com", "policy": nul}
    yield "POST", f"{org}/keys", {"user": me, "name": nul}
    yield "POST", f"{org}/groups", {"name": nul}
    yield "POST", f"{org}/policies", {"name": nul, "level": "org", "document": {"statements": []}}
    yield "POST", f"{org}/services", {"name": nul}
    yield "POST", f"{org}/scim-tokens", {"name": nul}
    yield "POST", f"{org}/domains", {"domain": nul}
    yield "POST", f"{org}/cloud-links", {"provider": "aws", "account": nul, "name": "x"}
    yield "POST", f"{org}/cloud-links", {"provider": "aws", "account": "1", "name": nul}
    yield "POST", f"{org}/s3-accounts/test", {"endpoint": f"http://127.0.0.1/{nul}", "access_key": "a", "secret_key": "b"}
    yield "POST", "/v1/meters", {"code": nul, "unit": "unit", "aggregation": "sum", "dimensions": []}
    yield "POST", "/v1/meters", {"code": "nul.unit", "unit": nul, "aggregation": "sum", "dimensions": []}
    yield "POST", "/v1/meters", {"code": "nul.dimension", "unit": "unit", "aggregation": "sum", "dimensions": [nul]}
    yield "POST", "/v1/tokens", {"email": "admin@example.com", "password": harness.PASSWORD, "code": nul}
    yield "POST", f"{org}/who-can", {"action": "org:read", "resource": nul}


def nul_addresses(house):
    """Every GET route of the description with %00 in each parameter, and pages of the console."""
    description = house.api("GET", "/v1/openapi.json")
    me = house.api("GET", "/v1/me")["id"]
    real = {"org": house.root, "user": me}
    for path, item in description["paths"].items():
        if "get" not in item:
            continue
        named = item["get"].get("parameters", [])
        in_path = [parameter["name"] for parameter in named if parameter["in"] == "path"]
        filled = re.sub(r"\{(\w+)\}", lambda found: real.get(found[1], "a"), path)
        for parameter in named:
            if parameter["in"] == "query":
                needed = [other["name"] for other in named if other["in"] == "query" and other.get("required") and other != parameter]
                rest = "".join(f"&{name}=2026-10" for name in needed)
                yield f"{filled}?{parameter['name']}=a%00b{rest}"
        for name in in_path:
            yield re.sub(r"\{(\w+)\}", lambda found: "a%00b" if found[1] == name else real.get(found[1], "a"), path)
            yield re.sub(r"\{(\w+)\}", lambda found: real.get(found[1], "a") + ("%00" if found[1] == name else ""), path)
    org = f"/o/{house.root}"
    for page, fields in {
        f"{org}/overview": "month", f"{org}/usage": "month by meter user daily", f"{org}/people": "q after policy email",
        f"{org}/audit": "action actor target outcome since before", f"{org}/children": "name id", f"{org}/costs": "month sort column more_than",
        f"{org}/costs/csv": "month sort column more_than", f"{org}/papers": "closed", f"{org}/prices": "version", f"{org}/move": "parent other",
        f"{org}/access": "action resource holder draft", f"{org}/identity": "done", f"{org}/settings": "done", f"{org}/people/{me}": "done",
        "/sign-in": "joined reset next", "/sign-in/organisation": "email next", "/sign-in/start": "email next",
        "/sign-in/callback": "code state error", "/join": "secret", "/reset": "secret", "/prove": "next", "/me/sessions": "done",
        "/papers/a": "after", "/assets/a": "v",
    }.items():
        for field in fields.split():
            yield f"{page}?{field}=a%00b"
    for page in (f"{org}%00/usage", f"{org}/people/a%00b", f"{org}/groups/a%00b", f"{org}/policies/a%00b", "/papers/a%00b", "/a%00b", "/docs/a%00b"):
        yield page


def nul_on(check, parts, engine, environment):
    house = House(parts, environment).begin()
    upstream = harness.start_sim(parts)
    key = give_bucket(house, upstream, house.link(upstream))
    numbers, taken = itertools.count(), 0

    def good():
        return event(f"good-{next(numbers)}", data={"dimensions": {"zone": "good"}})

    def others(when):
        """Other events are sealed and counted."""
        nonlocal taken
        if check.that(house.taken([good() for _ in range(10)]), f"{when}: good events are not taken"):
            taken += 10
        found = []

        def counted():
            found[:] = house.sum(zone="good")
            return found[1] == taken

        try:
            wait_until("", counted, 10)
            check.that(True, "")
        except AssertionError:
            check.that(False, f"{when}: usage of {taken} good events is {found[1]} within 10 s ({found[0].status} {found[0].text[:120]})")

    others(f"{engine}: before")
    for field, what, bad in bad_events():
        answer = house.send([good(), bad])
        check.that(0 < answer.status < 500, f"{engine}: {what}: {answer.status} {answer.text[:160]}")
        if answer.status == 202:
            taken += 1
            rejected = answer.json["rejected"]
            if check.that(len(rejected) == 1 and rejected[0]["index"] == 1, f"{engine}: {what}: taken, must be refused"):
                check.that(field in rejected[0]["field"], f"{engine}: {what}: refused, but names {rejected[0]['field']!r}: {rejected[0]['reason'][:100]}")
        else:
            check.that(field in answer.text, f"{engine}: {what}: {answer.status} does not name the field: {answer.text[:160]}")
        if what.startswith(("NUL in id", "NUL in source", "NUL in data.resource")):
            others(f"{engine}: after {what}")
    binary = {"ce-specversion": "1.0", "ce-id": "a%00b", "ce-source": "/faults", "ce-type": METER, "ce-time": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")}
    answer = house.call("POST", "/v1/events", {"quantity": "1"}, headers=binary)
    refused = answer.status == 202 and answer.json["rejected"] and answer.json["rejected"][0]["field"] == "id"
    check.that(refused or 400 <= answer.status < 500, f"{engine}: binary mode, ce-id a%00b: {answer.status} {answer.text[:160]}")
    me = house.api("GET", "/v1/me")["id"]
    for method, path, body in nul_bodies(house, me):
        answer = house.call(method, path, body, timeout=30)
        least = 0 if "code" in body and "password" in body or path.endswith("who-can") else 400
        shown = f"{engine}: {method} {path.replace(house.root, '{org}').replace(me, '{user}')} {json.dumps(body).replace(me, '{user}')}"
        check.that(least < answer.status < 500 or answer.status == 400, f"{shown}: {answer.status} {answer.text[:160]}")
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def page(path, **fields):
        try:
            data = urllib.parse.urlencode(fields).encode() if fields else None
            with browser.open(f"{house.url}{path}", data, timeout=30) as answer:
                return answer.status, answer.read(200)
        except urllib.error.HTTPError as error:
            return error.code, error.read(200)

    status, text = page("/sign-in", email="a\0b@example.com", password="x")
    check.that(status < 500, f"{engine}: POST /sign-in with NUL in the address: {status} {text}")
    status, text = page("/sign-in", email="admin@example.com", password=harness.PASSWORD)
    check.that(status == 200, f"{engine}: signing in to the console: {status} {text}")
    for path in nul_addresses(house):
        if path.startswith("/v1"):
            answer = house.call("GET", path, timeout=30)
            status, text = answer.status, answer.text[:160]
        else:
            status, text = page(path)
        check.that(0 < status < 500, f"{engine}: GET {path.replace(house.root, '{org}').replace(me, '{user}')}: {status} {text}")
    scim = house.api("POST", f"/v1/orgs/{house.root}/scim-tokens", {"name": "nul"})["secret"]
    for path in ("/Users?filter=userName%20eq%20%22a%00b%22", "/Users/a%00b", "/Groups?filter=displayName%20eq%20%22a%00b%22", "/Users?startIndex=a%00b"):
        answer = house.call("GET", f"/scim/v2{path}", token=scim)
        check.that(0 < answer.status < 500, f"{engine}: GET /scim/v2{path}: {answer.status} {answer.text[:160]}")
    for body in ({"userName": "a\0b@example.com"}, {"userName": "x@example.com", "displayName": "a\0b"}, {"userName": "y@example.com", "externalId": "a\0b"}):
        body["schemas"] = ["urn:ietf:params:scim:schemas:core:2.0:User"]
        answer = house.call("POST", "/scim/v2/Users", body, "application/scim+json", token=scim)
        check.that(400 <= answer.status < 500, f"{engine}: POST /scim/v2/Users {json.dumps(body)[:60]}: {answer.status} {answer.text[:160]}")
    s3 = s3_client(house, key)
    for name, more in {"put_object": {"Key": "a\0b", "Body": b"x"}, "get_object": {"Key": "a\0b"}, "delete_object": {"Key": "a\0b"},
                       "list_objects_v2": {"Prefix": "a\0b"}, "create_multipart_upload": {"Key": "a\0b"},
                       "copy_object": {"Key": "a\0b", "CopySource": "data/a"}}.items():
        status, _, _, words = s3_try(getattr(s3, name), Bucket="data", **more)
        check.that(0 < status < 500, f"{engine}: S3 {name} with NUL: {status} {words[:160]}")
        if name in ("put_object", "create_multipart_upload"):
            check.that(status != 200, f"{engine}: S3 {name} takes a key with NUL")
    status, _, _, words = s3_try(s3.list_objects_v2, Bucket="data")
    check.that(status == 200, f"{engine}: S3 listing after keys with NUL: {status} {words[:160]}")
    others(f"{engine}: in the end")
    check.that("background work failed" not in house.log(), f"{engine}: background work failed: "
               + next((line[:300] for line in house.log().splitlines() if "background work failed" in line), ""))
    house.kill()
    house.serve()
    others(f"{engine}: after a restart")
    house.kill()
    (parts.folder / "serve.log").rename(parts.folder / f"serve-{engine}.log")
    check.note(f"{engine}: {taken} good events counted")


def nul():
    with part("nul") as (check, parts):
        for engine in ("sqlite", "postgres"):
            try:
                nul_on(check, parts, engine, {"METERHOUSE_DATABASE_URL": Postgres(parts).database("nul")} if engine == "postgres" else {})
            except Exception:
                check.that(False, f"{engine}: broke off: {traceback.format_exc()}")


# --- damaged_file ----------------------------------------------------------------------------------------------

def telling_flips(file, wanted, tries, chance):
    """Places of a file where one flipped bit gives another sum without a word, by DuckDB's reading; then others."""
    import duckdb

    body = bytearray(file.read_bytes())
    chunks = duckdb.execute(
        "select coalesce(dictionary_page_offset, data_page_offset), total_compressed_size from parquet_metadata(?) where path_in_schema = 'quantity'",
        [str(file)]).fetchall()
    places = [start + step for start, size in chunks for step in range(size)]
    chance.shuffle(places)
    right, telling = duckdb.execute("select sum(quantity), count(*) from read_parquet(?)", [str(file)]).fetchone(), []
    copy = file.parent / "flipped.tmp"
    for place in places[:tries]:
        bit = 1 << chance.randrange(8)
        body[place] ^= bit
        copy.write_bytes(body)
        body[place] ^= bit
        try:
            if duckdb.execute("select sum(quantity), count(*) from read_parquet(?)", [str(copy)]).fetchone() != right:
                telling.append((place, bit))
        except duckdb.Error:
            pass
        if len(telling) == wanted:
            break
    copy.unlink()
    others = [(len(body) // 2, 1), *((chance.randrange(4, len(body) - 8), 1 << chance.randrange(8)) for _ in range(2))]
    return telling, others


def damaged_file():
    with part("damaged_file") as (check, parts):
        chance = random.Random(7)
        upstream = harness.start_sim(parts)
        house = House(parts).begin()
        this = NOW.strftime("%Y-%m")
        earlier = NOW.replace(day=1) - datetime.timedelta(days=15)
        account = house.link(upstream)
        wait_until("the daily sweep being planned", lambda: account in jobs(house.folder), 60)
        house.stop()
        made = subprocess.run([harness.BINARY, "init", "--config", house.config, "--name", "Other", "--admin-email", "other@example.com",
                               "--zone", "UTC"], input=harness.PASSWORD.encode(), capture_output=True, env=house.environment)
        assert made.returncode == 0, made.stderr
        other = next(line.split()[1] for line in made.stdout.decode().splitlines() if line.startswith("organisation"))
        house.serve()
        body = {"email": "other@example.com", "password": harness.PASSWORD, "name": "e2e", "days": 1}
        token = house.call("POST", "/v1/tokens", body).json["secret"]
        assert house.call("POST", "/v1/meters", {"code": METER, "unit": "unit", "aggregation": "sum", "dimensions": ["zone"]}, token=token).status == 201
        sums, victim, numbers = collections.Counter(), None, itertools.count()

        def batch(whose, size, at=NOW):
            """Makes one file: what is asked about is sealed."""
            quantities = [chance.randrange(1, 1 << 40) for _ in range(size)]
            events = [event(f"{whose}-{next(numbers)}", quantity, at) for quantity in quantities]
            assert house.taken(events, token=token if whose == "other" else None), "events are not taken"
            assert house.sum(token=token if whose == "other" else None, org=other if whose == "other" else None)[1] is not None
            sums[whose] += sum(quantities)

        # Sixteen small files in this month: one more, and they are merged.
        for number in range(10):
            batch("mine", 2_000 if number == 4 else 50)
            if number == 4:
                victim = live_files(house.folder)[-1]
        for _ in range(6):
            batch("other", 50)
        batch("earlier", 50, earlier)
        foreign = live_files(house.folder)[0]
        figures = {"mine": (None, house.root, this), "earlier": (None, house.root, earlier.strftime("%Y-%m")), "other": (token, other, this)}

        def figure(whose):
            bearer, org, month = figures[whose]
            return house.sum(org, month, bearer)

        for whose in figures:
            assert figure(whose)[1] == sums[whose], whose
        assert len(live_files(house.folder)) == 17, "compaction came too early"
        house.stop()
        pristine = parts.folder / "pristine"
        shutil.copytree(house.folder, pristine)
        whole = victim.read_bytes()
        name = victim.name
        log_at, served_at = 0, 0

        def with_damage(what, damage, strict=True):
            """Starts on a fresh copy with this damage, and looks at everything around it."""
            nonlocal log_at, served_at
            shutil.rmtree(house.folder)
            shutil.copytree(pristine, house.folder)
            log_at = len(house.log())
            damage()
            house.serve()
            served_at = time.monotonic()
            answer, found = figure("mine")
            wrong = found is not None and found != sums["mine"]
            check.that(not wrong, f"{what}: usage says {found} instead of {sums['mine']}")
            if strict:
                check.that(answer.status != 200, f"{what}: usage over the damaged file is answered with {answer.status}")
            check.that(answer.status not in (0, 404), f"{what}: usage: {answer}")
            for whose in ("earlier", "other"):
                told, got = figure(whose)
                check.that(got == sums[whose], f"{what}: {whose} figures: {got} instead of {sums[whose]} ({told.status} {told.text[:120]})")
            return answer

        def tells():
            return name in house.log()[log_at:] or name in house.call("GET", "/readyz", timeout=5).text

        damages = {
            "a truncated file": lambda: victim.write_bytes(whole[:len(whole) // 2]),
            "a missing file": lambda: victim.unlink(),
            "a valid foreign file": lambda: victim.write_bytes(foreign.read_bytes()),
        }
        for what, damage in damages.items():
            with_damage(what, damage)
            check.happens(f"{what}: an alarm that names the file, in the log or /readyz", tells, 60)
            # What comes meanwhile is taken and sealed, and the month has too many small files now.
            before = sealed_events(house.folder)
            jobs(house.folder, account, 0)
            new = 0
            for turn in range(3):
                quantity = chance.randrange(1, 1 << 40)
                check.that(house.taken([event(f"more-{what}-{turn}", quantity)], token=token), f"{what}: events are not taken")
                check.happens(f"{what}: sealing", lambda: sealed_events(house.folder) >= before + turn + 1, 10)
                new += quantity
                got = house.sum(other, this, token)[1]
                check.that(got == sums["other"] + new, f"{what}: new events of the other realm: {got} instead of {sums['other'] + new}")
            check.that(house.taken([event(f"late-{what}", 7)]), f"{what}: events of the damaged month are not taken")
            check.happens(f"{what}: sealing into the damaged month", lambda: sealed_events(house.folder) >= before + 4, 10)
            check.happens(f"{what}: a due sweep being done while compaction meets the file", lambda: swept(house.folder, account), 60)
            # The timers have gone round twice: compaction has met it by now.
            time.sleep(max(0, served_at + 45 - time.monotonic()))
            got = house.sum(other, this, token)[1]
            check.that(got == sums["other"] + new, f"{what}: the other realm after compaction: {got} instead of {sums['other'] + new}")
            check.that(house.sum(house.root, this)[1] in (None, sums["mine"] + 7), f"{what}: another figure after compaction")
            house.stop()
            victim.parent.mkdir(parents=True, exist_ok=True)
            victim.write_bytes(whole)
            house.serve()
            check.happens(f"{what}: the right figure after the file is put back", lambda: figure("mine")[1] == sums["mine"] + 7, 30)
            house.stop()
        telling, others = telling_flips(pristine / victim.relative_to(house.folder), 8, 4_000, chance)
        refused = 0
        for place, bit in telling + others:
            flipped = bytearray(whole)
            flipped[place] ^= bit
            kind = "that DuckDB reads as another sum" if (place, bit) in telling else "elsewhere"
            answer = with_damage(f"a flipped bit {kind}", lambda: victim.write_bytes(flipped), strict=False)
            refused += answer.status != 200
            house.kill()
        check.note(f"{len(telling)} flips that tell and {len(others)} others: {refused} refused")
        check.that(len(telling) >= 3, "too few telling flips were found: the test does not bite")


PARTS = [disk_full, slow_account, half_open, big_bodies, big_events, postgres_down, nul, damaged_file]


if __name__ == "__main__":
    known = {function.__name__: function for function in PARTS}
    unknown = [name for name in sys.argv[1:] if name not in known]
    if unknown:
        sys.exit(f"there is no part {', '.join(unknown)}; there are {', '.join(known)}")
    runner = harness.Runner("faults")
    runner.run([known[name] for name in sys.argv[1:]] or PARTS)
    runner.end()
