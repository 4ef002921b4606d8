//! `kill -9` at chosen moments under load: what was acknowledged is counted, and counted once.

use base::{Period, RealmId, Zone};
use lake::{Buckets, GroupBy, Lake, RollUp, Settings};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use testkit::{TempFolder, TestWorld};

fn victim() -> PathBuf {
    let here = std::env::current_exe().expect("a test knows itself");
    here.ancestors().nth(2).expect("target/debug/deps/it").join("examples/append_until_killed")
}

/// Lets the victim run until it acknowledged `acks` events, kills it, and gives all ids that were
/// acknowledged, those still in the pipe included.
fn run_and_kill(folder: &Path, first: u64, acks: usize, early: bool) -> Vec<u64> {
    let mut child = Command::new(victim())
        .args([folder.as_os_str(), first.to_string().as_ref(), early.to_string().as_ref()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo test builds the example");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < acks {
        let line = lines.next().expect("the victim lives").expect("the pipe is whole");
        acknowledged.push(line.parse().expect("an id"));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("it ends");
    // A line cut by the kill has no id in it: only whole lines count.
    acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| line.parse::<u64>().ok()));
    acknowledged
}

/// Ids that were counted, after checking that none was counted twice.
async fn counted(folder: &Path, seed: u64) -> BTreeSet<u64> {
    let world = Arc::new(TestWorld::at("2026-11-01T00:00:00Z", seed));
    let lake = Lake::open(folder, None, world, Settings::default()).await.unwrap();
    lake.seal().await.unwrap();
    let filter = lake::RecordFilter {
        realm: RealmId(1),
        orgs: None,
        user: None,
        meters: BTreeSet::from(["s3.requests".to_owned()]),
        period: Period::month("2026-10", &Zone::utc()).unwrap(),
        as_of: None,
        after: None,
        limit: usize::MAX,
    };
    let records = lake.records(filter.clone(), |_| true).await.unwrap();
    let whole = RollUp {
        realm: RealmId(1),
        orgs: None,
        user: None,
        meters: filter.meters,
        period: filter.period,
        as_of: None,
        by: GroupBy::default(),
        buckets: Buckets::Whole,
    };
    let rows = lake.roll_up(whole).await.unwrap();
    let sum = rows.iter().map(|row| row.records).sum::<u64>();
    assert_eq!(sum, records.len() as u64, "no record is there twice");
    // The object index holds each object once, with its own size.
    let stored: i64 = lake.stored_bytes(RealmId(1)).await.unwrap().iter().map(|(.., bytes)| bytes).sum();
    let numbers: Vec<u64> = records.iter().map(|record| record.resource[3..].parse().unwrap()).collect();
    assert_eq!(stored, numbers.iter().map(|no| 1 + (no % 1_000) as i64).sum::<i64>());
    lake.close().await;
    numbers.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_event_is_lost_or_doubled() {
    let folder = TempFolder::new("kill");
    let mut acknowledged = BTreeSet::new();
    for cycle in 0..50_u64 {
        // Moments spread over start, first seal, ticks and compactions.
        let acks = 1 + (cycle as usize * 37) % 400;
        let acks = run_and_kill(folder.path(), 1 + cycle * 1_000_000, acks, false);
        assert!(!acks.is_empty());
        acknowledged.extend(acks);
        if cycle % 5 == 4 {
            let found = counted(folder.path(), cycle).await;
            let lost: Vec<_> = acknowledged.difference(&found).collect();
            assert!(lost.is_empty(), "cycle {cycle}: lost {lost:?}");
        }
    }
}

/// The test above must be able to fail: a victim that acknowledges before it commits loses events.
#[tokio::test(flavor = "multi_thread")]
async fn the_kill_test_bites() {
    let folder = TempFolder::new("kill-control");
    let mut lost = 0;
    for cycle in 0..20_u64 {
        let acks: BTreeSet<u64> = run_and_kill(folder.path(), 1 + cycle * 1_000_000, 5, true).into_iter().collect();
        let found = counted(folder.path(), cycle).await;
        lost += acks.difference(&found).count();
        if lost > 0 {
            return;
        }
    }
    panic!("20 kills of a victim that acknowledges too early lost nothing");
}
