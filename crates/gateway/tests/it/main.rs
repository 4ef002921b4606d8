//! The gateway between a scripted client and a scripted upstream: what is metered when one of them stops.

use base::{AccountId, MappingId, OrgId, RealmId, UserId, World};
use gateway::{Caller, Gateway, Mapping, Port, PortError, Settings, VirtualBucket};
use http::{HeaderMap, HeaderValue};
use metering::s3::{ObjectChange, S3Request};
use s3::sigv4::{Signer, SigningKeyCache, UNSIGNED_PAYLOAD, presign_url, sign_headers};
use s3::{Client, Style, Upstream, names};
use std::sync::Arc;
use std::time::Duration;
use testkit::TestWorld;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

const KEY: &str = "MHKEY";
const SECRET: &str = "secret";
const HOST: &str = "gw.test";

/// State of one caller with one bucket; events come out of a channel.
struct FakePort {
    caller: Arc<Caller>,
    buckets: Arc<Vec<VirtualBucket>>,
    events: mpsc::UnboundedSender<S3Request>,
}

impl Port for FakePort {
    async fn caller(&self, access_key_id: &str) -> Result<Option<Arc<Caller>>, PortError> {
        Ok((access_key_id == KEY).then(|| Arc::clone(&self.caller)))
    }

    async fn buckets(&self, _: &Caller) -> Result<Arc<Vec<VirtualBucket>>, PortError> {
        Ok(Arc::clone(&self.buckets))
    }

    async fn record(&self, events: &[S3Request]) -> Result<(), PortError> {
        for event in events {
            self.events.send(event.clone()).map_err(|error| PortError(error.to_string()))?;
        }
        Ok(())
    }
}

