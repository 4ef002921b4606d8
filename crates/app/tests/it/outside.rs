//! Nobody makes the program speak to what the operator keeps closed: identity providers and S3 endpoints that
//! people name, tried with every spelling, and with answers that lead elsewhere.

use super::*;
use access::decide_job;
use app::idps::{self, NewIdp};
use app::outside::allowed;
use app::rows::IdpSettings;
use app::sources::{self, NewAccount};
use base::AccountId;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::accounts::{self, Account};

/// Counts who connects to it, and says this to each.
fn listener(answer: impl Fn(&str) -> String + Send + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let seen = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            seen.fetch_add(1, Ordering::SeqCst);
            let (mut stream, mut asked) = (stream.unwrap(), [0; 4_096]);
            let length = stream.read(&mut asked).unwrap_or(0);
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&asked[..length])).as_bytes());
        }
    });
    (port, count)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

const BUCKETS: &str = "<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>";

/// Ways to say this machine, and places that no tenant has a right to.
const HOSTS: &str = "127.0.0.1 localhost LOCALHOST localhost. a.localhost 127.1 127.0.1 2130706433 0x7f000001 0x7f.1
    0177.0.0.1 017700000001 127.0.0.1. 00127.0.0.1 0 0.0.0.0 127.127.127.127 [::1] [0:0:0:0:0:0:0:1] [::]
    [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [2002:7f00:1::] [::1%25lo] 169.254.169.254
    [fe80::1] [fd00:ec2::254] 100.100.100.200 168.63.129.16 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 [fc00::1]
    [fd12::1] [::ffff:10.0.0.1] 224.0.0.1 255.255.255.255 198.18.0.1 me@127.0.0.1 a:b@127.0.0.1
    127.0.0.1@s3.example s3.example@127.0.0.1 s3.example\\@127.0.0.1 127\u{3002}0\u{3002}0\u{3002}1
    \u{2460}\u{2461}\u{2466}.0.0.1 %6c%6f%63alhost";

/// Other schemes, and texts that one reader takes for another thing than the next.
const URLS: [&str; 14] = [
    "file:///etc/passwd",
    "gopher://127.0.0.1:{}/_x",
    "ftp://127.0.0.1:{}",
    "dict://127.0.0.1:{}/x",
    "unix:/run/docker.sock",
    "javascript:1",
    "//127.0.0.1:{}",
    "127.0.0.1:{}",
    "HTTP://127.0.0.1:{}",
    "http:127.0.0.1:{}",
    "http:/\\127.0.0.1:{}",
    " http://127.0.0.1:{}",
    "http://127.0.0.1:{}\r\nx: y",
    "https://127.0.0.1:{}#s3.example",
];

/// All of them at the port where somebody counts, and the spellings that the guard's own test refuses.
fn attacks(port: u16) -> Vec<String> {
    let spelled =
        HOSTS.split_whitespace().flat_map(|host| ["http", "https"].map(|scheme| format!("{scheme}://{host}:{port}")));
    let text = include_str!("../../../identity/tests/it/guard.rs");
    let (_, table) = text.split_once("REFUSED_URLS: &str = \"").expect("the table is there");
    let (table, _) = table.split_once("\";").expect("the table ends");
    let table = table.split(['\n', '|']).map(str::trim).filter(|case| !case.is_empty()).map(str::to_owned);
    spelled.chain(URLS.map(|text| text.replace("{}", &port.to_string()))).chain(table).collect()
}

/// The admin's context at a second node on the same store, which may speak to `networks` only.
async fn node(bench: &Bench, folder: &TempFolder, networks: &[&str]) -> Cx {
    let networks: Vec<String> = networks.iter().map(|text| (*text).to_owned()).collect();
    let outside = app::Outside { allowed: allowed(&networks, &[]).unwrap(), ..app::Outside::default() };
    let lake = Lake::open(folder.path(), None, bench.world.clone(), lake::Settings::default()).await.unwrap();
    let store = Store::open(&bench.url).await.unwrap();
    let app = App::new(store, lake, bench.world.clone(), app::secrets::Vault::new(&[3; 32]), outside).unwrap();
    Cx { app, ..bench.cx.clone() }
}

fn account(endpoint: &str, style: &str) -> NewAccount {
    NewAccount {
        name: "Store".into(),
        endpoint: endpoint.into(),
        region: "us-east-1".into(),
        style: style.into(),
        access_key: "AK".into(),
        secret_key: "SK".into(),
    }
}

fn provider(issuer: &str) -> NewIdp {
    NewIdp {
        name: "Works".into(),
        issuer: issuer.into(),
        client_id: "meterhouse".into(),
        client_secret: None,
        settings: IdpSettings::default(),
        active: true,
    }
}

/// Refused before anybody was asked: a failure of the network says that somebody was.
fn is_guarded<T>(result: &Result<T, Failure>) -> bool {
    let tried = ["cannot connect", "did not answer", "secure connection", "broke off", "Connection refused"];
    result.as_ref().is_err_and(|failure| {
        let is_about_it = matches!(failure.kind, Kind::Invalid | Kind::Upstream);
        is_about_it && !tried.iter().any(|words| failure.text.contains(words))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_reaches_what_is_closed() {
    let bench = Bench::open(false, "no_spelling_reaches").await;
    let folder = TempFolder::new("no_spelling_reaches_node");
    let closed = node(&bench, &folder, &[]).await;
    let (port, reached) = listener(|_| ok(BUCKETS));
    let (mut tries, mut through) = (0, Vec::new());
    for url in attacks(port) {
        let held = [
            ("idp test", is_guarded(&idps::test(&closed, bench.customer, &url).await)),
            ("idp put", is_guarded(&idps::put(&closed, bench.customer, provider(&url)).await)),
            ("s3 test", is_guarded(&sources::test(&closed, bench.customer, &account(&url, "path")).await)),
            ("s3 link", is_guarded(&sources::link(&closed, bench.customer, account(&url, "virtual_host")).await)),
        ];
        tries += held.len();
        through.extend(held.into_iter().filter(|(_, held)| !held).map(|(way, _)| format!("{way} {url:?}")));
    }
    // What stands in the database may be older than the rule, or was written by another hand.
    let store = Store::open(&bench.url).await.unwrap();
    for (at, host) in ["127.0.0.1", "[::1]", "2130706433", "169.254.169.254"].into_iter().enumerate() {
        let row = Account {
            id: AccountId(at as u128 + 1),
            org: bench.customer,
            name: format!("Old {at}"),
            endpoint: format!("http://{host}:{port}"),
            region: "us-east-1".into(),
            style: "path".into(),
            access_key: "AK".into(),
            secret_sealed: String::new(),
            created_us: 0,
        };
        let mut tx = store.write(&decide_job(bench.cx.realm, bench.customer)).await.unwrap();
        accounts::insert(&mut tx, &row).await.unwrap();
        tx.commit().await.unwrap();
        let failure = sources::test_linked(&closed, row.id).await.unwrap_err();
        tries += 1;
        through.extend((failure.field != "endpoint").then(|| format!("stored {host}: {failure}")));
    }
    println!("{tries} tries, {} got through, {} connections", through.len(), reached.load(Ordering::SeqCst));
    assert!(tries > 1_000, "{tries}");
    assert!(through.is_empty(), "{}", through.join("\n"));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
    // Somebody does listen: where the operator opens it, the same address is reached.
    let folder = TempFolder::new("no_spelling_reaches_open");
    let open = node(&bench, &folder, &["127.0.0.0/8"]).await;
    sources::test(&open, bench.customer, &account(&format!("http://127.0.0.1:{port}"), "path")).await.unwrap();
    assert_eq!(reached.load(Ordering::SeqCst), 1);
}

/// A provider that may be spoken to names others in its documents, or sends on to them.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_leads_to_nobody_closed() {
    let bench = Bench::open(false, "a_document_leads_to").await;
    let folder = TempFolder::new("a_document_leads_to_node");
    let open = node(&bench, &folder, &["127.0.0.0/8"]).await;
    let (trap, reached) = listener(|_| ok("{}"));
    let mut tries = 0;
    for closed in
        ["http://10.0.0.1/x", "https://169.254.169.254/x", "https://[fc00::1]/x", "https://0x7f.1/x", "file:///x"]
    {
        for lying in ["token_endpoint", "jwks_uri", "userinfo_endpoint"] {
            let (port, asked) = listener(move |question| {
                let host = question.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
                let mut document = serde_json::json!({ "issuer": format!("http://{host}") });
                for name in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"] {
                    document[name] = format!("http://{host}/{name}").into();
                }
                document[lying] = closed.into();
                ok(&document.to_string())
            });
            let result = idps::test(&open, bench.customer, &format!("http://127.0.0.1:{port}")).await;
            assert!(is_guarded(&result), "{lying} {closed}: {result:?}");
            let text = result.unwrap_err().text;
            assert!(text.contains(lying), "{lying} {closed}: {text}");
            assert_eq!(asked.load(Ordering::SeqCst), 1, "its document, and nothing else");
            tries += 1;
        }
    }
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let (port, asked) = listener(move |_| {
            format!(
                "HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:{trap}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        });
        let url = format!("http://127.0.0.1:{port}");
        let refused = idps::test(&open, bench.customer, &url).await.unwrap_err();
        assert!(refused.text.contains("redirect"), "{status}: {}", refused.text);
        assert!(sources::test(&open, bench.customer, &account(&url, "path")).await.is_err(), "{status}");
        assert_eq!(asked.load(Ordering::SeqCst), 2, "{status}");
        tries += 2;
    }
    println!("{tries} tries, {} connections", reached.load(Ordering::SeqCst));
    assert_eq!(reached.load(Ordering::SeqCst), 0, "nobody was sent on");
}
