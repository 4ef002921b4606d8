"""Real clients through the gateway, in front of a real S3 server; every byte and request is accounted for."""
import datetime
import hashlib
import hmac
import http.client
import os
import re
import socket
import subprocess
import sys
import urllib.request

import harness
from botocore.exceptions import ClientError
from harness import boto, wait_until


class Stage:
    def __init__(self):
        self.parts = harness.Parts()
        self.weed_url = harness.start_seaweed(self.parts)
        self.direct = boto(self.weed_url, harness.UPSTREAM)
        for bucket in ("real-one", "real-two"):
            self.direct.create_bucket(Bucket=bucket)
        self.house = harness.Meterhouse(self.parts).serve()
        self.house.sign_in()
        first = self.first = self.house.link(self.weed_url, "first")
        second = self.house.link(self.weed_url, "second")
        self.customer = self.house.child(self.house.root, "Customer", "customer")
        self.orgs = {}
        for name in ("boto", "aws", "rclone", "s3cmd", "restic", "exact", "big", "raw", "folders"):
            org = self.house.child(self.customer, name, "department")
            self.house.map(org, f"{name}-data", first, "real-one", f"tenants/{name}/")
            self.house.map(org, f"{name}-data", second, "real-two", f"deep/{name}/", folder="vault/")
            self.house.map(org, f"{name}-whole", second, "real-two", f"whole/{name}/")
            self.orgs[name] = (org, self.house.key(org))

    def client(self, name, **config):
        return boto(self.house.s3_url, self.orgs[name][1], **config)

    def environment(self, name):
        key, secret = self.orgs[name][1]
        # A bundle of the machine would be loaded even for plain http, and some clients refuse it.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {**plain, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": "/dev/null", "HOME": str(self.parts.folder)}


def run(command, environment, **options):
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300, **options)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()[-2000:]} {done.stdout.decode()[-500:]}"
    return done.stdout.decode()


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] in (code if isinstance(code, tuple) else (code,)), error
        return error
    raise AssertionError(f"expected {code}")


def keys_of(answer):
    return [item["Key"] for item in answer.get("Contents", [])]


def test_boto3_objects(stage):
    s3 = stage.client("boto")
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["boto-data", "boto-whole"]
    odd = ["plain.txt", "with space.txt", "plus+and=sign", "umlaut-äö.txt", "a/b/c", "percent%2F", "q?mark&x"]
    for key in odd:
        s3.put_object(Bucket="boto-data", Key=key, Body=key.encode(), Metadata={"note": "x"}, ContentType="text/plain")
    for key in odd:
        got = s3.get_object(Bucket="boto-data", Key=key)
        assert got["Body"].read() == key.encode() and got["Metadata"] == {"note": "x"}
        assert stage.direct.head_object(Bucket="real-one", Key=f"tenants/boto/{key}")["ContentLength"] == len(key.encode())
    for lister in (s3.list_objects_v2, s3.list_objects):
        assert sorted(keys_of(lister(Bucket="boto-data"))) == sorted(odd)
    listed = s3.list_objects_v2(Bucket="boto-data", Delimiter="/")
    assert [p["Prefix"] for p in listed["CommonPrefixes"]] == ["a/", "vault/"], "a mapped folder shows"
    assert "tenants" not in str(listed), "the hidden prefix must not show"
    part = s3.get_object(Bucket="boto-data", Key="a/b/c", Range="bytes=1-2")
    assert part["Body"].read() == b"/b" and part["ResponseMetadata"]["HTTPStatusCode"] == 206
    refused("InvalidRange", s3.get_object, Bucket="boto-data", Key="a/b/c", Range="bytes=99-")
    refused("NoSuchKey", s3.get_object, Bucket="boto-data", Key="nothing")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="other-data")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="aws-data")
    s3.copy_object(Bucket="boto-data", Key="copied", CopySource={"Bucket": "boto-data", "Key": "plus+and=sign"})
    assert s3.get_object(Bucket="boto-data", Key="copied")["Body"].read() == b"plus+and=sign"
    refused(("NoSuchBucket", "AccessDenied"), s3.copy_object, Bucket="boto-data", Key="stolen",
            CopySource={"Bucket": "aws-data", "Key": "x"})
    gone = s3.delete_objects(Bucket="boto-data", Delete={"Objects": [{"Key": key} for key in odd + ["never"]]})
    assert sorted(d["Key"] for d in gone["Deleted"]) == sorted(odd + ["never"])
    s3.delete_object(Bucket="boto-data", Key="copied")
    assert keys_of(s3.list_objects_v2(Bucket="boto-data")) == []


