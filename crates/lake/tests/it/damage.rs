//! Files that are not what was written: no figure comes from one, the others go on, and the right one heals it.

use crate::{Bench, Engine, OWN, TWIN, events, question};
use lake::{Lake, LakeError, Settings};
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.join("files")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

async fn sealed(name: &str, batches: u64) -> Bench {
    let bench = Bench::open(Engine::Sqlite, name).await;
    for no in 0..batches {
        bench.append(&events(OWN, no * 10..no * 10 + 10, 1)).await;
        bench.lake.seal().await.unwrap();
    }
    bench
}

fn is_damaged<T>(answer: &Result<T, LakeError>) -> bool {
    matches!(answer, Err(LakeError::Damaged { .. }))
}

/// Each byte in turn, so that there is none whose change is not seen.
#[tokio::test(flavor = "multi_thread")]
async fn any_flipped_byte_gives_no_figure() {
    let bench = sealed("flipped", 1).await;
    let path = files(bench.folder.path()).remove(0);
    let right = std::fs::read(&path).unwrap();
    let figure = bench.lake.roll_up(question(OWN)).await.unwrap();
    let mut tried = 0;
    for place in (0..right.len()).step_by(right.len() / 97) {
        let mut wrong = right.clone();
        wrong[place] ^= 1 << (place % 8);
        std::fs::write(&path, wrong).unwrap();
        assert!(is_damaged(&bench.lake.roll_up(question(OWN)).await), "byte {place}");
        assert_eq!(bench.lake.damaged().len(), 1);
        tried += 1;
    }
    assert!(tried > 90);
    std::fs::write(&path, right).unwrap();
    assert_eq!(bench.lake.roll_up(question(OWN)).await.unwrap(), figure, "the right file heals it");
    assert!(bench.lake.damaged().is_empty());
}

/// A file that reads well and is another one: only its hash tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_valid_foreign_file_gives_no_figure() {
    let (own, other) = (sealed("own", 1).await, Bench::open(Engine::Sqlite, "other").await);
    other.append(&events(OWN, 0..10, 7)).await;
    other.lake.seal().await.unwrap();
    let (path, foreign) = (files(own.folder.path()).remove(0), files(other.folder.path()).remove(0));
    std::fs::copy(foreign, path).unwrap();
    assert!(is_damaged(&own.lake.roll_up(question(OWN)).await));
}

/// One damaged file among the many of a month: the others are merged, sealing goes on, other realms have figures.
#[tokio::test(flavor = "multi_thread")]
async fn compaction_leaves_damage_alone() {
    let bench = sealed("among-many", 20).await;
    bench.append(&events(TWIN, 0..10, 1)).await;
    bench.lake.seal().await.unwrap();
    let figure = bench.lake.roll_up(question(OWN)).await.unwrap();
    let paths = files(bench.folder.path());
    let path = paths.iter().find(|path| std::fs::read(path).unwrap().len() > 8).unwrap();
    let right = std::fs::read(path).unwrap();
    std::fs::write(path, &right[..right.len() / 2]).unwrap();
    let merged = bench.lake.compact().await.unwrap();
    assert!(merged.files_in >= 17, "{merged:?}");
    assert_eq!(bench.lake.damaged().len(), 1);
    bench.append(&events(TWIN, 10..20, 1)).await;
    assert_eq!(bench.lake.seal().await.unwrap().records, 10);
    std::fs::write(path, right).unwrap();
    assert_eq!(bench.lake.roll_up(question(OWN)).await.unwrap(), figure, "nothing wrong was merged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrub_finds_what_nobody_reads() {
    let bench = sealed("scrub", 3).await;
    assert!(bench.lake.scrub().await.unwrap() > 0);
    assert!(bench.lake.damaged().is_empty());
    let path = files(bench.folder.path()).remove(1);
    let right = std::fs::read(&path).unwrap();
    let mut wrong = right.clone();
    wrong[40] ^= 4;
    std::fs::write(&path, wrong).unwrap();
    bench.lake.scrub().await.unwrap();
    assert_eq!(bench.lake.damaged().len(), 1, "named before anybody asked");
    std::fs::remove_file(&path).unwrap();
    bench.lake.scrub().await.unwrap();
    assert_eq!(bench.lake.damaged()[0].reason, "is missing");
    std::fs::write(&path, right).unwrap();
    bench.lake.scrub().await.unwrap();
    assert!(bench.lake.damaged().is_empty());
}

/// A crash between the writing of a file and its registration leaves one that nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_removed_at_the_start() {
    let bench = sealed("orphans", 2).await;
    let known = files(bench.folder.path());
    std::fs::copy(&known[0], known[0].with_file_name("orphan.parquet")).unwrap();
    let bench = bench.reopen().await;
    assert_eq!(files(bench.folder.path()), known);
    assert_eq!(bench.lake.roll_up(question(OWN)).await.unwrap().iter().map(|row| row.records).sum::<u64>(), 20);
}

/// An inbox from which acknowledged groups were taken is noticed, not begun anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_inbox_is_noticed() {
    let Bench { lake, world, folder, .. } = sealed("missing-inbox", 1).await;
    // A seal that cannot write its batch has seen the groups: here the folder of the month is a file.
    let table = folder.path().join("files").join("main").join("usage");
    std::fs::remove_dir_all(&table).unwrap();
    std::fs::write(&table, "in the way").unwrap();
    let mut batch = lake::RawBatch::default();
    events(OWN, 50..60, 1).iter().for_each(|event| batch.push(event));
    lake.append(batch).await.unwrap();
    assert!(lake.seal().await.is_err());
    lake.close().await;
    std::fs::remove_dir_all(folder.path().join("inbox")).unwrap();
    let opened = Lake::open(folder.path(), None, world.clone(), Settings::default()).await;
    let error = opened.err().expect("acknowledged events are missing").to_string();
    assert!(error.contains("acknowledged") && error.contains("from a backup"), "{error}");
    assert!(error.contains("admin accept-inbox"), "{error}");
    // The operator may go on without them, once; what comes then is counted.
    let accepts = Settings { accept_cut_inbox: true, ..Settings::default() };
    Lake::open(folder.path(), None, world.clone(), accepts).await.unwrap().close().await;
    std::fs::remove_file(&table).unwrap();
    let lake = Lake::open(folder.path(), None, world.clone(), Settings::default()).await.unwrap();
    let mut batch = lake::RawBatch::default();
    events(OWN, 60..65, 1).iter().for_each(|event| batch.push(event));
    lake.append(batch).await.unwrap();
    assert_eq!(lake.seal().await.unwrap().records, 5);
}
