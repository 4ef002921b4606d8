//! The lake on both catalogs: exactly once, as of, storage, compaction, a second reader.

use base::period::HOUR_US;
use base::{AccountId, OrgId, Period, QuantityNano, RealmId, RequestId, UserId, World, Zone};
use lake::{
    Buckets, GroupBy, Lake, Listing, RawBatch, RecordFilter, RollUp, RolledUp, SeenObject, SeenOwner, Settings,
};
use metering::s3::{AuthKind, ObjectChange, RequestClass, S3Request, STANDARD};
use metering::{RawEvent, RecordKind, UsageRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use testkit::{TempFolder, TestWorld};

mod damage;
mod inbox;
mod kill;

const OWN: RealmId = RealmId(1_000);
const TWIN: RealmId = RealmId(2_000);
/// 2026-10-01.
const OCTOBER_US: i64 = 1_790_812_800_000_000;

struct Bench {
    lake: Lake,
    world: Arc<TestWorld>,
    folder: TempFolder,
    postgres: Option<String>,
}

#[derive(Clone, Copy)]
enum Engine {
    Sqlite,
    Postgres,
}

impl Bench {
    async fn open(engine: Engine, name: &str) -> Self {
        let folder = TempFolder::new(name);
        let postgres = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => {
                let url = testkit::postgres_database(&format!("lake_{name}"));
                // The store makes the role; here the lake stands alone.
                testkit::run_psql(
                    &url,
                    "do $$ begin create role meterhouse_app nologin; exception when others then null; end $$",
                );
                testkit::run_psql(&url, "grant meterhouse_app to current_user");
                Some(url)
            }
        };
        let world = Arc::new(TestWorld::at("2026-11-01T00:00:00Z", 3));
        let lake = Lake::open(folder.path(), postgres.as_deref(), world.clone(), Settings::default()).await.unwrap();
        Self { lake, world, folder, postgres }
    }

    async fn reopen(self) -> Self {
        let Self { lake, world, folder, postgres } = self;
        lake.close().await;
        let lake = Lake::open(folder.path(), postgres.as_deref(), world.clone(), Settings::default()).await.unwrap();
        Self { lake, world, folder, postgres }
    }

    async fn append(&self, events: &[RawEvent]) {
        let mut batch = RawBatch::default();
        for event in events {
            batch.push(event);
        }
        self.lake.append(batch).await.unwrap();
    }
}

macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $( #[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::Bench::open(super::Engine::Sqlite, stringify!($name)).await).await; } )* }
        mod postgres { $( #[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::Bench::open(super::Engine::Postgres, stringify!($name)).await).await; } )* }
    };
}

on_both_engines!(
    re_delivery_changes_nothing,
    other_content_goes_to_quarantine,
    rejects_go_to_quarantine,
    twins_do_not_meet,
    as_of_reads_stand_still,
    storage_is_an_exact_integral,
    late_writes_correct_closed_hours,
    events_of_an_object_may_come_in_any_order,
    a_part_that_comes_after_its_upload_ends_with_it,
    a_catalog_of_version_1_is_brought_up,
    the_sweep_books_the_drift,
    versions_are_objects_of_their_own,
    a_part_that_the_store_gave_up_is_not_billed,
    what_changed_behind_the_gateway_stays_whose_it_was,
    storage_classes_are_kept_apart,
    what_was_given_up_goes_to_who_has_it,
    the_sweep_leaves_alone_what_was_deleted_meanwhile,
    a_cut_between_batch_and_removal_doubles_nothing,
    compaction_changes_no_figure,
    any_question_agrees_with_the_plain_way,
    records_can_be_paged,
    duckdb_reads_the_same_figures,
    what_cannot_be_stored_is_set_aside,
    an_event_that_fails_keeps_no_other_waiting,
);

fn october() -> Period {
    Period::month("2026-10", &Zone::utc()).unwrap()
}

fn record(realm: RealmId, no: u64, quantity: i64) -> UsageRecord {
    UsageRecord {
        source: "test".into(),
        record_id: format!("r{no}"),
        realm,
        org: OrgId(u128::from(no % 5) + 10),
        org_path: format!("/root/{}/", no % 5),
        user: (!no.is_multiple_of(3)).then_some(UserId(u128::from(no % 3))),
        meter: ["cpu.seconds", "net.bytes"][(no % 2) as usize].into(),
        resource: format!("vm{no}"),
        dimensions: BTreeMap::from([("zone".to_owned(), format!("z{}", no % 4))]),
        quantity: QuantityNano::units(quantity),
        start_us: OCTOBER_US + (no as i64 * 977_000_003) % (30 * 24 * HOUR_US),
        end_us: OCTOBER_US + (no as i64 * 977_000_003) % (30 * 24 * HOUR_US),
        kind: RecordKind::Usage,
        attributes: "{}".into(),
    }
}

fn events(realm: RealmId, range: std::ops::Range<u64>, factor: i64) -> Vec<RawEvent> {
    range.map(|no| RawEvent::Usage(Box::new(record(realm, no, no as i64 * factor)))).collect()
}

fn question(realm: RealmId) -> RollUp {
    RollUp {
        realm,
        orgs: None,
        user: None,
        meters: BTreeSet::new(),
        period: october(),
        as_of: None,
        by: GroupBy { org: true, user: true, dimensions: true },
        buckets: Buckets::Hours,
    }
}

fn total(rows: &[RolledUp]) -> i128 {
    rows.iter().map(|row| row.quantity.0).sum::<i128>() / base::decimal::NANO
}

/// The same sums, computed the slow and plain way.
fn oracle(realm: RealmId, range: std::ops::Range<u64>, factor: i64) -> Vec<RolledUp> {
    let mut sums: BTreeMap<_, (i128, u64)> = BTreeMap::new();
    for no in range {
        let record = record(realm, no, no as i64 * factor);
        let hour = record.start_us - record.start_us.rem_euclid(HOUR_US);
        let key = (Some(record.org), record.user, record.meter.clone(), record.dimensions_json(), hour);
        let sum = sums.entry(key).or_default();
        *sum = (sum.0 + record.quantity.0, sum.1 + 1);
    }
    sums.into_iter()
        .map(|((org, user, meter, dimensions, bucket_us), (quantity, records))| RolledUp {
            org,
            user,
            meter,
            dimensions,
            bucket_us,
            quantity: QuantityNano(quantity),
            records,
        })
        .collect()
}

async fn re_delivery_changes_nothing(bench: Bench) {
    let all = events(OWN, 0..1_000, 1);
    bench.append(&all).await;
    let first = bench.lake.seal().await.unwrap();
    assert_eq!((first.records, first.duplicates, first.rejects), (1_000, 0, 0));
    let figures = bench.lake.roll_up(question(OWN)).await.unwrap();
    assert_eq!(figures, oracle(OWN, 0..1_000, 1));
    // In other order, in pieces, twice in one batch, after a restart.
    let mut shuffled: Vec<RawEvent> = all.iter().rev().cloned().collect();
    shuffled.extend(all[..300].to_vec());
    bench.append(&shuffled).await;
    let again = bench.lake.seal().await.unwrap();
    assert_eq!((again.records, again.duplicates), (0, 1_300));
    let bench = bench.reopen().await;
    for piece in all.chunks(333) {
        bench.append(piece).await;
        assert_eq!(bench.lake.seal().await.unwrap().records, 0);
    }
    assert_eq!(bench.lake.roll_up(question(OWN)).await.unwrap(), figures);
    assert!(bench.lake.quarantined(OWN, 10, |_| true).await.unwrap().is_empty());
}

async fn other_content_goes_to_quarantine(bench: Bench) {
    bench.append(&events(OWN, 1..3, 1)).await;
    bench.append(&events(OWN, 1..3, 1)).await;
    // The conflict may even sit in the batch of the original.
    bench.append(&events(OWN, 2..3, 7)).await;
    bench.lake.seal().await.unwrap();
    bench.append(&events(OWN, 1..2, 7)).await;
    bench.append(&events(OWN, 1..2, 7)).await;
    let sealed = bench.lake.seal().await.unwrap();
    assert_eq!((sealed.records, sealed.rejects), (0, 2));
    assert_eq!(total(&bench.lake.roll_up(question(OWN)).await.unwrap()), 1 + 2);
    let held = bench.lake.quarantined(OWN, 10, |_| true).await.unwrap();
    assert_eq!(held.len(), 2, "the same conflict is kept once: {held:?}");
    assert_eq!(held[0].reject.field, "id");
    // An id that comes again with a time in another month is no second record, in one batch or in two.
    let mut moved = record(OWN, 1, 1);
    (moved.start_us, moved.end_us) = (OCTOBER_US - HOUR_US, OCTOBER_US - HOUR_US);
    let mut fresh = record(OWN, 7, 7);
    let both = |record: &UsageRecord| RawEvent::Usage(Box::new(record.clone()));
    bench.append(&[both(&moved), both(&fresh)]).await;
    (fresh.start_us, fresh.end_us) = (moved.start_us, moved.end_us);
    bench.append(&[both(&fresh)]).await;
    let sealed = bench.lake.seal().await.unwrap();
    assert_eq!((sealed.records, sealed.rejects), (1, 2));
    assert_eq!(total(&bench.lake.roll_up(question(OWN)).await.unwrap()), 1 + 2 + 7);
}

async fn rejects_go_to_quarantine(bench: Bench) {
    let mut bad = record(OWN, 1, -5);
    bench.append(&[RawEvent::Usage(Box::new(bad.clone()))]).await;
    bad.quantity = QuantityNano::units(5);
    bad.end_us = bad.start_us - 1;
    bench.append(&[RawEvent::Usage(Box::new(bad.clone()))]).await;
    // What the clock has a say in was judged when it was taken in: another clock at sealing changes nothing.
    bad.record_id = "taken in by a clock that was ahead".into();
    bad.start_us = bench.world.now_us() + 2 * HOUR_US;
    bad.end_us = bad.start_us;
    bench.append(&[RawEvent::Usage(Box::new(bad))]).await;
    bench.append(&events(OWN, 2..3, 1)).await;
    let sealed = bench.lake.seal().await.unwrap();
    assert_eq!((sealed.records, sealed.rejects), (2, 2));
    let held = bench.lake.quarantined(OWN, 10, |_| true).await.unwrap();
    let mut fields: Vec<_> = held.iter().map(|item| item.reject.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["end", "quantity"]);
    assert!(bench.lake.quarantined(TWIN, 10, |_| true).await.unwrap().is_empty());
}

async fn twins_do_not_meet(bench: Bench) {
    bench.append(&events(OWN, 0..200, 1)).await;
    bench.append(&events(TWIN, 0..200, 3)).await;
    let sealed = bench.lake.seal().await.unwrap();
    assert_eq!(sealed.records, 400, "the same ids in two realms are two records");
    assert_eq!(bench.lake.roll_up(question(OWN)).await.unwrap(), oracle(OWN, 0..200, 1));
    assert_eq!(bench.lake.roll_up(question(TWIN)).await.unwrap(), oracle(TWIN, 0..200, 3));
    let mut some = question(OWN);
    some.orgs = Some(BTreeSet::from([OrgId(11)]));
    some.user = Some(UserId(1));
    some.meters = BTreeSet::from(["net.bytes".to_owned()]);
    let want: Vec<RolledUp> = oracle(OWN, 0..200, 1)
        .into_iter()
        .filter(|row| row.org == Some(OrgId(11)) && row.user == Some(UserId(1)) && row.meter == "net.bytes")
        .collect();
    assert!(!want.is_empty());
    assert_eq!(bench.lake.roll_up(some).await.unwrap(), want);
}

async fn as_of_reads_stand_still(bench: Bench) {
    bench.append(&events(OWN, 0..100, 1)).await;
    bench.lake.seal().await.unwrap();
    let watermark = bench.lake.watermark().await.unwrap();
    let mut then = question(OWN);
    then.as_of = Some(watermark);
    let figures = bench.lake.roll_up(then.clone()).await.unwrap();
    for turn in 1..40 {
        bench.append(&events(OWN, turn * 100..turn * 100 + 100, 1)).await;
        bench.lake.seal().await.unwrap();
    }
    assert!(bench.lake.compact().await.unwrap().files_in > 0);
    assert_eq!(bench.lake.roll_up(then).await.unwrap(), figures);
    assert_eq!(bench.lake.roll_up(question(OWN)).await.unwrap(), oracle(OWN, 0..4_000, 1));
}

fn request(no: u128, at_us: i64, user: u128, changes: Vec<ObjectChange>) -> RawEvent {
    let request = S3Request {
        request_id: RequestId(no),
        at_us,
        realm: OWN,
        org: OrgId(10),
        user: UserId(user),
        access_key: "MH".into(),
        auth: AuthKind::Header,
        account: Some(AccountId(1)),
        mapping: None,
        bucket: "b".into(),
        key: "k".into(),
        operation: "PutObject".into(),
        class: RequestClass::A,
        status: 200,
        error_code: String::new(),
        aborted: false,
        bytes_in_wire: 0,
        bytes_in: 0,
        bytes_out: 0,
        upstream_requests: 1,
        duration_us: 1,
        source_ip: String::new(),
        user_agent: String::new(),
        changes,
    };
    RawEvent::S3 { org_path: "/root/10/".into(), request: Box::new(request) }
}

fn put(object: &str, size_bytes: u64) -> Vec<ObjectChange> {
    vec![ObjectChange::Put { object: object.into(), size_bytes, class: STANDARD.into() }]
}

/// What a listing of the account shows: an object of nobody's.
fn seen(object: &str, size_bytes: u64) -> SeenObject {
    let (org_path, bucket) = ("/root/10/".to_owned(), "b".to_owned());
    let owner = SeenOwner { org: OrgId(10), org_path, user: None, bucket };
    SeenObject {
        object: object.into(),
        size_bytes,
        class: STANDARD.into(),
        owner: Arc::new(owner),
        given_up: None,
        shown: format!("b/{object}"),
    }
}

fn listing(objects: &[(&str, u64)]) -> Listing {
    let objects = objects.iter().map(|(object, size)| seen(object, *size)).collect();
    Listing { objects, has_versions: true, has_parts: true }
}

async fn byte_seconds(lake: &Lake, user: u128) -> i128 {
    let mut storage = question(OWN);
    storage.meters = BTreeSet::from(["s3.storage".to_owned()]);
    storage.user = Some(UserId(user));
    total(&lake.roll_up(storage).await.unwrap())
}

async fn storage_is_an_exact_integral(bench: Bench) {
    let second = 1_000_000;
    // 100 bytes from second 10; replaced by another user's 40 at second 1,000; parts and an abort;
    // deleted after two hours.
    let upload = || "up".to_owned();
    let all = [
        request(1, OCTOBER_US + 10 * second, 1, put("o1", 100)),
        request(2, OCTOBER_US + 1_000 * second, 2, put("o1", 40)),
        request(
            3,
            OCTOBER_US + 2_000 * second,
            1,
            vec![ObjectChange::PutPart { upload: upload(), part: 1, size_bytes: 7, class: STANDARD.into() }],
        ),
        request(
            4,
            OCTOBER_US + 2_000 * second,
            1,
            vec![ObjectChange::PutPart { upload: upload(), part: 2, size_bytes: 7, class: STANDARD.into() }],
        ),
        request(5, OCTOBER_US + 3_000 * second, 1, vec![ObjectChange::EndUpload { upload: upload() }]),
        request(6, OCTOBER_US + 2 * HOUR_US, 2, vec![ObjectChange::Delete { object: "o1".into() }]),
    ];
    bench.append(&all).await;
    bench.append(&all).await;
    for hours in [1, 1, 2, 5] {
        bench.lake.tick_storage(OCTOBER_US + hours * HOUR_US + 5).await.unwrap();
    }
    assert_eq!(byte_seconds(&bench.lake, 1).await, 990 * 100 + 2 * 7 * 1_000);
    assert_eq!(byte_seconds(&bench.lake, 2).await, 40 * (7_200 - 1_000));
    assert!(bench.lake.stored_bytes(OWN).await.unwrap().is_empty());
}

async fn late_writes_correct_closed_hours(bench: Bench) {
    let second = 1_000_000;
    bench.append(&[request(1, OCTOBER_US, 1, put("o1", 100))]).await;
    bench.lake.tick_storage(OCTOBER_US + 4 * HOUR_US).await.unwrap();
    assert_eq!(byte_seconds(&bench.lake, 1).await, 100 * 4 * 3_600);
    // A write of hour two becomes known now.
    let late = [request(2, OCTOBER_US + HOUR_US + 600 * second, 1, put("o2", 10))];
    bench.append(&late).await;
    bench.append(&late).await;
    bench.lake.tick_storage(OCTOBER_US + 4 * HOUR_US).await.unwrap();
    assert_eq!(byte_seconds(&bench.lake, 1).await, 100 * 4 * 3_600 + 10 * (3_000 + 2 * 3_600));
    bench.lake.tick_storage(OCTOBER_US + 5 * HOUR_US).await.unwrap();
    assert_eq!(byte_seconds(&bench.lake, 1).await, 100 * 5 * 3_600 + 10 * (3_000 + 3 * 3_600));
}

async fn events_of_an_object_may_come_in_any_order(bench: Bench) {
    // What is over is remembered for a day.
    bench.world.set(OCTOBER_US + 3 * HOUR_US);
    let at = |second: i64| OCTOBER_US + second * 1_000_000;
    let delete = || vec![ObjectChange::Delete { object: "o1".into() }];
    let all = [
        request(1, at(0), 1, put("o1", 100)),
        request(2, at(1_000), 2, put("o1", 40)),
        request(3, at(2_000), 1, delete()),
        request(4, at(5_000), 1, put("o1", 8)),
        request(5, at(7_000), 1, delete()),
    ];
    // One batch for each, the first ones last; some after their hours were closed.
    for (turn, no) in [3, 1, 4, 0, 2].into_iter().enumerate() {
        bench.append(&all[no..=no]).await;
        bench.lake.tick_storage(OCTOBER_US + i64::from(turn > 1) * HOUR_US).await.unwrap();
    }
    bench.lake.tick_storage(OCTOBER_US + 3 * HOUR_US).await.unwrap();
    assert_eq!(byte_seconds(&bench.lake, 1).await, 100 * 1_000 + 8 * 2_000);
    assert_eq!(byte_seconds(&bench.lake, 2).await, 40 * 1_000);
    assert!(bench.lake.stored_bytes(OWN).await.unwrap().is_empty());
}

async fn a_part_that_comes_after_its_upload_ends_with_it(bench: Bench) {
    let upload = || "up".to_owned();
    let part = |part| vec![ObjectChange::PutPart { upload: upload(), part, size_bytes: 7, class: STANDARD.into() }];
    let end = vec![ObjectChange::EndUpload { upload: upload() }];
    bench.append(&[request(1, OCTOBER_US, 1, part(1))]).await;
    bench.append(&[request(2, OCTOBER_US + 100_000_000, 1, end)]).await;
    bench.lake.seal().await.unwrap();
    bench.append(&[request(3, OCTOBER_US + 90_000_000, 1, part(2))]).await;
    bench.lake.tick_storage(OCTOBER_US + HOUR_US).await.unwrap();
    assert_eq!(byte_seconds(&bench.lake, 1).await, 7 * 100 + 7 * 10);
    assert!(bench.lake.stored_bytes(OWN).await.unwrap().is_empty());
}

async fn the_sweep_leaves_alone_what_was_deleted_meanwhile(bench: Bench) {
    let delete = |object: &str| vec![ObjectChange::Delete { object: object.into() }];
    bench.append(&[request(1, OCTOBER_US, 1, put("known", 5))]).await;
    let started = OCTOBER_US + 1_000;
    let listing = listing(&[("known", 5), ("unknown", 7), ("before", 9)]);
    // Listed, then deleted: one that the index knew and one that it did not. The third was deleted earlier,
    // and is there again without the gateway.
    bench.append(&[request(2, started - 1, 1, delete("before"))]).await;
    bench.append(&[request(3, started + 10, 1, [delete("known"), delete("unknown")].concat())]).await;
    bench.world.set(started + 20);
    let drift = bench.lake.reconcile(OWN, AccountId(1), &listing, started).await.unwrap();
    assert_eq!((drift.added, drift.removed, drift.resized, drift.bytes), (1, 0, 0, 9));
    // A listing that begins later is right again.
    bench.world.set(started + 40);
    let drift = bench.lake.reconcile(OWN, AccountId(1), &listing, started + 30).await.unwrap();
    assert_eq!((drift.added, drift.bytes), (2, 5 + 7));
}

async fn a_cut_between_batch_and_removal_doubles_nothing(bench: Bench) {
    bench.append(&events(OWN, 0..10, 1)).await;
    bench.append(&[request(1, OCTOBER_US, 1, put("o1", 100))]).await;
    let (inbox, kept) = (bench.folder.path().join("inbox"), bench.folder.path().join("kept"));
    match &bench.postgres {
        Some(url) => drop(testkit::run_psql(url, "create table lake.kept as select seq, events, body from lake.inbox")),
        None => copy_folder(&inbox, &kept),
    }
    assert_eq!(bench.lake.seal().await.unwrap().records, 11);
    let figures = bench.lake.roll_up(question(OWN)).await.unwrap();
    // The batch is there, and its groups are again.
    match &bench.postgres {
        Some(url) => drop(testkit::run_psql(url, "insert into lake.inbox select seq, events, body from lake.kept")),
        None => copy_folder(&kept, &inbox),
    }
    assert_eq!(bench.lake.seal().await.unwrap().events, 0, "not even read");
    match &bench.postgres {
        Some(url) => drop(testkit::run_psql(url, "insert into lake.inbox select seq, events, body from lake.kept")),
        None => copy_folder(&kept, &inbox),
    }
    let bench = bench.reopen().await;
    bench.append(&events(OWN, 0..11, 1)).await;
    assert_eq!(bench.lake.seal().await.unwrap().records, 1);
    assert_eq!(total(&bench.lake.roll_up(question(OWN)).await.unwrap()), total(&figures) + 10);
    assert_eq!(bench.lake.stored_bytes(OWN).await.unwrap().len(), 1);
}

async fn a_catalog_of_version_1_is_brought_up(bench: Bench) {
    bench.append(&[request(1, OCTOBER_US, 1, put("o1", 5))]).await;
    bench.lake.seal().await.unwrap();
    let sql = [
        "drop table PLACE.s3_past",
        "alter table PLACE.s3_object drop column class",
        "alter table PLACE.s3_change drop column class",
        "create table PLACE.old_level as
           select realm_id, org_id, user_id, bucket, org_path, bytes, ticked_us from PLACE.s3_level",
        "drop table PLACE.s3_level",
        "alter table PLACE.old_level rename to s3_level",
        "delete from PLACE.lake_version where version in (2, 4)",
    ];
    match &bench.postgres {
        Some(url) => sql.iter().for_each(|sql| drop(testkit::run_psql(url, &sql.replace("PLACE", "lake")))),
        None => {
            let python =
                std::env::var("METERHOUSE_TEST_PYTHON").expect("METERHOUSE_TEST_PYTHON is not set: run ./dev/test");
            let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n[c.execute(s) for s in sys.argv[2:]]\nc.commit()";
            let path = bench.folder.path().join("lake.db");
            let mut command = std::process::Command::new(python);
            command.args(["-c", script]).arg(path).args(sql.map(|sql| sql.replace("PLACE", "main")));
            assert!(command.status().unwrap().success());
        }
    }
    let bench = bench.reopen().await;
    bench.append(&[request(2, OCTOBER_US + HOUR_US, 1, vec![ObjectChange::Delete { object: "o1".into() }])]).await;
    bench.lake.tick_storage(OCTOBER_US + 2 * HOUR_US).await.unwrap();
    assert_eq!(byte_seconds(&bench.lake, 1).await, 5 * 3_600);
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

async fn the_sweep_books_the_drift(bench: Bench) {
    bench.world.set(OCTOBER_US);
    bench.append(&[request(1, OCTOBER_US, 1, [put("keep", 5), put("gone", 7), put("grown", 1)].concat())]).await;
    bench.world.set(OCTOBER_US + HOUR_US);
    let listing = listing(&[("keep", 5), ("grown", 4), ("new", 9)]);
    let started = bench.world.now_us();
    let drift = bench.lake.reconcile(OWN, AccountId(1), &listing, started).await.unwrap();
    assert_eq!((drift.added, drift.removed, drift.resized, drift.bytes), (1, 1, 1, 9 - 7 + 3));
    let again = bench.lake.reconcile(OWN, AccountId(1), &listing, bench.world.now_us() + 1).await.unwrap();
    assert_eq!((again.added, again.removed, again.resized, again.bytes), (0, 0, 0, 0));
    let stored: i64 = bench.lake.stored_bytes(OWN).await.unwrap().iter().map(|(.., bytes)| bytes).sum();
    assert_eq!(stored, 5 + 4 + 9);
    assert_eq!(bench.lake.reconcile(TWIN, AccountId(1), &Listing::default(), started).await.unwrap().removed, 0);
}

/// S01: three versions of 1,000,000 bytes, of which the bucket was billed none.
async fn versions_are_objects_of_their_own(bench: Bench) {
    let version = |no: u64| format!("o1.{no}");
    let writes = (1..=3).flat_map(|no| put(&version(no), 1_000_000)).collect();
    bench.append(&[request(1, OCTOBER_US, 1, writes)]).await;
    let gone = vec![ObjectChange::Delete { object: version(2) }];
    bench.append(&[request(2, OCTOBER_US + HOUR_US / 2, 1, gone)]).await;
    bench.lake.tick_storage(OCTOBER_US + HOUR_US).await.unwrap();
    assert_eq!(byte_seconds(&bench.lake, 1).await, 2_000_000 * 3_600 + 1_000_000 * 1_800);
    // A store that lists no versions says nothing about them.
    bench.world.set(OCTOBER_US + 2 * HOUR_US);
    let current = Listing { has_versions: false, ..listing(&[]) };
    let drift = bench.lake.reconcile(OWN, AccountId(1), &current, bench.world.now_us()).await.unwrap();
    assert_eq!((drift.removed, drift.bytes), (0, 0));
    let all = listing(&[("o1.1", 1_000_000)]);
    let drift = bench.lake.reconcile(OWN, AccountId(1), &all, bench.world.now_us()).await.unwrap();
    assert_eq!((drift.removed, drift.bytes), (1, -1_000_000));
}

/// S02: a part of 250,000 bytes whose upload the store gave up.
async fn a_part_that_the_store_gave_up_is_not_billed(bench: Bench) {
    let part = |upload: &str, part, size_bytes| ObjectChange::PutPart {
        upload: upload.into(),
        part,
        size_bytes,
        class: STANDARD.into(),
    };
    bench.append(&[request(1, OCTOBER_US, 1, vec![part("gone", 1, 250_000), part("kept", 1, 7)])]).await;
    let started = OCTOBER_US + HOUR_US;
    bench.append(&[request(2, started + 1, 1, vec![part("young", 1, 9)])]).await;
    bench.world.set(started + 2);
    let unknown = Listing { has_parts: false, ..listing(&[]) };
    let drift = bench.lake.reconcile(OWN, AccountId(1), &unknown, started).await.unwrap();
    assert_eq!((drift.removed, drift.bytes), (0, 0), "parts that could not be listed stay");
    let parts = listing(&[("kept/00001", 7), ("kept/00002", 5), ("new/00001", 3)]);
    let drift = bench.lake.reconcile(OWN, AccountId(1), &parts, started).await.unwrap();
    assert_eq!((drift.removed, drift.added, drift.bytes), (1, 2, -250_000 + 5 + 3), "the young one is left alone");
    let stored = bench.lake.stored_bytes(OWN).await.unwrap();
    let of = |user: Option<UserId>| stored.iter().find(|row| row.1 == user).map(|row| row.3);
    assert_eq!((of(Some(UserId(1))), of(None)), (Some(7 + 5 + 9), Some(3)), "parts of an upload are its owner's");
    // The end of the upload ends what the sweep found of it.
    let end = vec![ObjectChange::EndUpload { upload: "kept".into() }];
    bench.append(&[request(3, started + 10, 1, end)]).await;
    bench.lake.seal().await.unwrap();
    let left: i64 = bench.lake.stored_bytes(OWN).await.unwrap().iter().map(|row| row.3).sum();
    assert_eq!(left, 9 + 3);
}

/// S06: an object that was resized behind the gateway lost its user.
async fn what_changed_behind_the_gateway_stays_whose_it_was(bench: Bench) {
    bench.append(&[request(1, OCTOBER_US, 1, [put("o1", 100), put("o2", 1)].concat())]).await;
    bench.world.set(OCTOBER_US + HOUR_US);
    let found = listing(&[("o1", 200), ("o2", 1), ("o2.new", 50), ("o3", 7)]);
    let drift = bench.lake.reconcile(OWN, AccountId(1), &found, bench.world.now_us()).await.unwrap();
    assert_eq!((drift.resized, drift.added, drift.bytes), (1, 2, 100 + 50 + 7));
    assert_eq!(drift.examples, ["resized b/o1: 100 bytes, now 200", "found b/o2.new: 50 bytes", "found b/o3: 7 bytes"]);
    let stored = bench.lake.stored_bytes(OWN).await.unwrap();
    let of = |user: Option<UserId>| stored.iter().find(|row| row.1 == user).map(|row| row.3);
    assert_eq!((of(Some(UserId(1))), of(None)), (Some(200 + 1 + 50), Some(7)));
    bench.lake.tick_storage(OCTOBER_US + 2 * HOUR_US).await.unwrap();
    assert_eq!(byte_seconds(&bench.lake, 1).await, 101 * 3_600 + 251 * 3_600);
}

/// S08.
async fn storage_classes_are_kept_apart(bench: Bench) {
    let cold =
        |object: &str, size_bytes| ObjectChange::Put { object: object.into(), size_bytes, class: "STANDARD_IA".into() };
    bench.append(&[request(1, OCTOBER_US, 1, [put("o1", 100), vec![cold("o2", 10)]].concat())]).await;
    // A rule of the store moves the first one at half past.
    let half = OCTOBER_US + HOUR_US / 2;
    bench.world.set(half);
    let mut found = listing(&[("o1", 100), ("o2", 10)]);
    found.objects.iter_mut().for_each(|object| object.class = "STANDARD_IA".into());
    let drift = bench.lake.reconcile(OWN, AccountId(1), &found, half).await.unwrap();
    assert_eq!((drift.moved, drift.resized, drift.bytes), (1, 0, 0));
    bench.lake.tick_storage(OCTOBER_US + HOUR_US).await.unwrap();
    let mut storage = question(OWN);
    storage.meters = BTreeSet::from(["s3.storage".to_owned()]);
    let rows = bench.lake.roll_up(storage).await.unwrap();
    let of = |class: &str| {
        let of_class =
            rows.iter().filter(|row| row.dimensions == format!(r#"{{"bucket":"b","storage_class":"{class}"}}"#));
        of_class.map(|row| row.quantity.0 / 1_000_000_000).sum::<i128>()
    };
    assert_eq!((of("STANDARD"), of("STANDARD_IA")), (100 * 1_800, 10 * 3_600 + 100 * 1_800), "{rows:?}");
    assert_eq!(byte_seconds(&bench.lake, 1).await, 110 * 3_600, "together they are what is stored");
}

/// S07: an organisation that gave up what it stored in a place that somebody else holds as well.
async fn what_was_given_up_goes_to_who_has_it(bench: Bench) {
    bench.append(&[request(1, OCTOBER_US, 1, [put("o1", 100), put("o2", 7)].concat())]).await;
    bench.lake.seal().await.unwrap();
    let (org, _, bucket, _) = bench.lake.stored_bytes(OWN).await.unwrap().remove(0);
    bench.world.set(OCTOBER_US + HOUR_US);
    let mut found = listing(&[("o1", 100), ("o2", 7)]);
    let next = SeenOwner { org: OrgId(11), org_path: "/root/11/".into(), user: None, bucket: "c".into() };
    found.objects[0].given_up = Some((org, bucket));
    found.objects[0].owner = Arc::new(next);
    let drift = bench.lake.reconcile(OWN, AccountId(1), &found, bench.world.now_us()).await.unwrap();
    assert_eq!((drift.moved, drift.bytes), (1, 0));
    let stored = bench.lake.stored_bytes(OWN).await.unwrap();
    let of = |org| stored.iter().filter(|row| row.0 == org).map(|row| row.3).sum::<i64>();
    assert_eq!((of(org), of(OrgId(11))), (7, 100));
    let again = bench.lake.reconcile(OWN, AccountId(1), &found, bench.world.now_us() + 1).await.unwrap();
    assert!(!again.is_any(), "{again:?}");
}

async fn compaction_changes_no_figure(bench: Bench) {
    for turn in 0..20 {
        bench.append(&events(OWN, turn * 500..turn * 500 + 500, 1)).await;
        bench.append(&events(TWIN, turn * 500..turn * 500 + 500, 2)).await;
        bench.lake.seal().await.unwrap();
    }
    let before = bench.lake.roll_up(question(OWN)).await.unwrap();
    let done = bench.lake.compact().await.unwrap();
    assert_eq!((done.files_in, done.files_out, done.rows), (20, 1, 20_000));
    assert_eq!(bench.lake.roll_up(question(OWN)).await.unwrap(), before);
    assert_eq!(bench.lake.compact().await.unwrap().files_in, 0);
    let on_disk = || walk(bench.lake.files());
    assert_eq!(on_disk(), 21);
    assert_eq!(bench.lake.expire(bench.world.now_us() - 1).await.unwrap(), 0);
    assert_eq!((bench.lake.expire(bench.world.now_us()).await.unwrap(), on_disk()), (20, 1));
    assert_eq!(bench.lake.roll_up(question(OWN)).await.unwrap(), before);
    bench.append(&events(OWN, 0..10_000, 1)).await;
    assert_eq!(bench.lake.seal().await.unwrap().records, 0);
}

/// Files below a folder.
fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}

/// What a question asks for, computed the slow and plain way over records 0..`rows`, 1,000 in each batch.
fn answer(question: &RollUp, rows: u64, factor: i64) -> Vec<RolledUp> {
    let mut sums: BTreeMap<_, (i128, u64)> = BTreeMap::new();
    for no in 0..rows {
        let record = record(question.realm, no, no as i64 * factor);
        let wanted = question.period.contains(record.start_us)
            && question.as_of.is_none_or(|batch_no| no as i64 / 1_000 < batch_no)
            && question.orgs.as_ref().is_none_or(|orgs| orgs.contains(&record.org))
            && question.user.is_none_or(|user| record.user == Some(user))
            && (question.meters.is_empty() || question.meters.contains(&record.meter));
        if !wanted {
            continue;
        }
        let bucket_us = match &question.buckets {
            Buckets::Whole => question.period.start_us,
            Buckets::Hours => record.start_us - record.start_us.rem_euclid(HOUR_US),
            Buckets::At(edges) => {
                let before = edges.iter().rev().find(|edge| **edge <= record.start_us);
                before.copied().unwrap_or(question.period.start_us)
            }
        };
        let by = question.by;
        let key = (
            by.org.then_some(record.org),
            record.user.filter(|_| by.user),
            record.meter.clone(),
            if by.dimensions { record.dimensions_json() } else { String::new() },
            bucket_us,
        );
        let sum = sums.entry(key).or_default();
        *sum = (sum.0 + record.quantity.0, sum.1 + 1);
    }
    sums.into_iter()
        .map(|((org, user, meter, dimensions, bucket_us), (quantity, records))| RolledUp {
            org,
            user,
            meter,
            dimensions,
            bucket_us,
            quantity: QuantityNano(quantity),
            records,
        })
        .collect()
}

async fn any_question_agrees_with_the_plain_way(bench: Bench) {
    let rows = 18_000; // In one file they are more than two pages and two batches of the reader.
    for first in (0..rows).step_by(1_000) {
        bench.append(&events(OWN, first..first + 1_000, 1)).await;
        bench.append(&events(TWIN, first..first + 1_000, 3)).await;
        bench.lake.seal().await.unwrap();
    }
    let day_us = 24 * HOUR_US;
    let mut questions = Vec::new();
    for bits in 0..8 {
        let by = GroupBy { org: bits & 1 != 0, user: bits & 2 != 0, dimensions: bits & 4 != 0 };
        let days = Buckets::At((0..31).map(|day| OCTOBER_US + day * day_us - 2 * HOUR_US).collect());
        let late = Buckets::At(vec![OCTOBER_US + 5 * day_us, OCTOBER_US + 40 * day_us]);
        for buckets in [Buckets::Whole, Buckets::Hours, Buckets::At(vec![OCTOBER_US]), days, late] {
            questions.push(RollUp { by, buckets, ..question([OWN, TWIN][bits % 2]) });
        }
    }
    let orgs = |orgs: &[u128]| Some(orgs.iter().map(|org| OrgId(*org)).collect::<BTreeSet<_>>());
    let fifth = Period::new(OCTOBER_US + 4 * day_us + 17, OCTOBER_US + 5 * day_us).unwrap();
    let all = questions.clone();
    for (turn, asked) in all.into_iter().enumerate() {
        questions.push(match turn % 6 {
            0 => RollUp { orgs: orgs(&[10, 14, 99]), ..asked },
            1 => RollUp { user: Some(UserId(2)), ..asked },
            2 => RollUp { meters: BTreeSet::from(["net.bytes".to_owned()]), period: fifth, ..asked },
            3 => RollUp { as_of: Some(7), orgs: orgs(&[13]), ..asked },
            4 => RollUp { period: fifth, user: Some(UserId(1)), as_of: Some(16), ..asked },
            _ => RollUp { orgs: orgs(&[99]), ..asked },
        });
    }
    let factor = |asked: &RollUp| if asked.realm == OWN { 1 } else { 3 };
    let wanted: Vec<_> = questions.iter().map(|asked| answer(asked, rows, factor(asked))).collect();
    for turn in 0..2 {
        for (asked, want) in questions.iter().zip(&wanted) {
            assert_eq!(&bench.lake.roll_up(asked.clone()).await.unwrap(), want, "turn {turn}: {asked:?}");
        }
        assert_eq!(bench.lake.compact().await.unwrap().files_out, u64::from(turn == 0));
    }
}

async fn records_can_be_paged(bench: Bench) {
    bench.append(&events(OWN, 0..500, 1)).await;
    bench.append(&events(TWIN, 0..500, 1)).await;
    bench.lake.seal().await.unwrap();
    let mut filter = RecordFilter {
        realm: OWN,
        orgs: Some(BTreeSet::from([OrgId(12)])),
        user: None,
        meters: BTreeSet::new(),
        period: october(),
        as_of: None,
        after: None,
        limit: 7,
    };
    let mut ids = BTreeSet::new();
    loop {
        let page = bench.lake.records(filter.clone(), |_| true).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some((last.start_us, last.record_id.clone()));
        assert!(page.iter().all(|record| ids.insert(record.record_id.clone())), "no record comes twice");
    }
    assert_eq!(ids.len(), 100);
}

/// DuckDB's own `ducklake` extension reads the catalog: filters on every column, time travel, row ids.
async fn duckdb_reads_the_same_figures(bench: Bench) {
    for turn in 0..18 {
        bench.append(&events(OWN, turn * 50..turn * 50 + 50, 1)).await;
        let mut september = record(TWIN, turn, 5);
        september.record_id = format!("s{turn}");
        (september.start_us, september.end_us) = (OCTOBER_US - HOUR_US, OCTOBER_US - HOUR_US);
        bench.append(&[RawEvent::Usage(Box::new(september))]).await;
        bench.lake.seal().await.unwrap();
    }
    bench.lake.compact().await.unwrap();
    bench.world.advance(HOUR_US);
    bench.lake.expire(bench.world.now_us()).await.unwrap();
    bench.append(&events(OWN, 900..950, 1)).await;
    bench.lake.seal().await.unwrap();
    let attach = match &bench.postgres {
        None => format!("ducklake:sqlite:{}", bench.folder.path().join("lake.db").display()),
        Some(url) => format!("ducklake:postgres:{url}"),
    };
    let python = std::env::var("METERHOUSE_TEST_PYTHON").expect("METERHOUSE_TEST_PYTHON is not set: run ./dev/test");
    let output = std::process::Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/duckdb_reads.py"))
        .args([attach, bench.lake.files().display().to_string()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let ours = total(&bench.lake.roll_up(question(OWN)).await.unwrap());
    assert!(told.contains(&format!("total {OWN} {ours}\n")), "{told} but we have {ours}");
}

/// PostgreSQL knows no NUL; what is refused for one is kept all the same, and nothing waits for it.
async fn what_cannot_be_stored_is_set_aside(bench: Bench) {
    let nul = |quantity| {
        let mut record = record(OWN, 1, quantity);
        record.record_id = "a\0b".into();
        RawEvent::Usage(Box::new(record))
    };
    bench.append(&[nul(1)]).await;
    bench.lake.seal().await.unwrap();
    bench.append(&[nul(2)]).await;
    bench.append(&events(OWN, 2..5, 1)).await;
    bench.append(&events(TWIN, 2..5, 1)).await;
    let sealed = bench.lake.seal().await.unwrap();
    assert_eq!((sealed.records, sealed.rejects), (6, 1));
    let held = bench.lake.quarantined(OWN, 10, |_| true).await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].quantity, QuantityNano::units(2), "with its worth");
    assert_eq!(total(&bench.lake.roll_up(question(OWN)).await.unwrap()), 1 + 2 + 3 + 4);
}

/// An event that the database refuses for what it holds, in the middle of a batch.
async fn an_event_that_fails_keeps_no_other_waiting(bench: Bench) {
    let in_bucket = |bucket: &str, no: u128| {
        let mut event = request(no, OCTOBER_US + no as i64, 7, put(&format!("{no:032x}"), 10));
        if let RawEvent::S3 { request, .. } = &mut event {
            request.bucket = bucket.to_owned();
        }
        event
    };
    let mut all: Vec<RawEvent> = (0..9).map(|no| in_bucket("plain", no)).collect();
    all.insert(4, in_bucket("b\0d", 100));
    all.extend(events(TWIN, 0..3, 1));
    bench.append(&all).await;
    let sealed = bench.lake.seal().await.unwrap();
    let held = bench.lake.quarantined(OWN, 10, |_| true).await.unwrap();
    // SQLite stores a NUL; PostgreSQL refuses it, and only that event is set aside.
    let aside = u64::from(bench.postgres.is_some());
    assert_eq!((sealed.rejects, held.len() as u64), (aside, aside));
    assert_eq!(sealed.events, 13);
    assert_eq!(bench.lake.roll_up(question(TWIN)).await.unwrap().iter().map(|row| row.records).sum::<u64>(), 3);
    let again = bench.lake.seal().await.unwrap();
    assert_eq!(again.events, 0, "nothing is left to be sealed");
}