struct Stage {
    address: std::net::SocketAddr,
    events: mpsc::UnboundedReceiver<S3Request>,
    upstream: TcpListener,
    world: Arc<TestWorld>,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Stage {
    async fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", upstream.local_addr().unwrap());
        let at = Arc::new(Upstream::new(&endpoint, "us-east-1", Style::Path, "real", "real secret").unwrap());
        let mapping = |no: u128| Mapping {
            mapping: MappingId(no),
            folder: String::new(),
            account: AccountId(no),
            upstream: Arc::clone(&at),
            real_bucket: format!("real-{no}"),
            prefix: "t/".into(),
            writable: true,
        };
        let bucket =
            |no: u128, name: &str| VirtualBucket { name: name.into(), created_us: 0, mappings: vec![mapping(no)] };
        let caller = Caller {
            realm: RealmId(1),
            org: OrgId(2),
            user: UserId(3),
            access_key_id: KEY.into(),
            secret: SECRET.into(),
        };
        let (sender, events) = mpsc::unbounded_channel();
        let port = FakePort {
            caller: Arc::new(caller),
            buckets: Arc::new(vec![bucket(1, "data"), bucket(2, "other")]),
            events: sender,
        };
        let world = Arc::new(TestWorld::at("2026-11-01T00:00:00Z", 1));
        let mut settings = Settings::new([7; 32]);
        change(&mut settings);
        let gateway = Gateway::new(port, Arc::new(Client::new().unwrap()), world.clone(), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let connections = serving::connections::Connections::new(Default::default(), |_| false);
        let serving = tokio::spawn(gateway::serve(listener, Arc::new(gateway), connections, stopped));
        Self { address, events, upstream, world, stop: Some(stop), serving }
    }

    /// The head of a signed request.
    fn head(&self, method: &str, target: &str, more: &[(&'static str, String)]) -> String {
        let cache = SigningKeyCache::default();
        let signer =
            Signer { access_key_id: KEY, secret: SECRET, region: "r", now_us: self.world.now_us(), cache: &cache };
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(HOST));
        for (name, value) in more.iter().filter(|(name, _)| name.starts_with("x-")) {
            headers.insert(*name, value.parse().unwrap());
        }
        sign_headers(&signer, method, target, &mut headers, UNSIGNED_PAYLOAD).unwrap();
        for (name, value) in more {
            headers.insert(*name, value.parse().unwrap());
        }
        let lines = headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
        format!("{method} {target} HTTP/1.1\r\n{}\r\n", lines.collect::<String>())
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(text.as_bytes()).await.unwrap();
        client
    }

    /// The upstream's side of the next request, after its head.
    async fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.upstream.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream
    }
}

async fn all_of(client: &mut TcpStream) -> String {
    let mut out = Vec::new();
    // A reset at the end of a refused upload is no failure of the test.
    let _ = client.read_to_end(&mut out).await;
    String::from_utf8_lossy(&out).into_owned()
}

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_client_that_stops_sending_ends_its_upload() {
    let mut stage = Stage::new(|settings| settings.client_idle_max = SHORT).await;
    let head = stage.head("PUT", "/data/k", &[("content-length", "100000".into())]);
    let mut client = stage.send(&(head + &"x".repeat(300))).await;
    let mut upstream = stage.accept().await;
    let answer = all_of(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("RequestTimeout"), "{answer}");
    let event = stage.events.recv().await.unwrap();
    assert_eq!((event.status, event.aborted, event.error_code.as_str()), (400, true, "RequestTimeout"));
    assert_eq!((event.bytes_in_wire, event.bytes_in, event.changes.len()), (300, 300, 0));
    let mut taken = Vec::new();
    let _ = upstream.read_to_end(&mut taken).await;
    assert!(taken.len() < 1_000, "the upstream never gets a whole object");
}

/// What is held back until it is verified never reaches the upstream.
#[tokio::test]
async fn a_client_that_stops_sending_a_short_body_ends_its_upload() {
    let mut stage = Stage::new(|settings| settings.client_idle_max = SHORT).await;
    let head = stage.head("PUT", "/data/k", &[("content-length", "1000".into())]);
    let mut client = stage.send(&(head + &"x".repeat(300))).await;
    assert!(all_of(&mut client).await.contains("RequestTimeout"));
    let event = stage.events.recv().await.unwrap();
    assert_eq!((event.aborted, event.bytes_in_wire, event.bytes_in, event.upstream_requests), (true, 300, 300, 0));
}

#[tokio::test]
async fn a_client_that_stops_sending_xml_ends_its_request() {
    let mut stage = Stage::new(|settings| settings.client_idle_max = SHORT).await;
    let head = stage.head("POST", "/data?delete", &[("content-length", "1000".into())]);
    let mut client = stage.send(&(head + "<Delete>")).await;
    assert!(all_of(&mut client).await.contains("RequestTimeout"));
    let event = stage.events.recv().await.unwrap();
    assert_eq!((event.aborted, event.bytes_in_wire), (true, 8));
}

#[tokio::test]
async fn an_upstream_that_takes_nothing_ends_the_upload() {
    let mut stage = Stage::new(|settings| settings.upstream_idle_max = SHORT).await;
    let size = 64 << 20;
    let head = stage.head("PUT", "/data/k", &[("content-length", size.to_string())]);
    let mut client = stage.send(&head).await;
    let (mut reader, mut writer) = client.split();
    // The sockets between take some of it, the upstream nothing.
    let writing = async { while writer.write_all(&[7; 65_536]).await.is_ok() {} };
    let mut answer = [0; 12];
    let reading = async { reader.read_exact(&mut answer).await.map(drop) };
    let (_upstream, event) = tokio::join!(stage.accept(), async {
        tokio::select! {
            () = writing => {}
            _ = reading => {}
        }
    });
    let () = event;
    let event = stage.events.recv().await.unwrap();
    assert_eq!((event.status, event.bytes_out > 0, event.changes.len()), (503, true, 0));
    assert!(event.bytes_in < size, "{}", event.bytes_in);
}

#[tokio::test]
async fn an_upstream_that_never_answers_ends_the_request() {
    let mut stage = Stage::new(|settings| settings.answer_max = SHORT).await;
    let head = stage.head("GET", "/data/k", &[]);
    let mut client = stage.send(&head).await;
    let _upstream = stage.accept().await;
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    drop(client);
    assert_eq!(stage.events.recv().await.unwrap().status, 503);
}

#[tokio::test]
async fn an_upstream_that_stops_sending_ends_the_answer() {
    let mut stage = Stage::new(|settings| settings.upstream_idle_max = SHORT).await;
    let mut client = stage.send(&stage.head("GET", "/data/k", &[])).await;
    let mut upstream = stage.accept().await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
    upstream.write_all(&[b'x'; 300]).await.unwrap();
    let answer = all_of(&mut client).await;
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.len(), 300);
    let event = stage.events.recv().await.unwrap();
    assert_eq!((event.status, event.aborted, event.bytes_out), (200, true, 300));
}

#[tokio::test]
async fn a_client_that_takes_nothing_ends_its_download() {
    let mut stage = Stage::new(|settings| settings.client_idle_max = SHORT).await;
    let client = stage.send(&stage.head("GET", "/data/k", &[])).await;
    let mut upstream = stage.accept().await;
    let size: u64 = 64 << 20;
    upstream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n").as_bytes()).await.unwrap();
    while upstream.write_all(&[7; 65_536]).await.is_ok() {}
    let event = stage.events.recv().await.unwrap();
    assert!(event.aborted && event.bytes_out > 0 && event.bytes_out < size, "{event:?}");
    drop(client);
}

