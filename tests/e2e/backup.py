"""The drill: a backup of a running server is whole, what was damaged in it is named, and what it restores to counts the same.
"""
import datetime
import shutil
import sqlite3
import subprocess
import sys
import threading

import harness

METER = "vm.hours"


class Stage:
    def __init__(self):
        self.parts = harness.Parts()
        self.house = harness.Meterhouse(self.parts).serve()
        self.house.sign_in()
        self.customer = self.house.child(self.house.root, "Customer", "customer")
        self.house.api("POST", "/v1/meters", {"code": METER, "unit": "hour", "aggregation": "sum", "dimensions": []})
        book = {"currency": "EUR", "items": [{"code": "vm", "name": "Machines", "meter": METER,
                                              "price": {"model": "per_unit", "rate": "0.5"}}]}
        last = datetime.datetime.now(datetime.timezone.utc).replace(day=1) - datetime.timedelta(days=3)
        self.month = last.strftime("%Y-%m")
        self.house.api("PUT", f"/v1/orgs/{self.customer}/prices", {"month": self.month, "book": book})
        self.sent = 0
        self.send(500, last)
        key = {"idempotency-key": "close-1"}
        self.house.api("POST", f"/v1/orgs/{self.house.root}/close", {"month": self.month, "issue": True}, headers=key)

    def send(self, count, at=None):
        """Sends events of a unit each; counts those that were acknowledged."""
        at = at or datetime.datetime.now(datetime.timezone.utc)
        events = [{"specversion": "1.0", "id": f"e{self.sent + number}", "source": "/drill", "type": METER,
                   "subject": self.customer, "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "data": {"quantity": "1"}}
                  for number in range(count)]
        answer = self.house.api("POST", f"/v1/orgs/{self.house.root}/events", events)
        assert answer["accepted"] == count, answer
        self.sent += count


def run(*arguments, code=0):
    done = subprocess.run([harness.BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def counted(house, customer, month):
    rows = house.api("GET", f"/v1/orgs/{customer}/usage?limit=1000&month={month}")["data"]
    return sum(int(row["quantity"].split(".")[0]) for row in rows)


def total(house, customer, months):
    return sum(counted(house, customer, month) for month in months)


def papers(house):
    found = house.api("GET", f"/v1/orgs/{house.root}/papers?limit=1000")["data"]
    return sorted((paper["id"], str(paper.get("total") or paper.get("amount") or paper)) for paper in found)


def test_a_backup_of_a_running_server_restores(stage):
    house, folder = stage.house, stage.parts.folder
    stop = threading.Event()

    def write():
        while not stop.is_set():
            stage.send(20)

    writer = threading.Thread(target=write)
    writer.start()
    harness.wait_until("events going in", lambda: stage.sent > 700)
    before = stage.sent
    said = run("backup", "--config", house.config, folder / "backup")
    after = stage.sent
    stop.set()
    writer.join()
    assert "verify" in said, said
    print("        " + run("verify", folder / "backup").strip().replace("\n", "\n        "))
    this = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m")
    known = papers(house)
    house.stop()
    run("restore", folder / "backup", folder / "restored")
    run("restore", folder / "backup", folder / "restored", code=2)  # Never over something.
    shutil.copy(house.folder / "key", folder / "restored" / "key")
    text = house.config.read_text().replace(str(house.folder), str(folder / "restored"))
    house.folder = folder / "restored"
    house.config = house.folder / "meterhouse.toml"
    house.config.write_text(text)
    house.serve()
    found = total(house, stage.customer, {stage.month, this})
    assert before <= found <= after, (before, found, after)
    assert papers(house) == known, "documents are the same"
    # What was sent after the backup is sent again: what is in it already counts once.
    sent, stage.sent = stage.sent, 500
    stage.send(sent - 500)
    assert total(house, stage.customer, {stage.month, this}) == sent


def test_a_document_that_does_not_follow_is_named(stage):
    """What was changed in the store before the backup has the right hash: only making it again shows it."""
    copy = stage.parts.folder / "changed"
    shutil.copytree(stage.parts.folder / "restored", copy)
    with sqlite3.connect(copy / "store.db") as store:
        (number, paper), = store.execute("select number, paper_json from invoice where state = 'issued'").fetchall()
        assert '"amount_minor":25000' in paper, paper
        store.execute("update invoice set paper_json = replace(paper_json, '25000', '24000')")
    store.close()
    config = copy / "meterhouse.toml"
    config.write_text(config.read_text().replace(str(stage.house.folder), str(copy)))
    run("backup", "--config", config, stage.parts.folder / "changed-backup")
    said = run("verify", stage.parts.folder / "changed-backup", code=1)
    assert number in said and "does not follow from its usage and prices" in said, said


def test_damage_is_named(stage):
    folder = stage.parts.folder
    for name, damage in [("lake.db", "flip"), ("parquet", "flip"), ("store.db", "cut"), ("parquet", "gone")]:
        copy = folder / "damaged"
        shutil.copytree(folder / "backup", copy)
        path = copy / name if name.endswith(".db") else sorted((copy / "files").rglob("*.parquet"))[0]
        body = bytearray(path.read_bytes())
        if damage == "flip":
            body[len(body) // 2] ^= 1
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(body[: len(body) // 2] if damage == "cut" else body)
        said = run("verify", copy, code=1)
        assert path.name in said, (name, damage, said)
        said = run("restore", copy, folder / "never", code=1)
        assert path.name in said and not (folder / "never").exists(), said
        shutil.rmtree(copy)


if __name__ == "__main__":
    runner = harness.Runner("backup")
    stage = Stage()
    runner.run(harness.tests_of(sys.modules[__name__]), stage)
    stage.house.stop()
    runner.end()
