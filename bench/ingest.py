"""HTTP to de-duplicated Parquet: events per second and CPU, beside what the disk and two databases do with
the same records; then everything is delivered once more and no figure may change.

usage: ingest.py BINARY EVENTS      (needs METERHOUSE_TEST_POSTGRES for the COPY figure; `dev/bench` sets it)
"""
import http.client
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "e2e"))
import harness  # noqa: E402

harness.BINARY = pathlib.Path(sys.argv[1])
EVENTS, PER_REQUEST, CLIENTS = int(sys.argv[2]), 1_000, 4


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    text = open(f"/proc/{pid}/status").read()
    return int(text.split("VmHWM:")[1].split()[0]) // 1024


def body(first):
    lines = []
    for no in range(first, min(first + PER_REQUEST, EVENTS)):
        lines.append('{"specversion":"1.0","id":"%032x","source":"/bench","type":"vm.seconds","time":"%s",'
                     '"data":{"quantity":"%d.5","resource":"vm-%d","dimensions":{"zone":"z%d"}}}'
                     % (no * 0x9E3779B97F4A7C15 % 2**128, TIME % (no % 86400 // 3600, no % 3600 // 60, no % 60), no % 997, no % 5000, no % 4))
    return "\n".join(lines).encode()


TIME = time.strftime("%Y-%m-", time.gmtime()) + "01T%02d:%02d:%02dZ"


def send_all(house, bodies):
    """Sends every body over four connections; gives seconds until the last one was acknowledged."""
    place, lock, wrong = [0], threading.Lock(), []
    address = house.url.removeprefix("http://")

    def client():
        connection = http.client.HTTPConnection(address, timeout=120)
        while True:
            with lock:
                index, place[0] = place[0], place[0] + 1
            if index >= len(bodies):
                return
            headers = {"authorization": f"Bearer {house.token}", "content-type": "application/x-ndjson"}
            connection.request("POST", f"/v1/orgs/{house.root}/events", bodies[index], headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            if answer.status != 202 or told["rejected"]:
                wrong.append(told)
                return

    began = time.monotonic()
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]
    return time.monotonic() - began


def counted(house):
    rows = house.usage(house.root, by="dimensions")["data"]
    return sum(int(row["records"]) for row in rows), sorted((row["meter"], row["quantity"]) for row in rows)


def sealed(house, rows):
    return harness.wait_until("everything being sealed", lambda: counted(house)[0] >= rows, 600)


def floors(folder, bodies):
    """The same bytes: one write and fdatasync for each request; SQLite inserts; PostgreSQL COPY."""
    began = time.monotonic()
    with open(folder / "floor", "wb") as file:
        for one in bodies:
            file.write(one)
            file.flush()
            os.fdatasync(file.fileno())
    print(f"floor, write and fdatasync by 1,000: {EVENTS / (time.monotonic() - began):,.0f} events/s")
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.executescript("pragma journal_mode = wal; pragma synchronous = full; create table t (id text primary key, body text) without rowid")
    began = time.monotonic()
    for one in bodies:
        lines = one.decode().split("\n")
        database.execute("begin immediate")
        database.executemany("insert or ignore into t values (?, ?)", [(line[27:59], line) for line in lines])
        database.execute("commit")
    print(f"SQLite, keyed insert or ignore by 1,000: {EVENTS / (time.monotonic() - began):,.0f} events/s")
    server = os.environ.get("METERHOUSE_TEST_POSTGRES")
    if server:
        subprocess.run(["psql", f"{server}/postgres", "-qc", "drop table if exists bench; create table bench (body text)"], check=True)
        began = time.monotonic()
        copy = subprocess.Popen(["psql", f"{server}/postgres", "-qc", "copy bench from stdin"], stdin=subprocess.PIPE)
        for one in bodies:
            copy.stdin.write(one.replace(b"\\", b"\\\\") + b"\n")
        copy.stdin.close()
        assert copy.wait() == 0
        print(f"PostgreSQL, one COPY: {EVENTS / (time.monotonic() - began):,.0f} events/s")


def main():
    parts = harness.Parts()
    house = harness.Meterhouse(parts).serve()
    house.sign_in()
    house.api("POST", "/v1/meters", {"code": "vm.seconds", "unit": "second", "aggregation": "sum", "dimensions": ["zone"]})
    bodies = [body(first) for first in range(0, EVENTS, PER_REQUEST)]
    print(f"{EVENTS:,} events of about {len(bodies[0]) // PER_REQUEST} bytes, {CLIENTS} clients, {os.cpu_count()} cores")
    before, began = cpu_seconds(house.process.pid), time.monotonic()
    acknowledged = send_all(house, bodies)
    sealed(house, EVENTS)
    whole = time.monotonic() - began
    used = cpu_seconds(house.process.pid) - before
    print(f"durable acknowledgement: {EVENTS / acknowledged:,.0f} events/s")
    print(f"HTTP to de-duplicated Parquet: {EVENTS / whole:,.0f} events/s, {used * 1e6 / EVENTS:.1f} CPU us an event, "
          f"peak {peak_mib(house.process.pid)} MiB")
    first = counted(house)
    again = send_all(house, bodies)
    house.usage(house.root)
    assert counted(house) == first, "re-delivery changed a figure"
    print(f"re-delivery of everything: {EVENTS / again:,.0f} events/s acknowledged, no figure changed")
    floors(parts.folder, bodies)
    house.stop()


main()
