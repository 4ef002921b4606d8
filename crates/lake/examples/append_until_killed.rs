//! The victim of the kill test: appends events as fast as it can and prints each id once it is
//! acknowledged, while it seals, ticks and compacts beside. Ends only by a kill.
//!
//! usage: append_until_killed FOLDER FIRST_ID ACK_BEFORE_COMMIT

use base::{AccountId, OrgId, RealmId, RequestId, UserId};
use lake::{Lake, RawBatch, Settings};
use metering::RawEvent;
use metering::s3::{AuthKind, ObjectChange, RequestClass, S3Request};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn event(no: u64, at_us: i64) -> RawEvent {
    let size_bytes = 1 + no % 1_000;
    let request = S3Request {
        request_id: RequestId(u128::from(no)),
        at_us,
        realm: RealmId(1),
        org: OrgId(2),
        user: UserId(3),
        access_key: "MH".into(),
        auth: AuthKind::Header,
        account: Some(AccountId(1)),
        mapping: None,
        bucket: "b".into(),
        key: format!("k{no}"),
        operation: "PutObject".into(),
        class: RequestClass::A,
        status: 200,
        error_code: String::new(),
        aborted: false,
        bytes_in_wire: size_bytes,
        bytes_in: size_bytes,
        bytes_out: 0,
        upstream_requests: 1,
        duration_us: 1,
        source_ip: String::new(),
        user_agent: String::new(),
        changes: vec![ObjectChange::Put {
            object: format!("o{no}"),
            size_bytes,
            class: metering::s3::STANDARD.to_owned(),
        }],
    };
    RawEvent::S3 { org_path: "/a/b/".into(), request: Box::new(request) }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, first, early] = &arguments[..] else { panic!("usage: FOLDER FIRST_ID ACK_BEFORE_COMMIT") };
    let world = Arc::new(testkit::TestWorld::at("2026-11-01T00:00:00Z", first.parse().expect("a number")));
    let settings = Settings { ack_before_commit: early == "true", ..Settings::default() };
    let lake = Lake::open(folder.as_ref(), None, world.clone(), settings).await.expect("the lake opens");
    let next = Arc::new(AtomicU64::new(first.parse().expect("a number")));
    let start_us = base::World::now_us(world.as_ref());
    for _ in 0..4 {
        let (lake, next) = (lake.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let no = next.fetch_add(1, Ordering::Relaxed);
                let mut batch = RawBatch::default();
                batch.push(&event(no, start_us - 7_200_000_000 + no as i64));
                lake.append(batch).await.expect("the append is acknowledged");
                let mut out = std::io::stdout().lock();
                writeln!(out, "{no}").and_then(|()| out.flush()).expect("the parent reads");
            }
        });
    }
    loop {
        lake.seal().await.expect("sealing works");
        lake.tick_storage(start_us).await.expect("ticking works");
        lake.compact().await.expect("compaction works");
    }
}
