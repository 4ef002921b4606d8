"""CPU of the gateway beside haproxy, in front of the same SeaweedFS, in one run.

usage: gateway.py BINARY
"""
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "e2e"))
import harness  # noqa: E402
from harness import boto  # noqa: E402

harness.BINARY = pathlib.Path(sys.argv[1])
SMALL, LARGE = 2_000, 32


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    return int(open(f"/proc/{pid}/status").read().split("VmHWM:")[1].split()[0]) // 1024


def haproxy(parts, upstream):
    port = harness.free_port()
    config = parts.folder / "haproxy.cfg"
    config.write_text(f"""global
  nbthread 2
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend in
  bind 127.0.0.1:{port}
  default_backend weed
backend weed
  server weed {upstream.removeprefix("http://")}
""")
    process = parts.start(["haproxy", "-f", config], "haproxy.log")
    import socket
    harness.wait_until("haproxy listening", lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True)
    return f"http://127.0.0.1:{port}", process.pid


def measure(name, pid, work, unit, count):
    before, began = cpu_seconds(pid), time.monotonic()
    work()
    used = cpu_seconds(pid) - before
    print(f"{name}: {used / count * 1000 if unit == 'ms a request' else used / count:.3f} CPU {unit}, {time.monotonic() - began:.1f} s wall", flush=True)


def in_threads(count, work, threads=4):
    def part(first):
        for index in range(first, count, threads):
            work(index)

    running = [threading.Thread(target=part, args=(first,)) for first in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def round_of(label, url, key, bucket, pid):
    clients = {}

    def s3(signed=True):
        name = (threading.get_ident(), signed)
        if name not in clients:
            clients[name] = boto(url, key, request_checksum_calculation="when_required", response_checksum_validation="when_required",
                                 s3={"addressing_style": "path", "payload_signing_enabled": signed})
        return clients[name]

    small, large = os.urandom(4096), os.urandom(8 << 20)
    measure(f"{label} PUT 4 KiB", pid, lambda: in_threads(SMALL, lambda i: s3().put_object(Bucket=bucket, Key=f"s{i}", Body=small)), "ms a request", SMALL)
    measure(f"{label} GET 4 KiB", pid, lambda: in_threads(SMALL, lambda i: s3().get_object(Bucket=bucket, Key=f"s{i}")["Body"].read()), "ms a request", SMALL)
    gib = LARGE * 8 / 1024
    measure(f"{label} PUT 8 MiB signed", pid, lambda: in_threads(LARGE, lambda i: s3().put_object(Bucket=bucket, Key=f"l{i}", Body=large)), "s a GiB", gib)
    import http.client

    def unsigned(index):
        link = s3().generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": f"u{index}"}, ExpiresIn=600)
        host, path = link.removeprefix("http://").split("/", 1)
        connection = http.client.HTTPConnection(host, timeout=300)
        connection.request("PUT", "/" + path, body=large)
        assert connection.getresponse().read() is not None
        connection.close()

    measure(f"{label} PUT 8 MiB unsigned", pid, lambda: in_threads(LARGE, unsigned), "s a GiB", gib)
    measure(f"{label} GET 8 MiB", pid, lambda: in_threads(LARGE, lambda i: s3().get_object(Bucket=bucket, Key=f"l{i}")["Body"].read()), "s a GiB", gib)
    print(f"{label} peak {peak_mib(pid)} MiB", flush=True)


def main():
    parts = harness.Parts()
    weed = harness.start_seaweed(parts)
    boto(weed, harness.UPSTREAM).create_bucket(Bucket="real-one")
    proxy, proxy_pid = haproxy(parts, weed)
    house = harness.Meterhouse(parts).serve()
    house.sign_in()
    account = house.link(weed)
    house.map(house.root, "bench", account, "real-one", "t/")
    key = house.key(house.root)
    for _ in range(2):
        round_of("haproxy", proxy, harness.UPSTREAM, "real-one", proxy_pid)
        round_of("meterhouse", house.s3_url, key, "bench", house.process.pid)
    house.stop()


main()
