//! The guard of addresses: about 200 spellings, one a line.

use identity::guard::{Allowed, Host, Network, Target, check_address, check_answers, check_url};
use std::net::IpAddr;

/// Spellings of what must never be reached, by URL. None may pass, whatever the reason.
const REFUSED_URLS: &str = "
https://127.0.0.1/ | https://127.0.0.1:8443/ | https://127.1/ | https://127.0.1/ | https://127.255.255.254/
https://0x7f.1/ | https://0x7f.0.0.1/ | https://0x7f000001/ | https://0X7F000001/ | https://0x7F.0x0.0x0.0x1/
https://2130706433/ | https://017700000001/ | https://0177.0.0.1/ | https://0177.1/ | https://00000177.0.0.1/
https://127.0.0.01/ | https://127.000.000.001/ | https://0127.0.0.1/ | https://127.0.0.1./ | https://127.0.0.0x1/
https://127.0.0.1.:443/ | https://0x/ | https://a.0x/ | https://1/ | https://256.256.256.256/ | https://1.2.3/
https://1.2.3.4.5/ | https://foo.1/ | https://foo.0x1f/ | https://999999999999/ | https://0.0.0.0/ | https://0/
https://00/ | https://0x0/ | https://0.1.2.3/ | https://[::]/ | https://[::1]/ | https://[0:0:0:0:0:0:0:1]/
https://[0000:0000:0000:0000:0000:0000:0000:0001]/ | https://[::127.0.0.1]/ | https://[::7f00:1]/
https://[::ffff:127.0.0.1]/ | https://[::ffff:7f00:1]/ | https://[::FFFF:7F00:0001]/ | https://[::ffff:0:127.0.0.1]/
https://[0:0:0:0:0:ffff:7f00:1]/ | https://[::ffff:169.254.169.254]/ | https://[::ffff:a9fe:a9fe]/
https://[::ffff:10.0.0.1]/ | https://[::ffff:192.168.1.1]/ | https://[::ffff:100.64.0.1]/ | https://[::ffff:0.0.0.0]/
https://169.254.169.254/ | https://169.254.169.254:8443/latest/meta-data/ | https://0xa9fea9fe/ | https://2852039166/
https://0xa9.0xfe.0xa9.0xfe/ | https://0251.0376.0251.0376/ | https://169.254.43518/ | https://169.16689662/
https://025177524776/ | https://169.254.0.1/ | https://169.254.255.255/ | https://100.100.100.200/
https://168.63.129.16/ | https://192.0.0.192/ | https://[fd00:ec2::254]/ | https://[fd20:ce::254]/
https://[fe80::a9fe:a9fe]/ | https://[fe80::1]/ | https://[fe80::1%25eth0]/ | https://[fe80::1%eth0]/ | https://[febf::1]/
https://10.0.0.0/ | https://10.0.0.1/ | https://10.255.255.255/ | https://10.1/ | https://012.0.0.1/ | https://0xa.0.0.1/
https://167772161/ | https://172.16.0.1/ | https://172.31.255.255/ | https://172.20.1/ | https://192.168.0.1/
https://192.168.257/ | https://0xc0a80001/ | https://3232235521/ | https://0300.0250.0.1/ | https://192.168.255.255/
https://100.64.0.0/ | https://100.64.0.1/ | https://100.127.255.255/ | https://198.18.0.1/ | https://198.19.255.255/
https://192.0.2.1/ | https://198.51.100.7/ | https://203.0.113.9/ | https://192.88.99.1/ | https://192.0.0.1/
https://192.0.0.170/ | https://224.0.0.1/ | https://239.255.255.250/ | https://240.0.0.1/ | https://255.255.255.255/
https://4294967295/ | https://0xffffffff/ | https://[fc00::1]/ | https://[fd12:3456:789a::1]/ | https://[fdff:ffff::1]/
https://[fec0::1]/ | https://[feff::1]/ | https://[ff02::1]/ | https://[ff0e::1]/ | https://[100::1]/
https://[2001:db8::1]/ | https://[3fff::1]/ | https://[2001::1]/ | https://[2001:0:7f00:1::]/ | https://[2001:2::1]/
https://[2001:10::1]/ | https://[2001:20::1]/ | https://[5f00::1]/ | https://[4000::1]/ | https://[64:ff9b::7f00:1]/
https://[64:ff9b::127.0.0.1]/ | https://[64:ff9b::10.0.0.1]/ | https://[64:ff9b::192.168.1.1]/
https://[64:ff9b::169.254.169.254]/ | https://[64:ff9b::a9fe:a9fe]/ | https://[64:ff9b::100.64.0.1]/
https://[64:ff9b::0.0.0.0]/ | https://[64:ff9b:1::1]/ | https://[64:ff9b:1::8.8.8.8]/ | https://[2002:7f00:1::]/
https://[2002:7f00:0001::1]/ | https://[2002:a00:1::]/ | https://[2002:c0a8:101::1]/ | https://[2002:a9fe:a9fe::]/
https://[2002:6440:1::]/ | https://[2606:4700::5efe:10.0.0.1]/ | https://[2606:4700::200:5efe:7f00:1]/
https://[::8.8.8.8]/ | https://[::ffff:0:8.8.8.8]/ | https://[::1/ | https://::1/ | https://[127.0.0.1]/ | https://[]/
https://[::1]:8443/ | https://[::1]x/ | https://[::1]:443x/ | https://localhost/ | https://LOCALHOST/
https://localhost:8443/ | https://a.localhost/ | https://user@8.8.8.8/ | https://8.8.8.8@127.0.0.1/
https://8.8.8.8:443@127.0.0.1/ | https://good.example@127.0.0.1:443/ | https://a:b@good.example/ | https://@good.example/
https://127.0.0.1#@good.example/ | https://good.example#@127.0.0.1/ | https://127.0.0.1\\@good.example/
https:\\\\127.0.0.1/ | https://good.example\\.evil/ | https:/127.0.0.1/ | https:127.0.0.1 | //127.0.0.1/ | 127.0.0.1
https://127%2e0%2e0%2e1/ | https://%31%32%37.0.0.1/ | https://localhost%00.good.example/ | https://good.example%2f/
https://127。0。0。1/ | https://１２７.０.０.１/ | https://①②⑦.0.0.1/ | https://ⓛocalhost/ | https://bücher.example/
https://lo\u{AD}calhost/ | https://good.example\u{200B}/ | https://good.example:0/ | https://good.example:65536/
https://good.example:-1/ | https://good.example:+443/ | https://good.example: 443/ | https://good.example:443:443/
https://good.example:/ | https://8.8.8.8:22/ | https://8.8.8.8:80/ | https://8.8.8.8:6379/ | https://8.8.8.8:25/
http://8.8.8.8/ | http://good.example/ | http://127.0.0.1/ | http://localhost/ | http://169.254.169.254/
ftp://good.example/ | file:///etc/passwd | gopher://127.0.0.1:70/_ | dict://127.0.0.1/ | data:text/plain,x
javascript:alert(1) | ldap://good.example/ | jar:https://good.example!/ | https:// | https:/// | https://.../
https://./ | https://.good.example/ | https://good..example/ | https://-good.example/ | https://good-.example/
https://go od.example/ | https://good.example/a b | https://good.example/\ta | https://*.example/ | https://a,b/
https://!/ | https://~/ | https://(127.0.0.1)/ | https://good.example;127.0.0.1/ | https://$HOST/ | https://{127.0.0.1}/
";