/// Megabytes lie in the buffers between here and there when a client goes.
#[tokio::test]
async fn a_cut_download_counts_what_the_client_took() {
    let mut stage = Stage::new(|_| {}).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16_384).unwrap();
    let mut client = socket.connect(stage.address).await.unwrap();
    client.write_all(stage.head("GET", "/data/k", &[]).as_bytes()).await.unwrap();
    let mut upstream = stage.accept().await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1430000\r\n\r\n").await.unwrap();
    upstream.write_all(&vec![7; 1_430_000]).await.unwrap();
    client.read_exact(&mut [0; 66_000]).await.unwrap();
    drop(client);
    let event = stage.events.recv().await.unwrap();
    assert!(event.aborted && (65_000..66_000 + 65_536).contains(&event.bytes_out), "{event:?}");
}

#[tokio::test]
async fn the_stop_meters_what_it_cuts_off() {
    let mut stage = Stage::new(|settings| settings.drain_max = SHORT).await;
    let mut client = stage.send(&stage.head("GET", "/data/k", &[])).await;
    let mut upstream = stage.accept().await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhello").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhello") {
        answer.push(client.read_u8().await.unwrap());
    }
    stage.stop.take().unwrap().send(()).unwrap();
    (&mut stage.serving).await.unwrap();
    let event = stage.events.try_recv().unwrap();
    assert_eq!((event.aborted, event.bytes_out), (true, 5));
}

#[tokio::test]
async fn a_read_is_metered_with_its_exact_bytes() {
    let mut stage = Stage::new(|_| {}).await;
    let mut client = stage.send(&stage.head("GET", "/data/k", &[("connection", "close".into())])).await;
    let mut upstream = stage.accept().await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
    assert!(all_of(&mut client).await.ends_with("hello"));
    let event = stage.events.recv().await.unwrap();
    assert_eq!((event.status, event.aborted, event.bytes_out, event.upstream_requests), (200, false, 5, 1));
}

/// XML is read into memory, so there is an end to it: two MiB, however much was announced or sent.
#[tokio::test]
async fn xml_in_memory_is_bounded() {
    for target in ["/data?delete", "/data/k?uploadId=u"] {
        let mut stage = Stage::new(|_| {}).await;
        let head = stage.head("POST", target, &[("content-length", (64 << 20).to_string())]);
        let mut client = stage.send(&head).await;
        let (mut reader, mut writer) = client.split();
        let mut answer = vec![0; 1_000];
        let read = tokio::select! {
            read = reader.read(&mut answer) => read.unwrap(),
            () = async { while writer.write_all(&[b'x'; 65_536]).await.is_ok() {} } => 0,
        };
        let event = stage.events.recv().await.unwrap();
        assert_eq!(event.error_code, "EntityTooLarge", "{target}");
        assert!(event.bytes_in_wire < 3 << 20, "{target}: {} bytes were read", event.bytes_in_wire);
        assert!(read == 0 || answer.starts_with(b"HTTP/1.1 400"), "{target}");
    }
}