def test_boto3_folders_of_several_accounts(stage):
    s3 = stage.client("folders")
    keys = ["apple", "vault/one", "vault/two/three", "vaults", "zebra"]
    for key in keys:
        s3.put_object(Bucket="folders-data", Key=key, Body=b"x" * len(key))
    assert stage.direct.head_object(Bucket="real-two", Key="deep/folders/one")["ContentLength"] == len("vault/one")
    for size in (1, 2, 1000):
        found, token = [], {}
        while True:
            page = s3.list_objects_v2(Bucket="folders-data", MaxKeys=size, **token)
            found += keys_of(page)
            if not page["IsTruncated"]:
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        assert found == keys, (size, found)
    top = s3.list_objects_v2(Bucket="folders-data", Delimiter="/")
    assert keys_of(top) == ["apple", "vaults", "zebra"] and top["CommonPrefixes"] == [{"Prefix": "vault/"}]
    assert keys_of(s3.list_objects_v2(Bucket="folders-data", Prefix="vault/")) == ["vault/one", "vault/two/three"]
    s3.copy_object(Bucket="folders-data", Key="vault/copy", CopySource={"Bucket": "folders-data", "Key": "apple"})
    assert s3.get_object(Bucket="folders-data", Key="vault/copy")["Body"].read() == b"xxxxx"
    for key in keys + ["vault/copy"]:
        s3.delete_object(Bucket="folders-data", Key=key)


def test_boto3_multipart_and_presigned(stage):
    s3 = stage.client("boto")
    body = os.urandom(5 << 20)
    upload = s3.create_multipart_upload(Bucket="boto-whole", Key="big")["UploadId"]
    etags = []
    for part, piece in enumerate((body, b"tail"), 1):
        etag = s3.upload_part(Bucket="boto-whole", Key="big", UploadId=upload, PartNumber=part, Body=piece)["ETag"]
        etags.append({"ETag": etag, "PartNumber": part})
    assert [p["PartNumber"] for p in s3.list_parts(Bucket="boto-whole", Key="big", UploadId=upload)["Parts"]] == [1, 2]
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket="boto-whole")["Uploads"]] == ["big"]
    done = s3.complete_multipart_upload(Bucket="boto-whole", Key="big", UploadId=upload, MultipartUpload={"Parts": etags})
    assert done["Bucket"] == "boto-whole" and done["Key"] == "big" and done["ETag"].endswith('-2"')
    assert s3.get_object(Bucket="boto-whole", Key="big")["Body"].read() == body + b"tail"
    link = s3.generate_presigned_url("get_object", Params={"Bucket": "boto-whole", "Key": "big"}, ExpiresIn=60)
    assert urllib.request.urlopen(link).read() == body + b"tail"
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "boto-whole", "Key": "via-link"}, ExpiresIn=60)
    request = urllib.request.Request(put, data=b"by link", method="PUT")
    assert urllib.request.urlopen(request).status == 200
    broken = link.replace("X-Amz-Signature=", "X-Amz-Signature=0")
    try:
        urllib.request.urlopen(broken)
        raise AssertionError("a broken link was served")
    except urllib.error.HTTPError as error:
        assert error.code == 403
    for key in ("big", "via-link"):
        s3.delete_object(Bucket="boto-whole", Key=key)