/// Public addresses and names, which must pass.
const TAKEN_URLS: &str = "
https://8.8.8.8/ | https://1.1.1.1:8443/x | https://9.255.255.255/ | https://11.0.0.0/ | https://100.63.255.255/
https://100.128.0.0/ | https://126.255.255.255/ | https://128.0.0.0/ | https://169.253.255.255/ | https://169.255.0.0/
https://172.15.255.255/ | https://172.32.0.0/ | https://192.167.255.255/ | https://192.169.0.0/ | https://198.17.255.255/
https://198.20.0.0/ | https://223.255.255.255/ | https://[2606:4700::1111]/ | https://[2a00:1450:4001::200e]:443/
https://[::ffff:8.8.8.8]/ | https://[64:ff9b::8.8.8.8]/ | https://[2002:808:808::1]/ | https://[2001:200::1]/
https://good.example/ | https://GOOD.example:443/a?b=c | https://good.example?x | HTTPS://good.example
https://xn--bcher-kva.example/ | https://a_b.good.example/ | https://1.good.example/ | https://0x7f.example/
https://127.0.0.1.nip.example/ | https://idp | https://good.example/a@b | https://good.example/:22
";

fn cases(table: &str) -> impl Iterator<Item = &str> {
    table.trim().split(['\n', '|']).map(|case| case.trim_matches(' ')).filter(|case| !case.is_empty())
}

