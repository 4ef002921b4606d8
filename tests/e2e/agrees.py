"""What is metered as stored is what the store holds, to the byte, whatever was done to it on whichever way.

For each seed: 200 acts through the gateway, behind it and beside each other, then one sweep, then the index is held
against a listing of every version and every part. With `--unswept` nothing is done behind the gateway and nothing swept;
with `--swept` only the other half is run.

    agrees.py [--unswept | --swept] [--acts N] [SEED ...]
"""
import argparse
import collections
import hashlib
import random
import sqlite3
import sys
import threading
import time

import harness
from botocore.exceptions import ClientError
from harness import boto

SEEDS = [1, 2, 3]
ACTS = 200
KEYS = ["a", "b", "b/c", "deep/er/x", "space +&", "ümlaut", "z.txt"]
SIZE_MAX = 9_000
#: Refusals that are the store's own business: the act did nothing.
HARMLESS = {"NoSuchUpload", "NoSuchKey", "NoSuchVersion", "EntityTooSmall", "InvalidPart", "InvalidPartOrder", "InvalidRequest",
            "404", "MethodNotAllowed"}
MULTIPART = ["mp_create", "mp_part", "mp_part", "mp_complete", "mp_abort"]
THROUGH = ["put", "put", "put", "delete", "delete_version", "multi_delete", "copy", *MULTIPART, "versioning"]
BEHIND = ["put", "resize", "delete", "delete_version", "mp_part", "mp_abort", "mp_complete"]


class Place:
    """A mapping with everything that was done below it."""

    def __init__(self, name, org, bucket, real_bucket, prefix, through, direct):
        self.name, self.org, self.bucket, self.real_bucket, self.prefix = name, org, bucket, real_bucket, prefix
        self.through, self.direct = through, direct
        self.uploads = {}
        self.acts = collections.defaultdict(list)
        self.last_through = {}

    def side(self, way):
        """Client, bucket and the function that names a key there."""
        if way == "through":
            return self.through, self.bucket, lambda key: key
        return self.direct, self.real_bucket, lambda key: self.prefix + key

    def versions(self, key):
        """Version ids of a key, markers too."""
        listed = self.direct.list_object_versions(Bucket=self.real_bucket, Prefix=self.prefix + key)
        rows = listed.get("Versions", []) + listed.get("DeleteMarkers", [])
        return [row["VersionId"] for row in rows if row["Key"] == self.prefix + key]


class Stage:
    def __init__(self):
        self.parts = harness.Parts()
        self.weed_url = harness.start_seaweed(self.parts)
        self.direct = boto(self.weed_url, harness.UPSTREAM)
        self.house = harness.Meterhouse(self.parts).serve()
        self.house.sign_in()

    def catalog(self, sql, *values):
        catalog = sqlite3.connect(f"file:{self.house.folder / 'lake.db'}?mode=ro", uri=True, timeout=20)
        try:
            return catalog.execute(sql, values).fetchall()
        finally:
            catalog.close()


