"""Starts the parts of an end-to-end test on free loopback ports and ends only what it started."""
import atexit
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = TARGET / "debug" / "meterhouse"
PASSWORD = "correct horse battery"
UPSTREAM = ("upstreamkey", "upstreamsecret0123456789")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, check, seconds=60):
    """Asks again until it holds; the only kind of waiting in these tests."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = check()
            if found:
                return found
        except (OSError, urllib.error.URLError):
            pass
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.05)


class Parts:
    """Folders and processes that end with the test."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="meterhouse-e2e-"))
        self.started = []
        atexit.register(self.close)

    def start(self, command, log, **options):
        out = open(self.folder / log, "ab")
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out, **options)
        self.started.append(process)
        return process

    def close(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_seaweed(parts):
    """A real S3 server. It ends only on KILL."""
    weed = pathlib.Path(sys.executable).parent / "weed"
    ports = {name: free_port() for name in ("s3", "master", "filer", "volume")}
    config = parts.folder / "weed.json"
    identity = {"name": "meterhouse", "credentials": [{"accessKey": UPSTREAM[0], "secretKey": UPSTREAM[1]}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    config.write_text(json.dumps({"identities": [identity]}))
    data = parts.folder / "weed"
    data.mkdir()
    flags = ["server", "-s3", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
             "-master.peers=none", "-s3.port.iceberg=0", "-s3.port.lance=0", "-filer.maxMB=4",
             "-master.volumeSizeLimitMB=64", "-volume.max=0", f"-s3.config={config}"]
    for name, port in ports.items():
        flags += [f"-{name}.port={port}", f"-{name}.port.grpc={free_port()}"]
    parts.start([weed, *flags], "weed.log", env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"})
    url = f"http://127.0.0.1:{ports['s3']}"
    wait_until("SeaweedFS answering", lambda: urllib.request.urlopen(f"{url}/status", timeout=2).status == 200)
    return url


def start_sim(parts):
    """The demo's own small store, where a test wants speed more than S3 completeness."""
    port, secret = free_port(), parts.folder / "sim-secret"
    secret.write_text(UPSTREAM[1])
    parts.start([BINARY, "sim", "s3", "--port", str(port), "--access-key", UPSTREAM[0], "--secret-file", secret,
                 "--data-dir", parts.folder / "sim"], "sim.log")
    wait_until("the store listening", lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True)
    return f"http://127.0.0.1:{port}"


class Meterhouse:
    """The program under test, set up as a new user would: init, serve, API."""

    def __init__(self, parts, environment=None):
        self.parts = parts
        self.folder = parts.folder / f"data-{free_port()}"
        self.folder.mkdir()
        self.environment = {**os.environ, **(environment or {})}
        self.console_port, self.s3_port = free_port(), free_port()
        self.config = self.folder / "meterhouse.toml"
        self.config.write_text(f"""data_dir = "{self.folder}"
[console]
listen = "127.0.0.1:{self.console_port}"
[gateway]
listen = "127.0.0.1:{self.s3_port}"
[network]
allow = ["127.0.0.0/8"]
[log]
format = "text"
""")
        self.s3_url = f"http://127.0.0.1:{self.s3_port}"
        self.url = f"http://127.0.0.1:{self.console_port}"
        done = subprocess.run([BINARY, "init", "--config", self.config, "--name", "Provider", "--admin-email",
                               "admin@example.com", "--zone", "UTC"], input=PASSWORD.encode(), capture_output=True,
                              env=self.environment)
        assert done.returncode == 0, done.stderr.decode()
        self.root = next(line.split()[1] for line in done.stdout.decode().splitlines() if line.startswith("organisation"))
        self.process = None
        self.token = None

    def serve(self):
        self.process = self.parts.start([BINARY, "serve", "--config", self.config], "serve.log", env=self.environment)
        wait_until("the console answering", lambda: urllib.request.urlopen(f"{self.url}/readyz", timeout=2).status == 200)
        wait_until("the gateway listening", lambda: socket.create_connection(("127.0.0.1", self.s3_port), 1).close() or True)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, "a stop by SIGTERM must end with 0"

    def sign_in(self):
        body = {"email": "admin@example.com", "password": PASSWORD, "name": "e2e", "days": 1}
        self.token = self.api("POST", "/v1/tokens", body)["secret"]

    def api(self, method, path, body=None, status=None, headers=None):
        """Calls the API; any status but the wanted one (or 2xx) is an error."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("content-type", "application/json")
        if self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text, got = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            text, got = error.read(), error.code
        good = got == status if status else 200 <= got < 300
        assert good, f"{method} {path}: {got} {text[:2000]!r}"
        return json.loads(text) if text[:1] in (b"{", b"[") else text

    def link(self, upstream_url, name="weed"):
        account = {"name": name, "endpoint": upstream_url, "region": "us-east-1", "style": "path",
                   "access_key": UPSTREAM[0], "secret_key": UPSTREAM[1]}
        return self.api("POST", f"/v1/orgs/{self.root}/s3-accounts", account)["id"]

    def child(self, parent, name, kind):
        return self.api("POST", f"/v1/orgs/{parent}/children", {"name": name, "kind": kind})["id"]

    def map(self, org, bucket, account, real_bucket, prefix="", folder="", access="write"):
        row = {"bucket": bucket, "folder": folder, "account": account, "real_bucket": real_bucket, "prefix": prefix,
               "access": access}
        return self.api("POST", f"/v1/orgs/{org}/buckets", row)

    def key(self, org):
        """A key of the admin himself, charged to `org`."""
        me = self.api("GET", "/v1/me")["id"]
        made = self.api("POST", f"/v1/orgs/{org}/keys", {"user": me, "name": "e2e"})
        return made["key_id"], made["secret"]

    def usage(self, org, **question):
        query = "&".join(f"{name}={value}" for name, value in {"limit": 1000, **question}.items())
        answer = self.api("GET", f"/v1/orgs/{org}/usage?{query}")
        assert not answer["has_more"], "more rows than one page holds"
        return answer

    def totals(self, org, by="dimensions"):
        """(meter, dimensions) -> quantity of the running month."""
        sums = {}
        for row in self.usage(org, by=by)["data"]:
            dimensions = row.get("dimensions") or {}
            if isinstance(dimensions, str):
                dimensions = json.loads(dimensions or "{}")
            key = (row["meter"], tuple(sorted(dimensions.items())))
            sums[key] = sums.get(key, 0) + int(row["quantity"].split(".")[0])
        return sums


def boto(url, key, **config):
    import boto3
    from botocore.config import Config

    options = {"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 1}, "signature_version": "s3v4", **config}
    return boto3.client("s3", endpoint_url=url, aws_access_key_id=key[0], aws_secret_access_key=key[1],
                        region_name="us-east-1", config=Config(**options))


class Runner:
    """Runs the functions whose names begin with `test_`, prints a line for each, and the closing line."""

    def __init__(self, name):
        self.name, self.passed, self.failed = name, 0, 0

    def run(self, functions, *arguments):
        import traceback

        for function in functions:
            try:
                function(*arguments)
                self.passed += 1
                print(f"ok      {self.name} {function.__name__}", flush=True)
            except Exception:
                self.failed += 1
                print(f"FAILED  {self.name} {function.__name__}\n{traceback.format_exc()}", flush=True)

    def end(self):
        print(f"{self.name}: {self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


def tests_of(module):
    """All tests of a module, or those named on the command line."""
    if len(sys.argv) > 1:
        return [vars(module)[name] for name in sys.argv[1:]]
    return [value for name, value in vars(module).items() if name.startswith("test_") and callable(value)]