def test_what_would_leave_the_mapping_is_refused(stage):
    s3 = stage.client("boto")
    put = {"Bucket": "boto-whole", "Key": "x", "Body": b"x"}
    refused("NotImplemented", s3.put_object, **put, Metadata={"snowball-auto-extract": "true"})
    refused("AccessDenied", s3.put_object, **put, ACL="public-read")
    refused("AccessDenied", s3.put_object, **put, GrantRead="id=x")
    refused("AccessDenied", s3.get_bucket_policy, Bucket="boto-whole")
    refused("AccessDenied", s3.put_bucket_logging, Bucket="boto-whole", BucketLoggingStatus={})
    key_id, secret = stage.orgs["boto"][1]
    url = boto(stage.house.s3_url, (key_id, secret)).generate_presigned_url("list_objects_v2", Params={"Bucket": "boto-whole"})
    assert urllib.request.urlopen(url).status == 200
    body = stage.client("boto").get_object
    told = refused("NoSuchKey", body, Bucket="boto-data", Key="secret-name")
    assert "tenants" not in str(told.response) and "real-one" not in str(told.response)


def test_wrong_keys_are_refused(stage):
    key, secret = stage.orgs["boto"][1]
    refused("SignatureDoesNotMatch", boto(stage.house.s3_url, (key, "wrong")).list_buckets)
    refused("InvalidAccessKeyId", boto(stage.house.s3_url, ("MHNOBODY", secret)).list_buckets)
    # The account's own key is no key here.
    refused("InvalidAccessKeyId", boto(stage.house.s3_url, harness.UPSTREAM).list_buckets)
    me = stage.house.api("GET", "/v1/me")["id"]
    org = stage.orgs["boto"][0]
    fresh = stage.house.api("POST", f"/v1/orgs/{org}/keys", {"user": me, "name": "short"})
    s3 = boto(stage.house.s3_url, (fresh["key_id"], fresh["secret"]))
    s3.list_buckets()
    stage.house.api("DELETE", f"/v1/keys/{fresh['key_id']}")
    refused("InvalidAccessKeyId", s3.list_buckets)


def test_aws_cli(stage):
    environment = stage.environment("aws")
    aws = [os.path.join(os.path.dirname(sys.executable), "aws"), "--endpoint-url", stage.house.s3_url]
    local = stage.parts.folder / "aws-in"
    local.mkdir()
    big = os.urandom(9 << 20)
    (local / "big.bin").write_bytes(big)
    (local / "small.txt").write_text("small")
    run([*aws, "s3", "cp", "--recursive", str(local), "s3://aws-data/in/"], environment)
    assert "big.bin" in run([*aws, "s3", "ls", "s3://aws-data/in/"], environment)
    run([*aws, "s3", "cp", "s3://aws-data/in/big.bin", str(stage.parts.folder / "aws-out")], environment)
    assert (stage.parts.folder / "aws-out").read_bytes() == big
    run([*aws, "s3", "sync", "s3://aws-data/in/", "s3://aws-data/vault/in/"], environment)
    assert run([*aws, "s3", "ls", "--recursive", "s3://aws-data/vault/"], environment).count("\n") == 2
    run([*aws, "s3", "rm", "--recursive", "s3://aws-data/"], environment)
    left = run([*aws, "s3api", "list-objects-v2", "--no-paginate", "--bucket", "aws-data", "--query", "KeyCount"], environment).strip()
    assert left == "0", left


def test_rclone(stage):
    key, secret = stage.orgs["rclone"][1]
    remote = f":s3,provider=Other,endpoint='{stage.house.s3_url}',access_key_id={key},secret_access_key={secret}:rclone-data"
    environment = stage.environment("rclone")
    local = stage.parts.folder / "rclone-in"
    (local / "deep").mkdir(parents=True)
    (local / "a.bin").write_bytes(os.urandom(300_000))
    (local / "deep" / "b.bin").write_bytes(os.urandom(7 << 20))
    run(["rclone", "copy", str(local), remote], environment)
    run(["rclone", "check", str(local), remote], environment)
    out = stage.parts.folder / "rclone-out"
    run(["rclone", "copy", remote, str(out)], environment)
    assert (out / "deep" / "b.bin").read_bytes() == (local / "deep" / "b.bin").read_bytes()
    run(["rclone", "delete", remote], environment)