class Run:
    """The sequence of one seed, in an account and two real buckets of its own."""

    def __init__(self, stage, seed, unswept):
        self.stage, self.chance, self.unswept = stage, random.Random(seed), unswept
        self.refused = collections.Counter()
        house = stage.house
        self.account = house.link(stage.weed_url, f"weed-{seed}")
        self.customer = house.child(house.root, f"Customer {seed}", "customer")
        whole, shared = f"whole-{seed}", f"shared-{seed}"
        for bucket in (whole, shared):
            stage.direct.create_bucket(Bucket=bucket)
        if seed % 2 == 0:
            self.set_versioning(stage.direct, shared, "Enabled")
        self.places, self.keys = [], []
        for name, real_bucket, prefix in (("whole", whole, ""), ("sales", shared, "sales/"), ("research", shared, "research/")):
            org = house.child(self.customer, f"{name} {seed}", "department")
            bucket = f"{name}-data-{seed}"
            house.map(org, bucket, self.account, real_bucket, prefix)
            key = house.key(org)
            self.keys.append(key[0])
            through = boto(house.s3_url, key)
            self.places.append(Place(name, org, bucket, real_bucket, prefix, through, stage.direct))

    @staticmethod
    def set_versioning(client, bucket, status):
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def body(self):
        return bytes([self.chance.randrange(256)]) * self.chance.randrange(SIZE_MAX)

    def act(self, number):
        """One act of the sequence, noted with the keys that it touched."""
        way = self.chance.choices(["through", "behind", "beside"], [60, 0 if self.unswept else 32, 8])[0]
        what = {"through": THROUGH, "behind": BEHIND, "beside": ["writers"]}[way]
        what, place, key = self.chance.choice(what), self.chance.choice(self.places), self.chance.choice(KEYS)
        try:
            told = getattr(self, what)(place, way, key)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            # SeaweedFS sometimes answers 500 when a key that is a folder too is completed.
            if code not in HARMLESS and (what, code) != ("mp_complete", "InternalError"):
                raise
            self.refused[f"{what} {code}"] += 1
            told = {key: code}
        for touched, detail in (told or {}).items():
            place.acts[touched].append(f"{number} {way} {what} {detail}")

    def put(self, place, way, key):
        client, bucket, real = place.side(way)
        body = self.body()
        answer = client.put_object(Bucket=bucket, Key=real(key), Body=body)
        if way == "through":
            place.last_through[key] = "put"
        return {key: f"{len(body)} bytes, version {answer.get('VersionId')}"}

    def resize(self, place, way, key):
        """An object that is there gets another size."""
        client, bucket, real = place.side(way)
        there = client.list_objects_v2(Bucket=bucket, Prefix=real("")).get("Contents", [])
        if not there:
            return None
        return self.put(place, way, self.chance.choice(there)["Key"][len(real("")):])

    def writers(self, place, _, key):
        """Four at once; which one wins is the store's business."""
        bodies, failed = [self.body() for _ in range(4)], []

        def write(body):
            try:
                place.through.put_object(Bucket=place.bucket, Key=key, Body=body)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=write, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        place.last_through[key] = "put"
        return {key: [len(body) for body in bodies]}

    def delete(self, place, way, key):
        client, bucket, real = place.side(way)
        answer = client.delete_object(Bucket=bucket, Key=real(key))
        if way == "through":
            place.last_through[key] = "delete"
        return {key: f"marker {answer.get('VersionId')}" if answer.get("DeleteMarker") else "gone"}

    def delete_version(self, place, way, key):
        versions = place.versions(key)
        if not versions:
            return None
        client, bucket, real = place.side(way)
        version = self.chance.choice(versions)
        client.delete_object(Bucket=bucket, Key=real(key), VersionId=version)
        if way == "through":
            place.last_through[key] = "delete"
        return {key: version}

    def multi_delete(self, place, way, _):
        client, bucket, real = place.side(way)
        wanted, told = [], {}
        for key in self.chance.sample(KEYS, 3):
            versions = place.versions(key)
            row = {"Key": real(key)}
            if versions and self.chance.random() < 0.4:
                row["VersionId"] = self.chance.choice(versions)
            wanted.append(row)
            told[key] = row.get("VersionId", "newest")
            place.last_through[key] = "delete"
        client.delete_objects(Bucket=bucket, Delete={"Objects": wanted, "Quiet": self.chance.random() < 0.5})
        return told

    def copy(self, place, way, key):
        client, bucket, real = place.side(way)
        there = client.list_objects_v2(Bucket=bucket, Prefix=real("")).get("Contents", [])
        there = [row["Key"] for row in there if row["Key"] != real(key)]
        if not there:
            return None
        source = self.chance.choice(there)
        client.copy_object(Bucket=bucket, Key=real(key), CopySource={"Bucket": bucket, "Key": source})
        place.last_through[key] = "put"
        return {key: f"from {source}"}

    def mp_create(self, place, way, key):
        client, bucket, real = place.side(way)
        upload = client.create_multipart_upload(Bucket=bucket, Key=real(key))["UploadId"]
        place.uploads[upload] = key
        return {key: f"upload {upload[-6:]}"}

    def upload(self, place):
        return self.chance.choice(sorted(place.uploads.items())) if place.uploads else (None, None)

    def mp_part(self, place, way, _):
        upload, key = self.upload(place)
        if not upload:
            return None
        client, bucket, real = place.side(way)
        part, body = self.chance.randint(1, 3), self.body()
        if self.unswept:
            # SeaweedFS keeps, and lists, a part that was written again with other content: only a sweep can tell.
            listed = client.list_parts(Bucket=bucket, Key=real(key), UploadId=upload).get("Parts", [])
            part = max((row["PartNumber"] for row in listed), default=0) + 1
        client.upload_part(Bucket=bucket, Key=real(key), UploadId=upload, PartNumber=part, Body=body)
        return {key: f"upload {upload[-6:]} part {part} of {len(body)} bytes"}

    def mp_complete(self, place, way, _):
        """Only one part: a store may want 5 MiB of each but the last."""
        upload, key = self.upload(place)
        if not upload:
            return None
        client, bucket, real = place.side(way)
        parts = client.list_parts(Bucket=bucket, Key=real(key), UploadId=upload).get("Parts", [])
        if not parts:
            return None
        chosen = self.chance.choice(parts)
        joined = {"Parts": [{"PartNumber": chosen["PartNumber"], "ETag": chosen["ETag"]}]}
        client.complete_multipart_upload(Bucket=bucket, Key=real(key), UploadId=upload, MultipartUpload=joined)
        del place.uploads[upload]
        if way == "through":
            place.last_through[key] = "put"
        return {key: f"upload {upload[-6:]} with part {chosen['PartNumber']} of {chosen['Size']} bytes"}

    def mp_abort(self, place, way, _):
        upload, key = self.upload(place)
        if not upload:
            return None
        client, bucket, real = place.side(way)
        del place.uploads[upload]
        client.abort_multipart_upload(Bucket=bucket, Key=real(key), UploadId=upload)
        return {key: f"upload {upload[-6:]}"}

    def versioning_of(self, place):
        return self.stage.direct.get_bucket_versioning(Bucket=place.real_bucket).get("Status", "never")

    def versioning(self, *_):
        """The tenant's act, on the bucket that is his as a whole."""
        place = self.places[0]
        status = "Suspended" if self.versioning_of(place) == "Enabled" else "Enabled"
        self.set_versioning(place.through, place.bucket, status)
        for key in KEYS:
            place.acts[key].append(f"    versioning {status}")

    def listed(self, bucket):
        """Bytes of each real key of a bucket, as the store lists them: all versions, and parts of pending uploads."""
        sums, uploads = collections.Counter(), {}
        listed = self.stage.direct.list_object_versions(Bucket=bucket, MaxKeys=1000)
        assert not listed["IsTruncated"], "SeaweedFS loses versions between pages: fewer acts, please"
        rows = [(row["Key"], row["VersionId"]) for row in listed.get("Versions", [])]
        assert len(rows) == len(set(rows)), "a version is listed twice"
        for row in listed.get("Versions", []):
            sums[row["Key"]] += row["Size"]
        pending = self.stage.direct.list_multipart_uploads(Bucket=bucket)
        assert not pending["IsTruncated"]
        for upload in pending.get("Uploads", []):
            parts = self.stage.direct.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            assert not parts["IsTruncated"]
            size = sum(part["Size"] for part in parts.get("Parts", []))
            sums[upload["Key"]] += size
            uploads[upload["UploadId"]] = upload["Key"]
        return sums, uploads

    def metered(self, org, bucket):
        """Stored bytes by the index's names, and by the level that the storage meter is integrated from."""
        sql = "select object, user_id, size_bytes from s3_object where org_id = ? and bucket = ?"
        rows = self.stage.catalog(sql, org, bucket)
        level = self.stage.catalog(
            """select (select coalesce(sum(bytes), 0) from s3_level where org_id = ?1 and bucket = ?2)
                    + (select coalesce(sum(delta_bytes), 0) from s3_change where org_id = ?1 and bucket = ?2)""", org, bucket)
        return rows, level[0][0]

    def hash_of(self, *parts):
        return hashlib.sha256(b"\0".join(part.encode() for part in (self.account, *parts))).hexdigest()[:32]

    def differences(self, place, ended):
        """Lines, the first difference first; none when all agrees."""
        truth, uploads = self.listed(place.real_bucket)
        truth = {key[len(place.prefix):]: size for key, size in truth.items() if key.startswith(place.prefix)}
        rows, level = self.metered(place.org, place.bucket)
        # The first 32 digits of an object's name are the key's, or the upload's, whatever follows.
        names = {self.hash_of(place.real_bucket, place.prefix + key): key for key in {*KEYS, *truth}}
        names |= {self.hash_of(upload): key[len(place.prefix):] for upload, key in uploads.items()}
        names |= {self.hash_of(upload): key for upload, key in ended.items()}
        known, lines, strange = collections.Counter(), [], 0
        for name, user, size in rows:
            key = names.get(name[:32])
            known[key] += size
            strange += key is None
            is_object = name[:32] == self.hash_of(place.real_bucket, place.prefix + (key or ""))
            never_versioned = self.versioning_of(place) == "never"
            if never_versioned and is_object and not user and place.last_through.get(key) == "put":
                lines.append(f"{place.name}: {key!r} has lost its user\n" + self.story(place, key))
        told, there = sum(size for *_, size in rows), sum(truth.values())
        for key in sorted({*truth, *known} - {None}):
            if truth.get(key, 0) != known[key]:
                lines.append(f"{place.name}: {key!r} is metered with {known[key]} bytes, the store holds {truth.get(key, 0)}\n"
                             + self.story(place, key))
        if strange:
            lines.append(f"{place.name}: {strange} objects of {known[None]} bytes have names that no key has")
        if told != there or level != there:
            head = f"{place.name}: the index has {told} bytes, the meter's level {level}, the store {there}"
            lines.insert(0, head)
        return lines

    def story(self, place, key):
        return "".join(f"            {act}\n" for act in place.acts[key])