/// A link for one bucket's host must not open another bucket, also when other host names are accepted.
#[tokio::test]
async fn a_presigned_link_with_another_host_is_refused() {
    let stage = Stage::new(|settings| {
        settings.domain = Some("s3.test".into());
        settings.public_hosts = vec!["data.s3.test".into(), "gw.test".into()];
    })
    .await;
    let cache = SigningKeyCache::default();
    let signer =
        Signer { access_key_id: KEY, secret: SECRET, region: "r", now_us: stage.world.now_us(), cache: &cache };
    let check = async |signed_for: &str, sent_to: &str, path: &str, expected: &str| {
        let link = presign_url(&signer, "GET", signed_for, path, "", 600);
        let mut client =
            stage.send(&format!("GET {link} HTTP/1.1\r\nhost: {sent_to}\r\nconnection: close\r\n\r\n")).await;
        if expected == "200" {
            let mut upstream = stage.accept().await;
            upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
        let answer = all_of(&mut client).await;
        assert!(answer.contains(expected), "{signed_for} as {sent_to}: {answer}");
    };
    check("data.s3.test", "data.s3.test", "/k", "200").await;
    check("data.s3.test", "other.s3.test", "/k", "SignatureDoesNotMatch").await;
    check("other.s3.test", "data.s3.test", "/k", "SignatureDoesNotMatch").await;
    check("gw.test", "other.s3.test", "/k", "SignatureDoesNotMatch").await;
    // Behind a terminator that rewrites the host, path style is still right.
    check("gw.test", "10.0.0.1:9000", "/data/k", "200").await;
    check("evil.test", "10.0.0.1:9000", "/data/k", "SignatureDoesNotMatch").await;
}

/// Requests of strangers leave no event and no memory behind.
#[tokio::test]
async fn strangers_are_not_metered() {
    let mut stage = Stage::new(|_| {}).await;
    let head =
        stage.head("GET", "/data/k", &[]).replace(KEY, "NOBODY").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let mut client = stage.send(&head).await;
    assert!(all_of(&mut client).await.contains("InvalidAccessKeyId"));
    assert!(stage.events.try_recv().is_err());
}

/// S05: whoever signed it is known, so that what they were refused is taken down.
#[tokio::test]
async fn what_is_refused_to_who_signed_is_recorded() {
    let mut stage = Stage::new(|_| {}).await;
    for (method, target, more, status, code) in [
        ("PUT", "/data/k", ("x-amz-acl", "public-read"), 403, "AccessDenied"),
        ("PUT", "/data/k", ("x-amz-grant-read", "id=1"), 403, "AccessDenied"),
        ("PUT", "/data/k", ("x-minio-source-mtime", "1"), 501, "NotImplemented"),
        ("GET", "/data/k?x-amz-bad%20name=1", ("x-amz-meta-a", "b"), 400, "InvalidArgument"),
        ("POST", "/data", ("content-type", "multipart/form-data; boundary=x"), 501, "NotImplemented"),
    ] {
        let headers =
            [(more.0, more.1.to_owned()), ("content-length", "0".to_owned()), ("connection", "close".to_owned())];
        let mut client = stage.send(&stage.head(method, target, &headers)).await;
        let answer = all_of(&mut client).await;
        assert!(answer.contains(code), "{method} {target}: {answer}");
        let event = stage.events.recv().await.unwrap();
        assert_eq!((event.status, event.error_code.as_str()), (status, code), "{method} {target}");
        assert_eq!((event.bytes_in, event.changes.len(), event.user), (0, 0, UserId(3)));
    }
}

impl Stage {
    /// Sends a request with an empty body and answers it at the upstream; gives what it changed.
    async fn changes_of(&mut self, method: &str, target: &str, answer: &str) -> Vec<ObjectChange> {
        let headers = [("content-length", "0".to_owned()), ("connection", "close".to_owned())];
        let mut client = self.send(&self.head(method, target, &headers)).await;
        let mut upstream = self.accept().await;
        upstream
            .write_all(format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes())
            .await
            .unwrap();
        all_of(&mut client).await;
        self.events.recv().await.unwrap().changes
    }
}

fn name(version: &str) -> String {
    names::version_hash(&names::object_hash(AccountId(1), "real-1", b"t/k"), version)
}

fn put(version: &str, size_bytes: u64, class: &str) -> ObjectChange {
    ObjectChange::Put { object: name(version), size_bytes, class: class.into() }
}

/// S01: with versions nothing is replaced, and a delete frees nothing but what it names.
#[tokio::test]
async fn versions_are_metered_as_the_store_names_them() {
    let mut stage = Stage::new(|_| {}).await;
    let gone = |version: &str| vec![ObjectChange::Delete { object: name(version) }];
    for (method, target, answer, want) in [
        ("PUT", "/data/k", "200 OK", vec![put("", 0, "STANDARD")]),
        ("PUT", "/data/k", "200 OK\r\nx-amz-version-id: null", vec![put("", 0, "STANDARD")]),
        ("PUT", "/data/k", "200 OK\r\nx-amz-version-id: v1", vec![put("v1", 0, "STANDARD")]),
        ("DELETE", "/data/k", "204 No Content", gone("")),
        ("DELETE", "/data/k", "204 No Content\r\nx-amz-delete-marker: true\r\nx-amz-version-id: m1", vec![]),
        ("DELETE", "/data/k", "204 No Content\r\nx-amz-delete-marker: true\r\nx-amz-version-id: null", gone("")),
        ("DELETE", "/data/k?versionId=v1", "204 No Content\r\nx-amz-version-id: v1", gone("v1")),
        ("DELETE", "/data/k?versionId=null", "204 No Content", gone("")),
        (
            "DELETE",
            "/data/k?versionId=m1",
            "204 No Content\r\nx-amz-delete-marker: true\r\nx-amz-version-id: m1",
            vec![],
        ),
    ] {
        assert_eq!(stage.changes_of(method, target, answer).await, want, "{method} {target}: {answer}");
    }
}

/// A copy or a completion may fail after its status went out, and a store may say more than it was asked: nothing of it names
/// what is hidden.
#[tokio::test]
async fn no_answer_names_what_is_hidden() {
    let mut stage = Stage::new(|_| {}).await;
    let error = "<Error><Code>InternalError</Code><Message>cannot join real-1/t/k of real</Message></Error>";
    for (method, target, more) in [
        ("POST", "/data/k?uploadId=u", None),
        ("PUT", "/data/k", Some(("x-amz-copy-source", "/data/other"))),
        ("PUT", "/data/k", None),
        ("PUT", "/data/k?partNumber=1&uploadId=u", None),
        ("PUT", "/data/k?tagging", None),
        ("DELETE", "/data/k?tagging", None),
    ] {
        for body in [error, "<Done>real-1/t/k</Done>"] {
            let mut headers = vec![("content-length", "0".to_owned()), ("connection", "close".to_owned())];
            headers.extend(more.map(|(name, value)| (name, value.to_owned())));
            let mut client = stage.send(&stage.head(method, target, &headers)).await;
            let mut upstream = stage.accept().await;
            let said = "x-amz-source: real-1\r\nx-amz-meta-mine: real-1\r\nconnection: close";
            let text = format!("HTTP/1.1 200 OK\r\n{said}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            upstream.write_all(text.as_bytes()).await.unwrap();
            drop(upstream);
            // A copy and a completion that went well are looked at.
            let answer = tokio::select! {
                answer = all_of(&mut client) => answer,
                mut look = stage.accept() => {
                    look.write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    all_of(&mut client).await
                }
            };
            let told = answer.replace("x-amz-meta-mine: real-1", "");
            assert!(!told.contains("real-1") && !told.contains("t/k"), "{method} {target}: {answer}");
            assert!(body != error || answer.contains("InternalError") || answer.contains("503"), "{answer}");
            let event = stage.events.recv().await.unwrap();
            assert!(body != error || event.changes.is_empty(), "{method} {target}: {event:?}");
            assert_eq!(event.bytes_in, 0);
        }
    }
}

/// S08.
#[tokio::test]
async fn the_storage_class_is_that_of_the_request() {
    let mut stage = Stage::new(|_| {}).await;
    for (said, want) in [("STANDARD_IA", "STANDARD_IA"), ("GLACIER", "GLACIER"), ("no class!", "STANDARD")] {
        let headers = [
            ("content-length", "0".to_owned()),
            ("x-amz-storage-class", said.to_owned()),
            ("connection", "close".to_owned()),
        ];
        let mut client = stage.send(&stage.head("PUT", "/data/k", &headers)).await;
        let mut upstream = stage.accept().await;
        upstream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        all_of(&mut client).await;
        assert_eq!(stage.events.recv().await.unwrap().changes, [put("", 0, want)], "{said}");
    }
}

/// S04: two writers of one key; the store keeps the one that it answers first. Who answers last is not who stays, so both
/// ask, and the last stamp says what is there.
#[tokio::test]
async fn after_a_race_the_index_says_what_the_store_kept() {
    let mut stage = Stage::new(|_| {}).await;
    let write = |size: usize| {
        let headers = [("content-length", size.to_string()), ("connection", "close".to_owned())];
        format!("{}{}", stage.head("PUT", "/data/k", &headers), "x".repeat(size))
    };
    let (mut one, mut other) = (stage.send(&write(5)).await, stage.send(&write(7)).await);
    let (mut first, mut second) = (stage.accept().await, stage.accept().await);
    for upstream in [&mut first, &mut second] {
        upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    }
    // Each asks for itself, one after the other: 7 bytes stayed.
    for _ in 0..2 {
        let mut look = stage.accept().await;
        look.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\n").await.unwrap();
    }
    all_of(&mut one).await;
    all_of(&mut other).await;
    let events = [stage.events.recv().await.unwrap(), stage.events.recv().await.unwrap()];
    assert!(events.iter().all(|event| event.changes == [put("", 7, "STANDARD")]), "{events:?}");
    assert_ne!(events[0].at_us, events[1].at_us, "they have an order");
    // A write that comes later is alone again.
    let changes = stage.changes_of("PUT", "/data/k", "200 OK").await;
    assert_eq!(changes, [put("", 0, "STANDARD")]);
}