def test_s3cmd(stage):
    key, secret = stage.orgs["s3cmd"][1]
    host = stage.house.s3_url.removeprefix("http://")
    s3cmd = ["s3cmd", "-c", "/dev/null", f"--access_key={key}", f"--secret_key={secret}", f"--host={host}",
             f"--host-bucket={host}", "--no-ssl", "--no-check-certificate"]
    environment = stage.environment("s3cmd")
    local = stage.parts.folder / "s3cmd.bin"
    local.write_bytes(os.urandom(6 << 20))
    run([*s3cmd, "put", str(local), "s3://s3cmd-data/x/s3cmd.bin", "--multipart-chunk-size-mb=5"], environment)
    assert "s3://s3cmd-data/x/s3cmd.bin" in run([*s3cmd, "ls", "--recursive", "s3://s3cmd-data"], environment)
    run([*s3cmd, "get", "--force", "s3://s3cmd-data/x/s3cmd.bin", str(local) + ".out"], environment)
    assert open(f"{local}.out", "rb").read() == local.read_bytes()
    run([*s3cmd, "del", "s3://s3cmd-data/x/s3cmd.bin"], environment)


def test_restic(stage):
    environment = {**stage.environment("restic"), "RESTIC_PASSWORD": "x",
                   "RESTIC_REPOSITORY": f"s3:{stage.house.s3_url}/restic-whole/repo",
                   "RESTIC_CACHE_DIR": str(stage.parts.folder / "restic-cache")}
    local = stage.parts.folder / "restic-in"
    local.mkdir()
    (local / "f").write_bytes(os.urandom(3 << 20))
    run(["restic", "init"], environment)
    run(["restic", "backup", str(local)], environment)
    run(["restic", "check", "--read-data"], environment)
    out = stage.parts.folder / "restic-out"
    run(["restic", "restore", "latest", "--target", str(out)], environment)
    assert next(out.rglob("f")).read_bytes() == (local / "f").read_bytes()


def settled(stage, org, check):
    return wait_until("usage being counted", lambda: check(stage.house.totals(org)), 20)


def test_every_byte_and_request_is_counted(stage):
    org, _ = stage.orgs["exact"]
    s3 = stage.client("exact")
    sizes = [1, 100, 4_096, 65_537, 1_000_003]
    for size in sizes:
        s3.put_object(Bucket="exact-data", Key=f"k{size}", Body=b"x" * size)
    for size in sizes:
        s3.get_object(Bucket="exact-data", Key=f"k{size}")["Body"].read()
    s3.get_object(Bucket="exact-data", Key="k4096", Range="bytes=0-9")["Body"].read()
    s3.head_object(Bucket="exact-data", Key="k100")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="foreign")
    s3.delete_object(Bucket="exact-data", Key="k1")

    def counted(totals):
        operations = {}
        for (meter, dimensions), quantity in totals.items():
            if meter == "s3.requests":
                named = dict(dimensions)
                place = (named["operation"], named["class"], named["billed"])
                operations[place] = operations.get(place, 0) + quantity
        bytes_in = sum(q for (meter, _), q in totals.items() if meter == "s3.bytes_in")
        out_data = sum(q for (meter, d), q in totals.items() if meter == "s3.bytes_out" and dict(d)["bucket"] == "exact-data")
        # Events of reads come some milliseconds later than those of writes.
        return (sum(operations.values()) >= 2 * len(sizes) + 4 and operations, bytes_in, out_data)

    operations, bytes_in, out_data = wait_until(
        "every request being counted", lambda: (lambda found: found if found[0] else None)(counted(stage.house.totals(org))), 20)
    assert bytes_in == sum(sizes), bytes_in
    assert out_data == sum(sizes) + 10, out_data
    assert operations[("PutObject", "A", "yes")] == len(sizes)
    assert operations[("GetObject", "B", "yes")] == len(sizes) + 1
    assert operations[("HeadObject", "B", "yes")] == 1
    assert operations[("ListObjectsV2", "A", "yes")] == 1
    assert operations[("DeleteObject", "free", "no")] == 1


