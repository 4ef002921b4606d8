//! What a checked client connects to: the addresses that were checked, no others, and never where an answer leads.

use http::{HeaderMap, Method};
use s3::sigv4::UNSIGNED_PAYLOAD;
use s3::{Client, ClientError, Destination, Outgoing, Style, Upstream};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts who connects to it; says this to each.
fn trap(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let seen = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            seen.fetch_add(1, Ordering::SeqCst);
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, count)
}

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

async fn ask(client: &Client, endpoint: &str, style: Style, bucket: &str) -> Result<u16, ClientError> {
    let upstream = Upstream::new(endpoint, "us-east-1", style, "AK", "SK").unwrap();
    let outgoing = Outgoing {
        method: Method::GET,
        bucket,
        raw_key: "",
        query: "",
        headers: HeaderMap::new(),
        body: s3::empty_body(),
        payload_hash: UNSIGNED_PAYLOAD,
        now_us: 0,
    };
    client.send(&upstream, outgoing).await.map(|answer| answer.status().as_u16())
}

fn no_loopback(destination: &Destination<'_>) -> Result<(), String> {
    match destination.addresses.iter().find(|address| address.is_loopback()) {
        Some(address) => Err(format!("{address} is this machine")),
        None => Ok(()),
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_refused_address_is_not_connected_to() {
    let (port, count) = trap(EMPTY);
    let guarded = Client::checked(Arc::new(no_loopback)).unwrap();
    let endpoint = format!("http://localhost:{port}");
    for client in [&guarded, &guarded.with_own_connections().unwrap()] {
        let refused = ask(client, &endpoint, Style::Path, "bucket").await.unwrap_err();
        assert!(refused.to_string().contains("is this machine"), "{refused}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    // The same name where it may be: the check is what held it back.
    assert_eq!(ask(&Client::new().unwrap(), &endpoint, Style::Path, "bucket").await.unwrap(), 200);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// A name may lead elsewhere a moment later: each connection is checked by itself.
#[tokio::test]
async fn each_connection_is_checked() {
    let (port, count) = trap(EMPTY);
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = asked.clone();
    let first_only = move |_: &Destination<'_>| match seen.fetch_add(1, Ordering::SeqCst) {
        0 => Ok(()),
        _ => Err("leads elsewhere now".to_owned()),
    };
    let client = Client::checked(Arc::new(first_only)).unwrap();
    let endpoint = format!("http://localhost:{port}");
    assert_eq!(ask(&client, &endpoint, Style::Path, "bucket").await.unwrap(), 200);
    let refused = ask(&client, &endpoint, Style::Path, "bucket").await.unwrap_err();
    assert!(refused.to_string().contains("leads elsewhere now"), "{refused}");
    assert_eq!((asked.load(Ordering::SeqCst), count.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test]
async fn redirects_are_answers() {
    let (inner, count) = trap(EMPTY);
    let text = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{inner}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let (port, asked) = trap(text.leak());
    let status = ask(&Client::new().unwrap(), &format!("http://127.0.0.1:{port}"), Style::Path, "bucket").await;
    assert_eq!((status.unwrap(), asked.load(Ordering::SeqCst), count.load(Ordering::SeqCst)), (307, 1, 0));
}

/// A bucket becomes a part of the host: together they must not spell an address.
#[tokio::test]
async fn hosts_that_are_addresses_are_checked() {
    let (port, count) = trap(EMPTY);
    let guarded = Client::checked(Arc::new(no_loopback)).unwrap();
    let cases = [
        ("127.0.0.1", Style::Path, "bucket"),
        ("[::1]", Style::Path, "bucket"),
        ("0.0.1", Style::VirtualHost, "127"),
        ("1", Style::VirtualHost, "127.0.0"),
    ];
    for (host, style, bucket) in cases {
        let refused = ask(&guarded, &format!("http://{host}:{port}"), style, bucket).await.unwrap_err();
        assert!(refused.to_string().contains("is this machine"), "{host} {bucket}: {refused}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}
