"""How long the pages of a tree with many organisations take: bench/pages.py BINARY [ORGANISATIONS] [RUNS]

All of them are children of one parent, the widest list there is; every hundredth has a child of its own and
somebody invited. Each page is asked for one after the other over a kept connection; the median and the 95th
percentile of the runs are printed, the first answer beside them.
"""
import http.client
import http.cookiejar
import pathlib
import statistics
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "e2e"))
import harness  # noqa: E402

ORGANISATIONS = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
RUNS = int(sys.argv[3]) if len(sys.argv) > 3 else 21


def cookie_of(house):
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    form = urllib.parse.urlencode({"email": "admin@example.com", "password": harness.PASSWORD}).encode()
    opener.open(f"{house.url}/sign-in", form, timeout=60).close()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def measure(house, what, path, headers):
    connection = http.client.HTTPConnection("127.0.0.1", house.console_port, timeout=120)
    took, size = [], 0
    for _ in range(RUNS + 1):
        begin = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        took.append((time.perf_counter() - begin) * 1000)
        assert answer.status == 200, (path, answer.status, text[:500])
        size = len(text)
    first, rest = took[0], sorted(took[1:])
    print(f"{what:34} median {statistics.median(rest):8.1f} ms   p95 {rest[int(len(rest) * 0.95) - 1]:8.1f}"
          f"   first {first:8.1f}   {size / 1024:8.1f} KiB", flush=True)


def main():
    harness.BINARY = sys.argv[1]
    house = harness.Meterhouse(harness.Parts()).serve()
    house.sign_in()
    begin, some = time.perf_counter(), None
    for number in range(ORGANISATIONS):
        org = house.child(house.root, f"Customer {number:05}", "customer")
        if number % 100 == 0:
            some = house.child(org, "Lab", "department")
            house.api("POST", f"/v1/orgs/{org}/invitations", {"email": f"p{number}@example.com", "policy": "member"})
    print(f"{ORGANISATIONS} organisations made in {time.perf_counter() - begin:.1f} s")
    cookie = {"cookie": cookie_of(house)}
    token = {"authorization": f"Bearer {house.token}"}
    root = house.root
    for page in ("children", "overview", "people", "people?q=nobody", "costs", "papers", "tree", "audit"):
        measure(house, f"page {page}", f"/o/{root}/{page}", cookie)
    measure(house, "page children of a customer", f"/o/{org}/children", cookie)
    measure(house, "page overview of a leaf", f"/o/{some}/overview", cookie)
    for path in ("children?limit=100", "tree", "users"):
        measure(house, f"api {path}", f"/v1/orgs/{root}/{path}", token)
    measure(house, "api /v1/orgs", "/v1/orgs", token)
    house.stop()


main()