def signed_put(stage, key, body, declared_hash, sent, length=None, extra=None):
    """A PUT by hand, so that it can lie."""
    key_id, secret = stage.orgs["raw"][1]
    host = stage.house.s3_url.removeprefix("http://")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": declared_hash, "x-amz-date": now, **(extra or {})}
    names = ";".join(sorted(headers))
    canonical = "\n".join(["PUT", f"/raw-data/{key}", "", *[f"{n}:{headers[n]}" for n in sorted(headers)], "", names, declared_hash])
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = f"AWS4{secret}".encode()
    for part in (now[:8], "us-east-1", "s3", "aws4_request"):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    connection = socket.create_connection(tuple([host.split(":")[0], int(host.split(":")[1])]))
    head = f"PUT /raw-data/{key} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items())
    connection.sendall(f"{head}content-length: {length if length is not None else len(body)}\r\n\r\n".encode() + sent)
    return connection


def status_of(connection):
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    text = answer.read().decode()
    code = re.search(r"<Code>(\w+)</Code>", text)
    return answer.status, code.group(1) if code else ""


def exists(stage, key):
    try:
        stage.direct.head_object(Bucket="real-one", Key=f"tenants/raw/{key}")
        return True
    except ClientError:
        return False


def test_a_wrong_or_cut_upload_leaves_no_object(stage):
    body = os.urandom(200_000)
    right = hashlib.sha256(body).hexdigest()
    assert status_of(signed_put(stage, "right", body, right, body))[0] == 200 and exists(stage, "right")
    wrong = status_of(signed_put(stage, "wrong", body, right, body[:-1] + bytes([body[-1] ^ 1])))
    assert wrong == (400, "XAmzContentSHA256Mismatch") and not exists(stage, "wrong"), wrong
    cut = signed_put(stage, "cut", body, right, body[:150_000])
    cut.close()
    after = status_of(signed_put(stage, "after", b"", hashlib.sha256(b"").hexdigest(), b""))
    assert after[0] == 200 and not exists(stage, "cut")
    digest = "AAAAAAAAAAAAAAAAAAAAAA=="
    bad = status_of(signed_put(stage, "md5", body, right, body, extra={"content-md5": digest}))
    assert bad == (400, "BadDigest") and not exists(stage, "md5"), bad


def memory_kib(stage, field):
    text = open(f"/proc/{stage.house.process.pid}/status").read()
    return int(re.search(rf"{field}:\s+(\d+)", text).group(1))


def test_a_gibibyte_streams_in_bounded_memory(stage):
    before = memory_kib(stage, "VmRSS")
    s3 = stage.client("big")
    chunk = os.urandom(1 << 20)

    class Body:
        """1 GiB that is never in memory at once."""

        def __init__(self):
            self.left = 1 << 30

        def read(self, size=-1):
            size = min(len(chunk) if size is None or size < 0 else size, self.left, len(chunk))
            self.left -= size
            return chunk[:size]

        def __len__(self):
            return self.left

    key, secret = stage.orgs["big"][1]
    link = s3.generate_presigned_url("put_object", Params={"Bucket": "big-data", "Key": "gib"}, ExpiresIn=600)
    host, path = link.removeprefix("http://").split("/", 1)
    connection = http.client.HTTPConnection(host, timeout=300)
    connection.request("PUT", "/" + path, body=Body(), headers={"content-length": str(1 << 30)})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    got = s3.get_object(Bucket="big-data", Key="gib")["Body"]
    size = 0
    for piece in got.iter_chunks(1 << 20):
        size += len(piece)
    assert size == 1 << 30
    grown = memory_kib(stage, "VmHWM") - before
    print(f"        1 GiB up and down: {before} KiB before, peak {grown} KiB above")
    assert grown < 64 * 1024, grown
    s3.delete_object(Bucket="big-data", Key="gib")


def test_the_sweep_finds_what_went_past_the_gateway(stage):
    org, _ = stage.orgs["exact"]
    stage.direct.put_object(Bucket="real-two", Key="whole/exact/behind", Body=b"z" * 777)
    accounts = stage.house.api("GET", f"/v1/orgs/{stage.house.root}/s3-accounts")["data"]
    second = next(account["id"] for account in accounts if account["name"] == "second")
    drift = stage.house.api("POST", f"/v1/s3-accounts/{second}/sweep", {})
    assert drift["added"] == 1 and drift["bytes"] == 777, drift
    again = stage.house.api("POST", f"/v1/s3-accounts/{second}/sweep", {})
    assert again["added"] == 0 and again["bytes"] == 0, again


