"""`kill -9` of the whole program under S3 load, on both engines: no acknowledged write unmetered, none metered twice.

$METERHOUSE_TEST_KILLS says how many on each (50 if it is not set), $METERHOUSE_TEST_POSTGRES is the URL of a PostgreSQL
as dev/postgres starts it. The control runs the same with a program that acknowledges before it commits; it must lose
something.
"""
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time

import harness
from harness import boto

CYCLES = int(os.environ.get("METERHOUSE_TEST_KILLS", "50"))
LIVE_FILES = "select path from %sducklake_data_file where end_snapshot is null"


class Sqlite:
    environment = {}

    def live_files(self, house):
        return [row[0] for row in sqlite3.connect(house.folder / "lake.db").execute(LIVE_FILES % "")]


class Postgres:
    def __init__(self):
        self.server, self.name = os.environ["METERHOUSE_TEST_POSTGRES"], f"kill_{os.getpid()}"
        self.ask("postgres", f"create database {self.name}")
        self.environment = {"METERHOUSE_DATABASE_URL": f"{self.server}/{self.name}"}

    def ask(self, database, sql):
        command = ["psql", "-XAtq", f"{self.server}/{database}", "-c", sql]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    def live_files(self, house):
        return self.ask(self.name, LIVE_FILES % "lake.")


class Stage:
    def __init__(self, engine, environment=None):
        self.parts, self.engine = harness.Parts(), engine
        self.upstream = harness.start_sim(self.parts)
        self.house = harness.Meterhouse(self.parts, {**engine.environment, **(environment or {})}).serve()
        self.house.sign_in()
        account = self.house.link(self.upstream)
        self.org = self.house.child(self.house.root, "Customer", "customer")
        boto(self.upstream, harness.UPSTREAM).create_bucket(Bucket="real-one")
        self.house.map(self.org, "data", account, "real-one", "t/")
        self.key = self.house.key(self.org)
        self.acknowledged = set()

    def cycle(self, number, kill_after):
        """Writes from four clients until `kill_after` acknowledgements, then kills."""
        lock, enough, stop = threading.Lock(), threading.Event(), threading.Event()
        count = [0]

        def write(worker):
            client = boto(self.house.s3_url, self.key, connect_timeout=2, read_timeout=5)
            turn = 0
            while not stop.is_set():
                turn += 1
                try:
                    answer = client.put_object(Bucket="data", Key=f"{number}/{worker}/{turn % 7}", Body=b"x" * (turn % 50))
                except Exception:
                    return
                with lock:
                    self.acknowledged.add(answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"])
                    count[0] += 1
                    if count[0] >= kill_after:
                        enough.set()

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(60), "the writers acknowledge nothing"
        self.house.kill()
        stop.set()
        for thread in threads:
            thread.join()
        assert count[0] > 0

    def metered(self):
        """Request ids in the live files of the lake, with how often each is there."""
        import duckdb

        self.house.usage(self.org)  # Seals what waits in the inbox.
        files = [str(self.house.folder / "files" / "main" / "usage" / name) for name in self.engine.live_files(self.house)]
        rows = duckdb.execute("select record_id, count(*) from read_parquet(?) where meter = 's3.requests' group by 1", [files])
        return dict(rows.fetchall())


def kill_again_and_again(engine):
    stage, chance, began = Stage(engine), random.Random(7), time.monotonic()
    for number in range(CYCLES):
        stage.cycle(number, chance.randint(1, 60))
        stage.house.serve()
    metered = stage.metered()
    lost = stage.acknowledged - metered.keys()
    twice = [record for record, times in metered.items() if times > 1]
    print(f"        {CYCLES} kills, {len(stage.acknowledged)} acknowledged writes, {len(lost)} lost, {len(twice)} doubled, "
          f"{time.monotonic() - began:.0f} s")
    assert not lost and not twice, (lost, twice)
    stage.house.stop()
    stage.parts.close()


def test_sqlite_loses_and_doubles_no_acknowledged_write():
    kill_again_and_again(Sqlite())


def test_postgres_loses_and_doubles_no_acknowledged_write():
    kill_again_and_again(Postgres())


def test_the_kill_test_bites():
    stage, chance = Stage(Sqlite(), {"METERHOUSE_FAULT": "ack-early"}), random.Random(7)
    for number in range(10):
        stage.cycle(number, chance.randint(1, 20))
        stage.house.serve()
        if stage.acknowledged - stage.metered().keys():
            stage.parts.close()
            return
    raise AssertionError("ten kills of a program that acknowledges too early lost nothing")


if __name__ == "__main__":
    runner = harness.Runner("kill")
    runner.run(harness.tests_of(sys.modules[__name__]))
    runner.end()