#[test]
fn refused_spellings() {
    assert!(cases(REFUSED_URLS).count() >= 200, "{}", cases(REFUSED_URLS).count());
    let passed: Vec<_> = cases(REFUSED_URLS).filter(|url| check_url(url, &Allowed::default()).is_ok()).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn taken_spellings() {
    for url in cases(TAKEN_URLS) {
        check_url(url, &Allowed::default()).unwrap_or_else(|error| panic!("{url}: {error}"));
    }
}

/// What systems make of odd spellings is checked again after the resolver: every answer, one bad one is enough.
#[test]
fn answers_of_a_resolver() {
    let target: Target = "https://good.example/".parse().unwrap();
    let check = |answers: &str, good: bool| {
        let answers: Vec<IpAddr> = answers.split_whitespace().map(|text| text.parse().unwrap()).collect();
        let got = check_answers(&target.host, &answers, &target, &Allowed::default());
        assert_eq!(got.is_ok(), good, "{answers:?}: {got:?}");
    };
    check("8.8.8.8", true);
    check("8.8.8.8 2606:4700::1111", true);
    check("", false);
    check("127.0.0.1", false);
    check("8.8.8.8 127.0.0.1", false); // two different answers
    check("10.0.0.1 8.8.8.8", false);
    check("2606:4700::1111 ::1", false);
    check("8.8.8.8 ::ffff:10.0.0.1", false);
    check("8.8.8.8 64:ff9b::a00:1", false);
    check("8.8.8.8 169.254.169.254", false);
}

/// What the operator opens: flags, URL, whether it passes.
#[test]
fn what_the_operator_opens() {
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Network>>();
    let loopback = Allowed { loopback: true, ..Allowed::default() };
    let private = Allowed { networks: networks(&["10.20.0.0/16", "fd00:1::/32"]), ..Allowed::default() };
    let wide =
        Allowed { networks: networks(&["169.0.0.0/8", "fd00::/8", "fe80::/10", "100.64.0.0/10"]), ..loopback.clone() };
    let ports = Allowed { ports: vec![9443], ..Allowed::default() };
    let check = |allowed: &Allowed, url: &str, good: bool| {
        let got = check_url(url, allowed);
        assert_eq!(got.is_ok(), good, "{url}: {got:?}");
    };
    check(&loopback, "http://127.0.0.1:3000/", true);
    check(&loopback, "http://localhost:3000/", true);
    check(&loopback, "http://[::1]:3000/", true);
    check(&loopback, "https://127.0.0.1:3000/", true);
    check(&loopback, "http://8.8.8.8/", false);
    check(&loopback, "http://10.0.0.1/", false);
    check(&loopback, "http://0.0.0.0:3000/", false);
    check(&loopback, "http://[::ffff:7f00:1]:3000/", false); // only the plain spelling
    check(&private, "https://10.20.255.1:9000/", true);
    check(&private, "http://10.20.255.1:9000/", false);
    check(&private, "https://10.21.0.1/", false);
    check(&private, "https://[fd00:1:2::3]:9000/", true);
    check(&private, "https://[fd00:2::3]/", false);
    check(&private, "https://127.0.0.1/", false);
    check(&wide, "https://169.254.169.254/", false); // metadata stays closed
    check(&wide, "https://[fd00:ec2::254]/", false);
    check(&wide, "https://[fe80::1]/", false);
    check(&wide, "https://100.100.100.200/", false);
    check(&wide, "https://100.100.100.201/", true);
    check(&ports, "https://8.8.8.8:9443/", true);
    check(&ports, "https://8.8.8.8:9444/", false);
}

#[test]
fn networks_are_read_strictly() {
    for wrong in [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/7",
        "0.0.0.0/0",
        "10/8",
        "::/0",
        "x/8",
        "::1/129",
    ] {
        assert!(wrong.parse::<Network>().is_err(), "{wrong}");
    }
    let one: Network = "8.8.8.8/32".parse().unwrap();
    assert!(one.contains("8.8.8.8".parse().unwrap()) && !one.contains("8.8.8.9".parse().unwrap()));
    let host: Network = "fd00::1/128".parse().unwrap();
    assert!(host.contains("fd00::1".parse().unwrap()) && !host.contains("fd00::2".parse().unwrap()));
    assert_eq!(host.to_string(), "fd00::1/128");
}

#[test]
fn urls_are_taken_apart() {
    let check = |url: &str, host: &str, port: u16, path: &str| {
        let target: Target = url.parse().unwrap();
        assert_eq!((target.host.to_string().as_str(), target.port, target.path.as_str()), (host, port, path), "{url}");
    };
    check("https://Good.Example", "good.example", 443, "/");
    check("https://good.example:8443?a=/b", "good.example", 8443, "/?a=/b");
    check("http://[2606:4700:0::1111]:80/x", "[2606:4700::1111]", 80, "/x");
    assert!(matches!("8.8.8.8".parse(), Ok(Host::Address(_))));
    assert_eq!("https://good.example:8443/a".parse::<Target>().unwrap().to_string(), "https://good.example:8443/a");
    assert_eq!("https://good.example:443/a".parse::<Target>().unwrap().authority(), "good.example");
}

#[test]
fn refusals_say_why() {
    let check = |url: &str, want: &str| assert_eq!(check_url(url, &Allowed::default()).unwrap_err().to_string(), want);
    check("https://10.0.0.1/", r#"host "10.0.0.1" leads to 10.0.0.1: this address is private"#);
    check("https://0x7f.1/", r#"host "0x7f.1" is an unusual spelling of an address"#);
    check("http://good.example/", r#"url "http://good.example/" must begin with https://"#);
    let error = check_address("64:ff9b::7f00:1".parse().unwrap(), &Allowed::default()).unwrap_err();
    assert_eq!(error.to_string(), r#"address "64:ff9b::7f00:1" leads to 127.0.0.1, which is this machine"#);
}
