//! `demo`: everything at once on one machine, with simulated upstream accounts and a simulated month.

mod plan;
mod traffic;

use crate::Exit;
use crate::config::Config;
use crate::serve::{open_app, start, start_log, wait_for_end};
use app::{MachineWorld, bills, usage};
use base::decimal::{NANO, format_scaled};
use base::{OrgId, Period, World};
use clap::Args;
use plan::{Planted, UPSTREAM_KEY};
use sim::s3_store::S3Store;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Flags of `demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Print the bill and exit instead of staying up.
    #[arg(long)]
    once: bool,
    /// Folder for its data; must not exist yet. Without it: a fresh one in the temporary folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Port of the console on 127.0.0.1; a free one without it.
    #[arg(long, default_value_t = 0)]
    console_port: u16,
    /// Port of the S3 gateway on 127.0.0.1; a free one without it.
    #[arg(long, default_value_t = 0)]
    s3_port: u16,
}

fn fresh_folder(args: &DemoArgs, world: &MachineWorld) -> Result<PathBuf, Exit> {
    let folder = args.data_dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("meterhouse-demo-{}", base::ids::encode_base32(world.fresh_id())))
    });
    if folder.exists() {
        return Err(Exit::usage(format!("--data-dir: {} exists; the demo wants a fresh folder", folder.display())));
    }
    std::fs::create_dir_all(&folder).map_err(|error| Exit::failed(format!("{}: {error}", folder.display())))?;
    std::path::absolute(&folder).map_err(|error| Exit::failed(error.to_string()))
}

async fn upstream(folder: &Path, name: &str, world: Arc<MachineWorld>) -> Result<S3Store, Exit> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| Exit::failed(error.to_string()))?;
    let (key, secret) = UPSTREAM_KEY;
    Ok(S3Store::start(listener, vec![(key.to_owned(), secret.to_owned())], folder.join(name), world))
}

async fn make_bucket(store: &S3Store, bucket: &str, world: &MachineWorld) -> Result<(), Exit> {
    let (key, secret) = UPSTREAM_KEY;
    let upstream = s3::Upstream::new(&format!("http://{}", store.addr()), "us-east-1", s3::Style::Path, key, secret);
    let upstream = upstream.map_err(|error| Exit::failed(error.to_string()))?;
    let client = s3::Client::new().map_err(|error| Exit::failed(error.to_string()))?;
    client.create_bucket(&upstream, bucket, world.now_us()).await.map_err(|error| Exit::failed(error.to_string()))
}

/// Runs the demo.
pub(crate) async fn run(args: DemoArgs) -> Result<(), Exit> {
    println!("Meterhouse demo: two S3 accounts, two customers, one month of traffic, one bill each.");
    start_log("warn", false)?;
    let world = Arc::new(MachineWorld::default());
    let folder = fresh_folder(&args, &world)?;
    let mut config = Config { data_dir: folder.clone(), ..Config::default() };
    config.console.listen = format!("127.0.0.1:{}", args.console_port);
    config.gateway.listen = format!("127.0.0.1:{}", args.s3_port);
    config.network.allow = vec!["127.0.0.0/8".to_owned()]; // The simulated accounts stand on this machine.
    let zone = "Europe/Berlin".parse().map_err(|error: base::PeriodError| Exit::failed(error.to_string()))?;
    let failed = |error: base::PeriodError| Exit::failed(error.to_string());
    let month = Period::month_of(world.now_us(), &zone).and_then(|now| now.previous_month(&zone)).map_err(failed)?;
    let name = month.month_name(&zone);
    world.set(month.start_us);
    let fast = upstream(&folder, "upstream-fast", world.clone()).await?;
    let archive = upstream(&folder, "upstream-archive", world.clone()).await?;
    for (store, bucket) in [(&fast, "nw-fast"), (&fast, "harbor-media"), (&archive, "nw-archive")] {
        make_bucket(store, bucket, &world).await?;
    }
    let (app, key) = open_app(&config, world.clone()).await?;
    let planted = plan::plant(&app, [&fast, &archive], &name).await?;
    println!(
        "1/3 planted: {} people in 3 departments and 2 customers, 2 upstream accounts, 8 mappings",
        planted.people.len()
    );
    let mut running = start(&config, app.clone(), key, false).await?;
    let shown = |day: usize, days: usize, sent: &traffic::Sent| {
        if day.is_multiple_of(5) || day == days {
            println!("2/3 traffic of {name}: day {day} of {days}, {} requests sent", sent.requests);
        }
    };
    let sent = traffic::send_month(&app, &world, running.gateway, &planted.people, (month, &zone), shown).await?;
    world.set(month.end_us + base::period::HOUR_US);
    let closed = bills::close_month(&planted.cx, planted.cx.realm.root(), &name, true).await?;
    println!(
        "3/3 closed {name}: {} papers issued, {} requests of which {} refused",
        closed.papers.len(),
        sent.requests,
        sent.refused
    );
    print_table(&planted, &name, month).await?;
    write_papers(&planted, &closed.papers, &folder).await?;
    world.reset();
    running.start_timers();
    print_access(&planted, &folder, running.console, running.gateway);
    if !args.once {
        println!("\nCtrl-C ends it. The data stay in {}", folder.display());
        wait_for_end().await?;
    }
    running.stop().await;
    fast.stop().await;
    archive.stop().await;
    Ok(())
}

#[derive(Default)]
struct Row {
    byte_seconds: i128,
    class_a: i128,
    class_b: i128,
    bytes_in: i128,
    bytes_out: i128,
}

fn gib(nano_bytes: i128) -> String {
    format_scaled(nano_bytes / NANO * 1_000_000 / (1 << 30), 6, 6)
}

async fn print_table(planted: &Planted, month: &str, period: Period) -> Result<(), Exit> {
    let cx = &planted.cx;
    let root = cx.realm.root();
    let by = lake::GroupBy { org: true, user: false, dimensions: true };
    let question = usage::Question { month: Some(month.to_owned()), user: None, meter: None, by, daily: false };
    let answer = usage::ask(cx, root, question).await?;
    let mut rows: BTreeMap<OrgId, Row> = BTreeMap::new();
    for used in answer.rows {
        let Some(org) = used.org else { continue };
        let row = rows.entry(org).or_default();
        let quantity = used.quantity.0;
        match used.meter.as_str() {
            "s3.storage" => row.byte_seconds += quantity,
            "s3.bytes_in" => row.bytes_in += quantity,
            "s3.bytes_out" => row.bytes_out += quantity,
            _ if used.dimensions.contains(r#""class":"A""#) => row.class_a += quantity,
            _ if used.dimensions.contains(r#""class":"B""#) => row.class_b += quantity,
            _ => {}
        }
    }
    let papers = bills::list(cx, root).await?;
    println!();
    println!(
        "{:<22} {:>12} {:>10} {:>10} {:>12} {:>12} {:>14}",
        "department", "GB-months", "writes", "reads", "GB in", "GB out", "amount"
    );
    let mut orgs = app::orgs::subtree(cx, root).await?;
    let customer_of = |org: &app::rows::Org| if org.parent == Some(root) { Some(org.id) } else { org.parent };
    orgs.sort_by_key(|org| (customer_of(org), org.parent != Some(root), org.id));
    for org in orgs {
        let Some(paper) = papers.iter().find(|paper| paper.payer == org.id) else { continue };
        let row = rows.remove(&org.id).unwrap_or_default();
        let months = row.byte_seconds / i128::from(period.seconds());
        let indent = if org.parent == Some(root) { "" } else { "  " };
        let amount = paper.total_minor.to_major(paper.currency.minor_digits());
        println!(
            "{:<22} {:>12} {:>10} {:>10} {:>12} {:>12} {:>14}",
            format!("{indent}{}", org.name),
            gib(months),
            row.class_a / NANO,
            row.class_b / NANO,
            gib(row.bytes_in),
            gib(row.bytes_out),
            format!("{amount} {}", paper.currency),
        );
    }
    println!("A customer's amount covers its departments; GB = 2^30 bytes, own usage only in each row.");
    Ok(())
}

async fn write_papers(planted: &Planted, papers: &[app::rows::Listed], folder: &Path) -> Result<(), Exit> {
    let target = folder.join("papers");
    let failed = |error: std::io::Error| Exit::failed(format!("{}: {error}", target.display()));
    std::fs::create_dir_all(&target).map_err(failed)?;
    println!();
    for listed in papers {
        let paper = bills::paper(&planted.cx, listed.id).await?;
        let customer: String = paper.customer.name.to_lowercase().replace(' ', "-");
        let stem = listed.number.clone().unwrap_or_else(|| format!("statement-{}-{customer}", listed.period_name));
        std::fs::write(target.join(format!("{stem}.csv")), papers::csv(&paper)).map_err(failed)?;
        std::fs::write(target.join(format!("{stem}.json")), papers::json(&paper)).map_err(failed)?;
        let pdf = match bills::pdf(&planted.cx, listed.id).await {
            Ok(bytes) => {
                std::fs::write(target.join(format!("{stem}.pdf")), bytes).map_err(failed)?;
                ".pdf, "
            }
            Err(failure) if failure.kind == app::Kind::Upstream => "", // Built without the PDF feature.
            Err(failure) => return Err(failure.into()),
        };
        println!("paper  {} ({pdf}.csv, .json)", target.join(stem).display());
    }
    Ok(())
}

fn print_access(planted: &Planted, folder: &Path, console: std::net::SocketAddr, gateway: std::net::SocketAddr) {
    let person = &planted.people[0];
    println!();
    println!("console  http://{console}   (data in {})", folder.display());
    println!("  provider admin   {}   password {}", planted.admin_email, planted.password);
    println!("  department head  {}   password {}", planted.head_email, planted.password);
    println!();
    println!("S3 at http://{gateway} as {} (bucket {}):", person.email, person.buckets[0]);
    println!(
        "  export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} AWS_DEFAULT_REGION=us-east-1",
        person.key_id, person.secret
    );
    println!("  aws --endpoint-url http://{gateway} s3 ls s3://{}/", person.buckets[0]);
    println!(
        "  rclone lsd \":s3,provider=Other,endpoint='http://{gateway}',access_key_id={},secret_access_key={}:{}\"",
        person.key_id, person.secret, person.buckets[0]
    );
    println!(
        "  python3 -c \"import boto3; print(boto3.client('s3', endpoint_url='http://{gateway}', aws_access_key_id='{}', aws_secret_access_key='{}', region_name='us-east-1').list_objects_v2(Bucket='{}')['KeyCount'])\"",
        person.key_id, person.secret, person.buckets[0]
    );
}