def one_seed(stage, seed, acts, unswept):
    """Gives the differences of one run."""
    run = Run(stage, seed, unswept)
    ended = {place.name: {} for place in run.places}
    for number in range(1, acts + 1):
        run.act(number)
        for place in run.places:
            ended[place.name].update(place.uploads)
    stage.house.usage(run.customer)  # Seals what waits in the inbox.
    lines, swept = [], None
    if not unswept:
        swept = stage.house.api("POST", f"/v1/s3-accounts/{run.account}/sweep", {})
    for place in run.places:
        lines += run.differences(place, ended[place.name])
    if not unswept:
        again = stage.house.api("POST", f"/v1/s3-accounts/{run.account}/sweep", {})
        if any(again[name] for name in ("added", "removed", "resized", "moved", "bytes")):
            lines.append(f"a second sweep finds something again: {again}")
    for key in run.keys:  # A person may have twenty.
        stage.house.api("DELETE", f"/v1/keys/{key}")
    return lines, swept, dict(run.refused)


def main():
    asked = argparse.ArgumentParser()
    asked.add_argument("--unswept", action="store_true", help="nothing behind the gateway, no sweep")
    asked.add_argument("--swept", action="store_true", help="acts behind the gateway too, and one sweep")
    asked.add_argument("--acts", type=int, default=ACTS)
    asked.add_argument("seeds", type=int, nargs="*", default=SEEDS)
    asked = asked.parse_args()
    stage, failed = Stage(), 0
    modes = [unswept for unswept in (True, False) if asked.unswept == asked.swept or asked.unswept == unswept]
    tries = [(unswept, seed) for unswept in modes for seed in asked.seeds]
    for number, (unswept, seed) in enumerate(tries):
        began = time.monotonic()
        # Names must not meet between the halves; whether a seed is even decides where versioning begins.
        lines, swept, refused = one_seed(stage, seed + 1_000 * number, asked.acts, unswept)
        failed += bool(lines)
        found = {name: swept[name] for name in ("added", "removed", "resized", "bytes")} if swept else "none"
        print(f"{'FAILED ' if lines else 'ok     '} agrees {'unswept' if unswept else 'swept'} seed {seed}: {asked.acts} acts, "
              f"{len(lines)} differences, sweep {found}, refused {refused}, {time.monotonic() - began:.0f} s", flush=True)
        for line in lines[:4]:
            print(f"        {line.rstrip()}", flush=True)
    stage.house.stop()
    print(f"agrees: {len(tries)} tries, {failed} failed")
    sys.exit(1 if failed or not tries else 0)


if __name__ == "__main__":
    main()