def test_no_answer_holds_a_byte_of_a_hidden_prefix(stage):
    """SeaweedFS leaves out empty segments and groups by any delimiter: `?prefix=/&delimiter=m` showed what lies above."""
    org = stage.house.child(stage.customer, "hidden", "department")
    stage.house.map(org, "hidden-data", stage.first, "real-one", "zqxj/vwk/")
    s3 = boto(stage.house.s3_url, stage.house.key(org))
    keys = ["m/1", "m/2", "a/b/c", "t.e", "n"]
    for key in keys:
        s3.put_object(Bucket="hidden-data", Key=key, Body=b"x")
    asked = 0
    for prefix in ("", "/", "//", "a/", "a//", "m", "/m", "/z", "z", ".", "%", "zqxj/", "/zqxj/"):
        for delimiter in ("", "/", "m", "z", "q", "x", "j", ".", "//", "k/"):
            for lister in (s3.list_objects, s3.list_objects_v2, s3.list_object_versions, s3.list_multipart_uploads):
                question = {"Bucket": "hidden-data", "Prefix": prefix, **({"Delimiter": delimiter} if delimiter else {})}
                try:
                    answer = lister(**question)
                except ClientError as error:
                    assert error.response["Error"]["Code"] in ("NotImplemented", "InvalidArgument"), (question, error)
                    answer = {"Said": error.response["Error"].get("Message", "")}
                asked += 1
                answer.pop("ResponseMetadata", None)
                for name in ("Prefix", "Delimiter", "EncodingType"):
                    answer.pop(name, None)  # What was asked comes back.
                shown = str(answer)
                for part in ("zq", "qx", "xj", "vw", "wk"):
                    assert part not in shown, (question, shown)
                if lister in (s3.list_objects, s3.list_objects_v2) and "Said" not in answer:
                    groups = {row["Prefix"] for row in answer.get("CommonPrefixes", [])}
                    wanted, grouped = set(), set()
                    for key in keys:
                        at = key.find(delimiter, len(prefix)) if delimiter else -1
                        if key.startswith(prefix):
                            (grouped.add(key[: at + len(delimiter)]) if at >= 0 else wanted.add(key))
                    assert set(keys_of(answer)) == wanted and groups == grouped, (question, shown)
    print(f"        {asked} questions")


def test_overlapping_rows_want_a_yes(stage):
    org = stage.house.child(stage.customer, "over", "department")
    row = {"bucket": "over-data", "account": stage.first, "real_bucket": "real-one", "prefix": "tenants/"}
    told = stage.house.api("POST", f"/v1/orgs/{org}/buckets", row, status=409)
    assert told["code"] == "mapping_overlap" and "tenants/aws/" in told["detail"], told
    made = stage.house.api("POST", f"/v1/orgs/{org}/buckets", {**row, "overlap": True})
    stage.house.api("DELETE", f"/v1/orgs/{org}/buckets/{made['id']}?charge=stop")
    former = stage.house.api("GET", f"/v1/orgs/{org}/former-buckets")["data"]
    assert [(one["bucket"], one["charge"]) for one in former] == [("over-data", "stop")], former


def test_a_broken_account_is_a_503_and_a_clear_word(stage):
    bad = {"name": "bad", "endpoint": stage.weed_url, "region": "us-east-1", "style": "path",
           "access_key": "nobody", "secret_key": "nothing"}
    told = stage.house.api("POST", f"/v1/orgs/{stage.house.root}/s3-accounts", bad, status=502)
    assert "InvalidAccessKeyId" in told["detail"], told
    gone = {**bad, "endpoint": f"http://127.0.0.1:{harness.free_port()}"}
    told = stage.house.api("POST", f"/v1/orgs/{stage.house.root}/s3-accounts/test", gone, status=502)
    assert "127.0.0.1" in told["detail"] and "refused" in told["detail"].lower(), told


if __name__ == "__main__":
    runner = harness.Runner("clients")
    stage = Stage()
    runner.run(harness.tests_of(sys.modules[__name__]), stage)
    stage.house.stop()
    runner.end()
