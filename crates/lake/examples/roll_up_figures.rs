//! Fills a lake, compacts it and measures its reads; `dev/bench` runs it and DuckDB on the same files.
//!
//! Each step is a process of its own, so that its peak of memory is only its own:
//!
//! usage: roll_up_figures FOLDER (fill ROWS BATCH_ROWS | compact | hour_to_month | top_10_of_one_organisation)
//!
//! prints `name cpu_s wall_ms peak_mib` lines

use base::period::HOUR_US;
use base::{OrgId, Period, QuantityNano, RealmId, UserId, Zone};
use lake::{Buckets, GroupBy, Lake, RawBatch, RollUp, Settings};
use metering::{RawEvent, RecordKind, UsageRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

const OCTOBER_US: i64 = 1_790_812_800_000_000;
const TURNS: u32 = 5;
/// The clock of processes ticks in hundredths of a second: what is quick is asked so often for one figure.
const TOP_REPEATS: u32 = 10;

/// One realm, 200 organisations, 12 meters, arrival over the month in order of time.
fn record(no: u64, rows: u64) -> UsageRecord {
    let mixed = no.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let org = (mixed >> 20) % 200;
    let span = 31 * 24 * HOUR_US;
    let start_us =
        OCTOBER_US + i64::try_from(u128::from(no) * span as u128 / u128::from(rows)).expect("within a month");
    UsageRecord {
        source: "bench".into(),
        record_id: format!("{mixed:016x}{no:016x}"),
        realm: RealmId(1),
        org: OrgId(u128::from(org) + 1_000),
        org_path: format!("/root/org{org:03}/"),
        user: Some(UserId(u128::from((mixed >> 30) % 400) + 5_000)),
        meter: format!("meter.m{:02}", (mixed >> 8) % 12),
        resource: format!("resource-{}", (mixed >> 40) % 10_000),
        dimensions: BTreeMap::from([("zone".to_owned(), format!("z{}", (mixed >> 50) % 4))]),
        quantity: QuantityNano(i128::from(mixed % 1_000_000_007) * 1_000),
        start_us,
        end_us: start_us,
        kind: RecordKind::Usage,
        attributes: r#"{"host":"node-7","note":"bench"}"#.into(),
    }
}

fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("proc is there");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is there");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("VmHWM");
    line.split_whitespace().nth(1).expect("a figure").parse().expect("a figure")
}

struct Watch(u64, Instant);

impl Watch {
    fn start() -> Self {
        let _ = std::fs::write("/proc/self/clear_refs", "5"); // Sets the peak back.
        Self(cpu_ticks(), Instant::now())
    }

    /// Prints what was used since the start, divided by how often it was done.
    fn stop(self, name: &str, repeats: u32) {
        let cpu_ms = (cpu_ticks() - self.0) * 10 / u64::from(repeats);
        let wall_ms = self.1.elapsed().as_millis() / u128::from(repeats);
        let (s, ms) = (cpu_ms / 1_000, cpu_ms % 1_000);
        println!("{name} cpu_s {s}.{ms:03} wall_ms {wall_ms} peak_mib {}", peak_kib() / 1_024);
    }
}

async fn fill(lake: &Lake, rows: u64, batch_rows: u64) {
    for first in (0..rows).step_by(batch_rows.try_into().expect("a batch fits in memory")) {
        let mut batch = RawBatch::default();
        for no in first..(first + batch_rows).min(rows) {
            batch.push(&RawEvent::Usage(Box::new(record(no, rows))));
            if batch.len() == 1_000 {
                lake.append(std::mem::take(&mut batch)).await.expect("the append is acknowledged");
            }
        }
        lake.append(batch).await.expect("the append is acknowledged");
        lake.seal().await.expect("sealing works");
    }
}

fn question(orgs: Option<BTreeSet<OrgId>>, by: GroupBy, buckets: Buckets) -> RollUp {
    let period = Period::month("2026-10", &Zone::utc()).expect("a month");
    RollUp { realm: RealmId(1), orgs, user: None, meters: BTreeSet::new(), period, as_of: None, by, buckets }
}

/// Sums by organisation, meter and hour, then by month. Gives what to compare with DuckDB.
async fn hour_to_month(lake: &Lake) -> String {
    let by_org = GroupBy { org: true, user: false, dimensions: false };
    let hours = lake.roll_up(question(None, by_org, Buckets::Hours)).await.expect("it reads");
    let mut months: Vec<(Option<OrgId>, &str, i128)> = Vec::new(); // The rows come in order.
    for row in &hours {
        match months.last_mut() {
            Some((org, meter, sum)) if *org == row.org && *meter == row.meter => *sum += row.quantity.0,
            _ => months.push((row.org, &row.meter, row.quantity.0)),
        }
    }
    let sum = QuantityNano(months.iter().map(|month| month.2).sum::<i128>());
    format!("hours {} months {} sum {sum}", hours.len(), months.len())
}

async fn top_10(lake: &Lake) -> String {
    let by_user = GroupBy { org: false, user: true, dimensions: false };
    let one = Some(BTreeSet::from([OrgId(1_007)]));
    let mut users = lake.roll_up(question(one, by_user, Buckets::Whole)).await.expect("it reads");
    users.sort_by_key(|row| std::cmp::Reverse(row.quantity));
    users.truncate(10);
    let sum = QuantityNano(users.iter().map(|row| row.quantity.0).sum::<i128>());
    format!("rows {} sum {sum}", users.len())
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [folder, step, rest @ ..] = &words[..] else { panic!("usage: FOLDER STEP") };
    let world = Arc::new(testkit::TestWorld::at("2026-11-01T00:00:00Z", u64::from(std::process::id())));
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let settings = Settings { batch_events_max: u64::MAX, ..Settings::default() }; // `fill` seals by its own count.
    let lake = Lake::open(folder.as_ref(), None, world, settings).await.expect("the lake opens");
    let watch = Watch::start();
    match (*step, rest) {
        ("fill", [rows, batch_rows]) => {
            fill(&lake, rows.parse().expect("a number"), batch_rows.parse().expect("a number")).await;
            watch.stop("fill_append_to_parquet", 1);
        }
        ("compact", []) => {
            let done = lake.compact().await.expect("it merges");
            watch.stop(&format!("compact_{}_files_to_{}", done.files_in, done.files_out), 1);
        }
        ("hour_to_month", []) => {
            for turn in 1..=TURNS {
                let watch = Watch::start();
                let answer = hour_to_month(&lake).await;
                watch.stop(&format!("hour_to_month_{turn}"), 1);
                println!("{answer}");
            }
        }
        ("top_10_of_one_organisation", []) => {
            for turn in 1..=TURNS {
                let watch = Watch::start();
                let mut answer = String::new();
                for _ in 0..TOP_REPEATS {
                    answer = top_10(&lake).await;
                }
                watch.stop(&format!("top_10_of_one_organisation_{turn}"), TOP_REPEATS);
                println!("{answer}");
            }
        }
        _ => panic!("no such step: {step}"),
    }
}
