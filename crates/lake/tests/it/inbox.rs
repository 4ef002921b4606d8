//! The inbox in files and in a table: what a crash, a damaged disk or an older version leaves.

use crate::{Bench, Engine, OWN, events, question, total};
use lake::{Lake, LakeError, RawBatch, Settings};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use testkit::{TempFolder, TestWorld};

/// Small segments: every second group begins one.
const SMALL: Settings = Settings {
    group_bytes_max: 1 << 20,
    segment_bytes_max: 300,
    inbox_bytes_max: 512 << 20,
    batch_events_max: 100_000,
    batch_bytes_max: 48 << 20,
    ack_before_commit: false,
    accept_cut_inbox: false,
};

async fn open(folder: &TempFolder) -> Result<Lake, LakeError> {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let seed = OPENED.fetch_add(1, Ordering::Relaxed);
    Lake::open(folder.path(), None, Arc::new(TestWorld::at("2026-11-01T00:00:00Z", seed)), SMALL).await
}

/// Appends groups of one event each.
async fn append(lake: &Lake, range: std::ops::Range<u64>) {
    for event in events(OWN, range, 1) {
        let mut batch = RawBatch::default();
        batch.push(&event);
        lake.append(batch).await.unwrap();
    }
}

fn segments(folder: &TempFolder) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.path().join("inbox")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn change(path: &PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Length of the frames in a segment, without the zeros behind them.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_once_a_batch_holds_them() {
    let folder = TempFolder::new("inbox-segments");
    let lake = open(&folder).await.unwrap();
    append(&lake, 0..20).await;
    assert!(segments(&folder).len() > 5);
    assert_eq!(lake.seal().await.unwrap().records, 20);
    assert_eq!(segments(&folder).len(), 1, "only the one that is written to stays");
    append(&lake, 20..30).await;
    lake.close().await;
    let lake = open(&folder).await.unwrap();
    append(&lake, 30..40).await;
    assert_eq!(lake.seal().await.unwrap().records, 20);
    lake.close().await;
    let lake = open(&folder).await.unwrap();
    assert_eq!(segments(&folder).len(), 0, "all is sealed");
    append(&lake, 40..41).await;
    assert_eq!(lake.seal().await.unwrap().records, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_off() {
    let folder = TempFolder::new("inbox-torn");
    let lake = open(&folder).await.unwrap();
    append(&lake, 0..5).await;
    lake.close().await;
    let newest = segments(&folder).pop().unwrap();
    let whole = std::fs::read(&newest).unwrap();
    // A crash may leave any part of the last group, in any order of its pages; here the last is group 5.
    for damage in [0, 1, 20] {
        change(&newest, |bytes| {
            *bytes = whole.clone();
            let end = used(bytes);
            bytes.truncate(end - damage);
            bytes.extend_from_slice(&[if damage == 0 { 0 } else { 7 }; 100]);
        });
        let kept = if damage == 0 { 5 } else { 4 };
        let lake = open(&folder).await.unwrap();
        lake.close().await;
        let size = std::fs::read(&newest).map(|bytes| bytes.len()).unwrap_or(0);
        assert!(size < used(&whole) + 8, "the rest is gone: {kept} groups");
    }
    // The number of the lost group is used again, and nothing of it comes back.
    let lake = open(&folder).await.unwrap();
    append(&lake, 5..9).await;
    assert_eq!(lake.seal().await.unwrap().records, 8);
    assert_eq!(total(&lake.roll_up(question(OWN)).await.unwrap()), 1 + 2 + 3 + 5 + 6 + 7 + 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_group_stops_the_lake() {
    let folder = TempFolder::new("inbox-damaged");
    let lake = open(&folder).await.unwrap();
    append(&lake, 0..8).await;
    lake.close().await;
    let all = segments(&folder);
    let refused = async || match open(&folder).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("a damaged inbox opens"),
    };
    // In a segment with others behind it; a whole segment missing; before the last group.
    change(&all[1], |bytes| bytes[40] ^= 1);
    assert!(refused().await.contains("is damaged"));
    change(&all[1], |bytes| bytes[40] ^= 1);
    let kept = std::fs::read(&all[1]).unwrap();
    std::fs::remove_file(&all[1]).unwrap();
    assert!(refused().await.contains("is damaged"));
    std::fs::write(&all[1], kept).unwrap();
    let newest = all.last().unwrap();
    change(newest, |bytes| bytes[40] ^= 1);
    assert!(refused().await.contains("is damaged"));
    change(newest, |bytes| bytes[40] ^= 1);
    let lake = open(&folder).await.unwrap();
    assert_eq!(lake.seal().await.unwrap().records, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_inbox_is_taken_over() {
    let folder = TempFolder::new("inbox-older");
    let lake = open(&folder).await.unwrap();
    append(&lake, 0..3).await;
    lake.seal().await.unwrap();
    append(&lake, 3..6).await;
    lake.close().await;
    // What version 0.1.0 left: the same groups as rows of a file.
    let python = std::env::var("METERHOUSE_TEST_PYTHON").expect("METERHOUSE_TEST_PYTHON is not set: run ./dev/test");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/older_inbox.py");
    let made = std::process::Command::new(python).arg(script).arg(folder.path()).status().unwrap();
    assert!(made.success());
    assert!(segments(&folder).is_empty());
    let lake = open(&folder).await.unwrap();
    assert!(!folder.path().join("inbox.db").exists());
    append(&lake, 6..7).await;
    assert_eq!(lake.seal().await.unwrap().records, 4);
    assert_eq!(total(&lake.roll_up(question(OWN)).await.unwrap()), 1 + 2 + 3 + 4 + 5 + 6);
}

/// A commit whose answer is lost uses its number up: the committer must find that out by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_postgres_heals() {
    let bench = Bench::open(Engine::Postgres, "inbox_heals").await;
    append(&bench.lake, 0..2).await;
    let url = bench.postgres.as_deref().unwrap();
    testkit::run_psql(url, "insert into lake.inbox (seq, events, body) select max(seq) + 1, 0, '' from lake.inbox");
    let mut batch = RawBatch::default();
    batch.push(&events(OWN, 2..3, 1)[0]);
    bench.lake.append(batch.clone()).await.unwrap_err();
    bench.lake.append(batch).await.unwrap();
    append(&bench.lake, 3..5).await;
    assert_eq!(bench.lake.seal().await.unwrap().records, 5);
}
