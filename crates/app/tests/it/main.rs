//! The whole line on both engines: events in, prices, months, papers, late usage, who may see what.

use access::{Builtin, PolicyRef, Propagate};
use app::invitations::Joiner;
use app::orgs::NewOrg;
use app::realms::{NewRealm, create};
use app::rows::{AuditFilter, PeopleQuestion};
use app::sessions::{Client, SignedIn, by_session, sign_out};
use app::tokens::{NewToken, by_token};
use app::usage::Scope;
use app::{
    App, Cx, Failure, Kind, audit, bills, bindings, costs, events, invitations, keys, orgs, people, prices, rating,
    s3_session, tokens, trace, usage,
};
use base::{Currency, OrgId, UserId, Zone};
use lake::{GroupBy, Lake};
use metering::{Aggregation, Meter};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use store::Store;
use testkit::{TempFolder, TestWorld};

const PASSWORD: &str = "correct horse battery";

/// TXT records that the bench's resolver knows.
type Records = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// This machine may be spoken to, and names are looked up in `records`.
fn outside(records: &Records) -> app::Outside {
    let records = records.clone();
    let allowed = identity::guard::Allowed { loopback: true, ..Default::default() };
    let txt: app::outside::TxtRecords = Arc::new(move |name| {
        let found = records.lock().unwrap().get(&name).cloned().unwrap_or_default();
        Box::pin(async { Ok(found) })
    });
    app::Outside { allowed, txt }
}

struct Bench {
    app: Arc<App>,
    world: Arc<TestWorld>,
    cx: Cx,
    customer: OrgId,
    red: OrgId,
    blue: OrgId,
    url: String,
    records: Records,
    _folder: TempFolder,
}

impl Bench {
    async fn open(postgres: bool, name: &str) -> Self {
        let folder = TempFolder::new(name);
        let url = if postgres {
            testkit::postgres_database(&format!("app_{:.24}", name))
        } else {
            format!("sqlite://{}", folder.path().join("store.db").display())
        };
        let records = Records::default();
        let world = Arc::new(TestWorld::at("2026-09-01T00:00:00Z", 11));
        let store = Store::open(&url).await.unwrap();
        let lake_url = postgres.then_some(url.as_str());
        let lake = Lake::open(folder.path(), lake_url, world.clone(), lake::Settings::default()).await.unwrap();
        let app = App::new(store, lake, world.clone(), app::secrets::Vault::new(&[3; 32]), outside(&records)).unwrap();
        let cx = realm(&app, "admin@example.com").await;
        let customer = child(&cx, cx.realm.root(), "Customer", "customer").await;
        let red = child(&cx, customer, "Red", "department").await;
        let blue = child(&cx, customer, "Blue", "department").await;
        let meter = Meter {
            code: "vm.hours".into(),
            unit: "hour".into(),
            aggregation: Aggregation::Sum,
            dimensions: vec!["size".into()],
        };
        events::define_meter(&cx, meter).await.unwrap();
        Self { app, world, cx, customer, red, blue, url, records, _folder: folder }
    }

    async fn price(&self, buyer: OrgId, month: &str, price: &str) -> Result<(), Failure> {
        let text = format!(
            r#"{{"currency":"EUR","items":[{{"code":"vm","name":"Machines","meter":"vm.hours","price":{price}}}]}}"#
        );
        prices::set(&self.cx, buyer, month, prices::parse_book(&text)?).await.map(drop)
    }

    async fn use_hours(&self, org: OrgId, id: &str, time: &str, hours: &str) -> events::Taken {
        let event = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/t","type":"vm.hours","subject":"{org}","time":"{time}",
                "data":{{"quantity":"{hours}","dimensions":{{"size":"l"}}}}}}"#
        );
        events::ingest(&self.cx, self.cx.realm.root(), "application/json", &event).await.unwrap()
    }

    fn world_now(&self) -> i64 {
        base::World::now_us(self.world.as_ref())
    }

    /// Runs a statement behind the program's back, as somebody with the database in his hands would.
    fn execute(&self, sql: &str) {
        match self.url.strip_prefix("sqlite://") {
            Some(file) => {
                let script =
                    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
                let python = std::env::var("METERHOUSE_TEST_PYTHON").expect("dev/test names a Python");
                let done = std::process::Command::new(python).args(["-c", script, file, sql]).status();
                assert!(done.expect("Python runs").success());
            }
            None => {
                testkit::run_psql(&self.url, &format!("set meterhouse.realm_id = '*'; {sql}"));
            }
        }
    }

    fn at(&self, instant: &str) {
        self.world.set(base::period::parse_instant(instant).unwrap());
    }

    async fn close(&self, month: &str) -> bills::Closed {
        bills::close_month(&self.cx, self.cx.realm.root(), month, true).await.unwrap()
    }

    /// Signed in as a fresh person with `role` at `org`.
    async fn person(&self, org: OrgId, name: &str, role: Builtin) -> (Cx, UserId) {
        let email = format!("{name}@example.com");
        let admin = self.admin().await;
        let user = people::add(&admin, org, &email, name, PolicyRef::Builtin(role), Some(PASSWORD)).await.unwrap();
        let (_, signed_in) = sign_in(&self.app, &email, PASSWORD).await.unwrap();
        (signed_in.cx, user)
    }
}

/// Signs in from nowhere in particular.
async fn sign_in(app: &Arc<App>, email: &str, password: &str) -> Result<(String, SignedIn), Failure> {
    app::sign_in::sign_in(app, email, password, &Client::default()).await
}

fn joiner<'a>(name: &'a str, password: &'a str) -> Joiner<'a> {
    Joiner { email: None, name, password, client: Client::default() }
}

async fn realm(app: &Arc<App>, email: &str) -> Cx {
    let new = NewRealm {
        name: "Provider".into(),
        currency: Currency::EUR,
        zone: Zone::utc(),
        admin_email: email.into(),
        admin_name: "Admin".into(),
        admin_password: PASSWORD.into(),
    };
    create(app, new).await.unwrap();
    sign_in(app, email, PASSWORD).await.unwrap().1.cx
}

async fn child(cx: &Cx, parent: OrgId, name: &str, kind: &str) -> OrgId {
    let new = NewOrg { name: name.into(), kind: kind.into(), ..NewOrg::default() };
    orgs::create_child(cx, parent, new).await.unwrap().id
}

macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $( #[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::Bench::open(false, stringify!($name)).await).await; } )* }
        mod postgres { $( #[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::Bench::open(true, stringify!($name)).await).await; } )* }
    };
}

// Below the macro that it uses.
mod buckets;
mod door;
mod lockout;
mod scim;
mod sign_in;
mod tenancy;

// The same keys sign the tokens of the test provider; not every part is needed here.
#[allow(dead_code, reason = "shared with the tests of identity")]
#[path = "../../../identity/tests/it/keys.rs"]
mod keys_of_tests;
mod outside;

on_both_engines!(
    a_month_is_billed_once,
    departments_tile_the_customers_bill,
    late_usage_becomes_an_adjustment,
    late_usage_of_a_month_without_paper_is_billed,
    a_customer_closes_its_own_month,
    a_child_in_another_zone_keeps_the_months_name,
    an_edge_that_fails_stops_no_other,
    late_usage_that_cannot_be_rated_is_named,
    charges_that_are_not_kept_are_not_billed,
    a_seller_bills_by_own_prices_when_his_own_bill_fails,
    corrections_come_from_above,
    tenants_choose_their_ids_by_themselves,
    billed_months_keep_their_prices,
    rating_again_gives_the_same_digest,
    only_ones_own_subtree_exists,
    no_document_of_nothing,
    sales_are_by_customer_and_month,
    a_part_of_the_sales_is_not_shown_as_the_whole,
    only_real_gaps_are_said,
    a_part_of_a_fee_says_which_part,
    usage_that_may_not_be_seen_is_no_zero,
    heads_and_members,
    keys_die_with_the_role,
    the_last_admin_stays,
    invitations_are_used_once,
    sessions_and_tokens,
    the_audit_chain_holds,
    prices_refuse_nonsense,
);

fn amounts(closed: &bills::Closed) -> Vec<(String, i64, Option<String>)> {
    closed.papers.iter().map(|paper| (paper.kind.clone(), paper.total_minor.0, paper.number.clone())).collect()
}

async fn a_month_is_billed_once(bench: Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"0.333"}"#).await.unwrap();
    bench.at("2026-09-10T00:00:00Z");
    assert_eq!(bench.use_hours(bench.red, "a", "2026-09-09T10:00:00Z", "10").await.accepted, 1);
    bench.use_hours(bench.red, "a", "2026-09-09T10:00:00Z", "10").await;
    let early = bills::close_month(&bench.cx, bench.cx.realm.root(), "2026-09", true).await;
    assert_eq!(early.unwrap_err().kind, Kind::Conflict, "a month is not issued before it is over");
    let draft = bills::close_month(&bench.cx, bench.cx.realm.root(), "2026-09", false).await.unwrap();
    assert_eq!(amounts(&draft)[0], ("invoice".into(), 333, None));
    bench.at("2026-10-01T00:00:01Z");
    let closed = bench.close("2026-09").await;
    assert_eq!(
        amounts(&closed),
        [("invoice".into(), 333, Some("INV-2026-000001".into())), ("statement".into(), 333, None)]
    );
    let again = bench.close("2026-09").await;
    assert_eq!((again.papers.len(), again.kept.len()), (0, 2));
    let balances = bills::balances(&bench.cx, bench.cx.realm.root()).await.unwrap();
    assert_eq!(
        balances.iter().map(|(_, account, sum)| (account.as_str(), sum.0)).collect::<Vec<_>>(),
        [("receivable", 333), ("revenue", -333)]
    );
    // Sixteen at once: still one paper.
    let mut tasks = Vec::new();
    bench.use_hours(bench.blue, "b", "2026-10-01T00:00:00Z", "1").await;
    bench.at("2026-11-01T00:00:01Z");
    for _ in 0..16 {
        let (cx, root) = (bench.cx.clone(), bench.cx.realm.root());
        tasks.push(tokio::spawn(async move { bills::close_month(&cx, root, "2026-10", true).await }));
    }
    let mut made = 0;
    for task in tasks {
        made += task.await.unwrap().map_or(0, |closed| closed.papers.len());
    }
    assert_eq!(made, 2, "one invoice, one statement");
}

async fn departments_tile_the_customers_bill(bench: Bench) {
    bench
        .price(
            bench.customer,
            "2026-09",
            r#"{"model":"graduated","tiers":[{"up_to":"10","rate":"0.1"},{"up_to":null,"rate":"0.03"}]}"#,
        )
        .await
        .unwrap();
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(bench.red, "a", "2026-09-09T10:00:00Z", "7").await;
    bench.use_hours(bench.blue, "b", "2026-09-09T11:00:00Z", "13.7").await;
    bench.use_hours(bench.customer, "c", "2026-09-09T12:00:00Z", "0.001").await;
    bench.at("2026-10-01T00:00:01Z");
    bench.close("2026-09").await;
    let edges = rating::rate_below(&bench.cx, bench.cx.realm.root(), "2026-09").await.unwrap().edges;
    let total = |org: OrgId| {
        let edge = edges.iter().find(|edge| edge.buyer.id == org).unwrap();
        pricing::edge::total(&edge.charges).unwrap().0
    };
    let own: i128 =
        edges[0].charges.iter().filter(|charge| charge.org == bench.customer).map(|charge| charge.amount.0).sum();
    assert_eq!(total(bench.customer).to_string(), "1321030000000"); // 10 x 0.1 + 10.701 x 0.03
    assert_eq!(total(bench.red) + total(bench.blue) + own, total(bench.customer));
    // A department with prices of its own is rated by itself; its sister is not touched.
    bench.price(bench.red, "2026-10", r#"{"model":"per_unit","rate":"2"}"#).await.unwrap();
    bench.use_hours(bench.red, "d", "2026-10-01T00:00:00Z", "3").await;
    bench.at("2026-11-01T00:00:01Z");
    let closed = bench.close("2026-10").await;
    assert_eq!(amounts(&closed).iter().map(|paper| paper.1).collect::<Vec<_>>(), [30, 600]);
}

async fn late_usage_becomes_an_adjustment(bench: Bench) {
    bench
        .price(
            bench.customer,
            "2026-09",
            r#"{"model":"volume","tiers":[{"up_to":"10","rate":"1"},{"up_to":null,"rate":"0.5"}]}"#,
        )
        .await
        .unwrap();
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(bench.red, "a", "2026-09-09T10:00:00Z", "10").await;
    bench.at("2026-10-01T00:00:01Z");
    let september = bench.close("2026-09").await;
    assert_eq!(amounts(&september)[0].1, 1_000);
    // Two late hours bring the whole month into the cheaper tier: 12 x 0.5 = 6, so 4 less than billed.
    bench.use_hours(bench.red, "late", "2026-09-30T10:00:00Z", "2").await;
    bench.use_hours(bench.red, "b", "2026-10-01T00:00:00Z", "3").await;
    bench.at("2026-11-01T00:00:01Z");
    let october = bench.close("2026-10").await;
    assert_eq!(amounts(&october)[0].1, 300 - 400);
    let (_, paper) = bills::get(&bench.cx, october.papers[0].id).await.unwrap();
    let late = paper.draft.lines.iter().find(|line| line.corrects.is_some()).unwrap();
    assert_eq!((late.corrects, late.amount_minor.0), (Some(september.papers[0].id), -400));
    let (_, unchanged) = bills::get(&bench.cx, september.papers[0].id).await.unwrap();
    assert_eq!(unchanged.draft.total_minor.0, 1_000);
    // Its records are those of September, the late one included.
    let trace = trace::trace(&bench.cx, october.papers[0].id, late.line_no, None, 10).await.unwrap();
    assert_eq!(trace.records.iter().map(|record| record.record_id.as_str()).collect::<Vec<_>>(), ["a", "late"]);
    let trace = trace::trace(&bench.cx, september.papers[0].id, 1, None, 10).await.unwrap();
    assert_eq!(trace.records.len(), 1, "the paper's own records, as of then");
    // Nothing is corrected twice.
    bench.use_hours(bench.red, "c", "2026-11-01T00:00:00Z", "1").await;
    bench.at("2026-12-01T00:00:01Z");
    assert_eq!(amounts(&bench.close("2026-11").await)[0].1, 100);
    // Documents follow from their usage and prices, each as of its own batch, also where usage came later.
    let operator = app::Operator::at(Store::open(&bench.url).await.unwrap(), bench.world.clone());
    let again = app::recomputed::last_months(&bench.app, &operator).await.unwrap();
    assert!(again.differing.is_empty() && again.same > 0, "{again:?}");
    bench.execute("update invoice set paper_json = replace(paper_json, '\"total_minor\":', '\"total_minor\":1')");
    let again = app::recomputed::last_months(&bench.app, &operator).await.unwrap();
    assert_eq!((again.same, again.differing.is_empty()), (0, false), "{again:?}");
}

async fn late_usage_of_a_month_without_paper_is_billed(bench: Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"1"}"#).await.unwrap();
    let other = child(&bench.cx, bench.cx.realm.root(), "Other", "customer").await;
    bench.price(other, "2026-09", r#"{"model":"per_unit","rate":"1"}"#).await.unwrap();
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(other, "o", "2026-09-09T10:00:00Z", "1").await;
    bench.at("2026-10-01T00:00:01Z");
    let unpriced = child(&bench.cx, bench.cx.realm.root(), "Free rider", "customer").await;
    bench.use_hours(unpriced, "ride", "2026-09-09T10:00:00Z", "1").await;
    let september = bench.close("2026-09").await;
    assert_eq!(september.papers.len(), 1);
    assert_eq!(september.unrated, [format!("Free rider ({unpriced}): no price agreement here or above")]);
    bench.use_hours(bench.customer, "late", "2026-09-09T10:00:00Z", "5").await;
    bench.at("2026-11-01T00:00:01Z");
    let october = bench.close("2026-10").await;
    assert_eq!(amounts(&october).iter().map(|paper| paper.1).collect::<Vec<_>>(), [500]);
    bench.at("2026-12-01T00:00:01Z");
    assert!(bench.close("2026-11").await.papers.is_empty(), "nothing is billed twice");
}

async fn a_customer_closes_its_own_month(bench: Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"2"}"#).await.unwrap();
    let (admin, _) = bench.person(bench.customer, "customer", Builtin::OrganizationAdmin).await;
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(bench.red, "a", "2026-09-09T10:00:00Z", "3").await;
    bench.at("2026-10-01T00:00:01Z");
    let closed = bills::close_month(&admin, bench.customer, "2026-09", true).await.unwrap();
    assert_eq!(
        amounts(&closed),
        [("statement".to_owned(), 600, None)],
        "the department's share, not the customer's bill"
    );
    assert_eq!(
        bills::close_month(&admin, bench.cx.realm.root(), "2026-09", true).await.unwrap_err().kind,
        Kind::NotFound
    );
    assert_eq!(bench.close("2026-09").await.papers.len(), 1, "the invoice of the customer is the provider's to make");
}

async fn a_child_in_another_zone_keeps_the_months_name(bench: Bench) {
    let zone = |name: &str| Some(name.parse::<Zone>().unwrap());
    let new = |name: &str, kind: &str, tz: &str| NewOrg {
        name: name.into(),
        kind: kind.into(),
        zone: zone(tz),
        ..NewOrg::default()
    };
    let berlin =
        orgs::create_child(&bench.cx, bench.cx.realm.root(), new("B", "customer", "Europe/Berlin")).await.unwrap().id;
    let york = orgs::create_child(&bench.cx, berlin, new("Y", "department", "America/New_York")).await.unwrap().id;
    bench.price(berlin, "2026-09", r#"{"model":"per_unit","rate":"1"}"#).await.unwrap();
    bench.at("2026-10-09T00:00:00Z");
    bench.use_hours(york, "a", "2026-09-30T22:30:00Z", "4").await; // October in Berlin.
    bench.at("2026-11-01T12:00:00Z");
    let october = bench.close("2026-10").await;
    assert_eq!(
        october.papers.iter().map(|paper| paper.period_name.as_str()).collect::<Vec<_>>(),
        ["2026-10", "2026-10"]
    );
    bench.at("2026-12-01T12:00:00Z");
    assert!(bench.close("2026-11").await.papers.is_empty(), "no adjustment out of nothing");
}

/// The largest price there is: with 10^18 hours no rating fits, with 10^12 the charges do, but no paper.
const HUGE: &str = r#"{"model":"per_unit","rate":"1000000000"}"#;

async fn an_edge_that_fails_stops_no_other(bench: Bench) {
    let team = child(&bench.cx, bench.red, "Team", "project").await;
    let green = child(&bench.cx, bench.customer, "Green", "department").await;
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"0.000001"}"#).await.unwrap();
    bench.price(bench.red, "2026-09", HUGE).await.unwrap();
    bench.price(bench.blue, "2026-09", HUGE).await.unwrap();
    bench.at("2026-09-20T00:00:00Z");
    let huge = "1000000000000000000";
    assert_eq!(bench.use_hours(team, "a", "2026-09-09T10:00:00Z", huge).await.accepted, 1);
    bench.use_hours(bench.blue, "b", "2026-09-09T10:00:00Z", "1000000000000").await;
    bench.use_hours(green, "c", "2026-09-09T10:00:00Z", "5000000").await;
    bench.at("2026-10-01T00:00:01Z");
    let closed = bench.close("2026-09").await;
    assert_eq!(
        amounts(&closed).iter().map(|paper| (paper.0.as_str(), paper.1)).collect::<Vec<_>>(),
        // 10^18 + 10^12 + 5 x 10^6 hours, and the share of Green.
        [("invoice", 100_000_100_000_500), ("statement", 500)]
    );
    let too_large = "the result of a calculation is too large";
    let failed: Vec<String> = closed.failed.iter().map(ToString::to_string).collect();
    assert_eq!(
        failed,
        [
            format!("Red ({}): item \"vm\": {too_large}", bench.red),
            format!("Team ({team}): the prices of Red count here, which failed"),
            format!("Blue ({}): {too_large}", bench.blue),
        ]
    );
    assert!(closed.unrated.is_empty(), "they have prices: {:?}", closed.unrated);
    // Nothing is forgotten: with a price that fits, the next close makes what is missing.
    for org in [bench.red, bench.blue] {
        bench.price(org, "2026-09", r#"{"model":"per_unit","rate":"0.000001"}"#).await.unwrap();
    }
    let again = bench.close("2026-09").await;
    assert_eq!(again.failed, []);
    assert_eq!(again.kept.len(), 2);
    let mut made: Vec<_> = again.papers.iter().map(|paper| (paper.payer, paper.total_minor.0)).collect();
    made.sort_by_key(|(payer, total)| (*total, *payer != bench.red));
    assert_eq!(made, [(bench.blue, 100_000_000), (bench.red, 100_000_000_000_000), (team, 100_000_000_000_000)]);
}

async fn late_usage_that_cannot_be_rated_is_named(bench: Bench) {
    bench.price(bench.customer, "2026-09", HUGE).await.unwrap();
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(bench.customer, "a", "2026-09-09T10:00:00Z", "1").await;
    bench.at("2026-10-01T00:00:01Z");
    bench.close("2026-09").await;
    bench.use_hours(bench.customer, "late", "2026-09-09T10:00:00Z", "1000000000000000000").await;
    assert_eq!(bench.use_hours(bench.customer, "b", "2026-10-01T00:00:00Z", "1").await.accepted, 1);
    bench.at("2026-11-01T00:00:01Z");
    let closed = bench.close("2026-10").await;
    assert_eq!(amounts(&closed)[0].1, 100_000_000_000, "October stands by itself");
    let failed: Vec<String> = closed.failed.iter().map(ToString::to_string).collect();
    let late = "late usage of 2026-09 is not looked for";
    let below = "the prices of Customer count here, which failed";
    assert_eq!(
        failed,
        [
            format!("Customer ({}): {late}: item \"vm\": the result of a calculation is too large", bench.customer),
            format!("Blue ({}): {late}: {below}", bench.blue),
            format!("Red ({}): {late}: {below}", bench.red),
        ]
    );
}

async fn charges_that_are_not_kept_are_not_billed(bench: Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"1"}"#).await.unwrap();
    bench.price(bench.blue, "2026-09", r#"{"model":"per_unit","rate":"2"}"#).await.unwrap();
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(bench.red, "a", "2026-09-09T10:00:00Z", "3").await;
    bench.use_hours(bench.blue, "b", "2026-09-09T10:00:00Z", "5").await;
    bench.at("2026-10-01T00:00:01Z");
    // The customer's run cannot be written.
    let customer = bench.customer;
    if bench.url.starts_with("sqlite") {
        bench.execute(&format!(
            "create trigger full_disk before insert on rating_run when new.buyer_org_id = '{customer}'
             begin select raise(abort, 'no room'); end"
        ));
    } else {
        bench.execute(&format!("alter table rating_run add constraint full_disk check (buyer_org_id <> '{customer}')"));
    }
    let closed = bench.close("2026-09").await;
    let papers: Vec<_> = closed.papers.iter().map(|paper| (paper.payer, paper.total_minor.0)).collect();
    assert_eq!(papers, [(bench.blue, 1_000)], "Blue has prices of its own");
    let failed: Vec<_> = closed.failed.iter().map(|edge| (edge.org, edge.reason.as_str())).collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!(failed[0].0, customer);
    assert_eq!(failed[1], (bench.red, "the prices of Customer count here, which failed"));
    // When it can be written again, the next close makes what is missing, once.
    let mend = if bench.url.starts_with("sqlite") {
        "drop trigger full_disk"
    } else {
        "alter table rating_run drop constraint full_disk"
    };
    bench.execute(mend);
    let again = bench.close("2026-09").await;
    let papers: Vec<_> = again.papers.iter().map(|paper| (paper.payer, paper.total_minor.0)).collect();
    assert_eq!(papers, [(customer, 800), (bench.red, 300)]);
    assert_eq!((again.kept.len(), again.failed.len()), (1, 0));
}

async fn a_seller_bills_by_own_prices_when_his_own_bill_fails(bench: Bench) {
    let (admin, _) = bench.person(bench.customer, "customer", Builtin::OrganizationAdmin).await;
    bench.price(bench.customer, "2026-09", HUGE).await.unwrap();
    bench.price(bench.red, "2026-09", r#"{"model":"per_unit","rate":"2"}"#).await.unwrap();
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(bench.red, "a", "2026-09-09T10:00:00Z", "3").await;
    bench.use_hours(bench.blue, "b", "2026-09-09T10:00:00Z", "1000000000000000000").await;
    bench.at("2026-10-01T00:00:01Z");
    let closed = bills::close_month(&admin, bench.customer, "2026-09", true).await.unwrap();
    assert_eq!(amounts(&closed), [("statement".to_owned(), 600, None)]);
    let failed: Vec<String> = closed.failed.iter().map(ToString::to_string).collect();
    assert_eq!(
        failed,
        [
            format!(
                "Customer ({}): what it is charged itself cannot be rated; the organisation above knows why",
                bench.customer
            ),
            format!("Blue ({}): the prices of Customer count here, which failed", bench.blue),
        ],
        "nothing of the price book above is told"
    );
}

async fn corrections_come_from_above(bench: Bench) {
    let (admin, _) = bench.person(bench.customer, "customer", Builtin::OrganizationAdmin).await;
    bench.at("2026-09-20T00:00:00Z");
    let event = r#"{"specversion":"1.0","id":"c","source":"/t","type":"vm.hours","time":"2026-09-10T00:00:00Z",
                    "data":{"quantity":"-5","kind":"correction"}}"#;
    let own = events::ingest(&admin, bench.customer, "application/json", event).await.unwrap();
    assert_eq!((own.accepted, own.rejected[0].reject.field.as_str()), (0, "data.kind"));
    let provider = events::ingest(&bench.cx, bench.customer, "application/json", event).await.unwrap();
    assert_eq!(provider.accepted, 1);
}

async fn tenants_choose_their_ids_by_themselves(bench: Bench) {
    let (red, _) = bench.person(bench.red, "red", Builtin::OrganizationAdmin).await;
    let (blue, _) = bench.person(bench.blue, "blue", Builtin::OrganizationAdmin).await;
    bench.at("2026-09-20T00:00:00Z");
    let event = |source: &str, hours: u32, org: OrgId| {
        format!(
            r#"{{"specversion":"1.0","id":"1","source":"{source}","type":"vm.hours","subject":"{org}",
                "time":"2026-09-10T00:00:00Z","data":{{"quantity":"{hours}","dimensions":{{"size":"l"}}}}}}"#
        )
    };
    // The same source and id by three senders, one of them twice.
    for (cx, org, hours) in [(&red, bench.red, 1), (&blue, bench.blue, 20), (&blue, bench.blue, 20)] {
        events::ingest(cx, org, "application/json", &event("/app", hours, org)).await.unwrap();
    }
    let provider = event("/app", 300, bench.blue);
    events::ingest(&bench.cx, bench.cx.realm.root(), "application/json", &provider).await.unwrap();
    // Nobody can speak in another's name.
    let forged = event(&format!("{}:/app", bench.blue), 1, bench.red);
    let taken = events::ingest(&red, bench.red, "application/json", &forged).await.unwrap();
    assert_eq!((taken.accepted, taken.rejected[0].reject.field.as_str()), (0, "source"));
    // The longest source is counted too, and nothing longer.
    for (length, accepted) in [(200, 1), (201, 0)] {
        let long = event(&"s".repeat(length), 4, bench.red);
        let taken = events::ingest(&red, bench.red, "application/json", &long).await.unwrap();
        assert_eq!(taken.accepted, accepted, "{length}");
    }
    let by = GroupBy { org: true, user: false, dimensions: false };
    let question = usage::Question { month: Some("2026-09".into()), user: None, meter: None, by, daily: false };
    let seen = usage::ask(&bench.cx, bench.customer, question).await.unwrap();
    let mut hours: Vec<_> = seen.rows.iter().map(|row| (row.org, row.quantity.to_string())).collect();
    hours.sort();
    let mut wanted = [(Some(bench.red), "5".to_owned()), (Some(bench.blue), "320".to_owned())];
    wanted.sort();
    assert_eq!(hours, wanted);
    assert!(usage::quarantine::list(&bench.cx, bench.customer).await.unwrap().is_empty());
}

async fn billed_months_keep_their_prices(bench: Bench) {
    bench.price(bench.customer, "2026-08", r#"{"model":"per_unit","rate":"1"}"#).await.unwrap();
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(bench.red, "a", "2026-09-09T10:00:00Z", "3").await;
    bench.at("2026-10-01T00:00:01Z");
    bench.close("2026-09").await;
    for month in ["2026-08", "2026-09"] {
        let failure = bench.price(bench.customer, month, r#"{"model":"per_unit","rate":"9"}"#).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Conflict, "{month}");
    }
    assert!(bench.price(bench.customer, "2026-10", r#"{"model":"per_unit","rate":"9"}"#).await.is_ok());
}

async fn rating_again_gives_the_same_digest(bench: Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"0.0000166667"}"#).await.unwrap();
    bench.at("2026-09-30T00:00:00Z");
    for no in 0..50 {
        let org = if no % 3 == 0 { bench.blue } else { bench.red };
        bench.use_hours(org, &format!("e{no}"), "2026-09-12T10:00:00Z", &format!("{no}.00{no}")).await;
    }
    let digests = || async {
        let edges = rating::rate_below(&bench.cx, bench.cx.realm.root(), "2026-09").await.unwrap().edges;
        edges.iter().map(|edge| rating::digest(&edge.charges)).collect::<Vec<_>>()
    };
    let first = digests().await;
    for no in 0..50 {
        let org = if no % 3 == 0 { bench.blue } else { bench.red };
        bench.use_hours(org, &format!("e{no}"), "2026-09-12T10:00:00Z", &format!("{no}.00{no}")).await;
    }
    assert_eq!(digests().await, first, "re-delivery of everything changes no figure");
}

async fn only_ones_own_subtree_exists(bench: Bench) {
    let (head, _) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"1"}"#).await.unwrap();
    bench.at("2026-09-09T00:00:00Z");
    bench.use_hours(bench.red, "a", "2026-09-08T10:00:00Z", "1").await;
    bench.use_hours(bench.blue, "b", "2026-09-08T10:00:00Z", "100").await;
    bench.at("2026-10-01T00:00:01Z");
    let closed = bench.close("2026-09").await;
    let of = |payer| closed.papers.iter().find(|paper| paper.payer == payer).unwrap().id;
    assert!(bills::get(&head, of(bench.red)).await.is_ok());
    for id in [of(bench.blue), of(bench.customer), base::InvoiceId(12)] {
        let failure = bills::get(&head, id).await.unwrap_err();
        assert_eq!((failure.kind, failure.text.as_str()), (Kind::NotFound, "invoice not found"));
    }
    for org in [bench.blue, bench.customer, bench.cx.realm.root(), OrgId(77)] {
        let failure = orgs::get(&head, org).await.unwrap_err();
        assert_eq!((failure.kind, failure.text.as_str()), (Kind::NotFound, "organisation not found"));
    }
    let by = GroupBy { org: true, user: false, dimensions: false };
    let question = usage::Question { month: Some("2026-09".into()), user: None, meter: None, by, daily: false };
    let seen = usage::ask(&head, bench.red, question).await.unwrap();
    assert_eq!(seen.rows.iter().map(|row| row.quantity.to_string()).collect::<Vec<_>>(), ["1"]);
    // Another realm on the same installation: its admin sees nothing of this one.
    let foreign = realm(&bench.app, "other@example.com").await;
    assert_eq!(orgs::get(&foreign, bench.customer).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(bills::get(&foreign, of(bench.red)).await.unwrap_err().kind, Kind::NotFound);
}

/// A month before the customer existed has no paper and takes no number.
async fn no_document_of_nothing(bench: Bench) {
    let book = r#"{"currency":"EUR","items":[{"code":"f","name":"Support","price":{"model":"flat","amount":"49"}}]}"#;
    prices::set(&bench.cx, bench.customer, "2026-08", prices::parse_book(book).unwrap()).await.unwrap();
    assert!(bench.close("2026-08").await.papers.is_empty());
    bench.at("2026-10-02T00:00:00Z");
    let closed = bench.close("2026-09").await;
    assert_eq!(closed.papers[0].number.as_deref(), Some("INV-2026-000001"));
}

async fn a_part_of_a_fee_says_which_part(bench: Bench) {
    bench.at("2026-09-28T12:00:00Z");
    let late = child(&bench.cx, bench.cx.realm.root(), "Late", "customer").await;
    let book = r#"{"currency":"EUR","items":[{"code":"f","name":"Support","price":{"model":"flat","amount":"49"}}]}"#;
    for buyer in [bench.customer, late] {
        prices::set(&bench.cx, buyer, "2026-09", prices::parse_book(book).unwrap()).await.unwrap();
    }
    let closed = bills::close_month(&bench.cx, bench.cx.realm.root(), "2026-09", false).await.unwrap();
    let mut printed = BTreeMap::new();
    for listed in closed.papers.iter().filter(|listed| listed.kind == "invoice") {
        let paper = bills::paper(&bench.cx, listed.id).await.unwrap();
        let line = &paper.lines[0];
        printed.insert(paper.customer.name.clone(), format!("{} {}", line.amount, line.note));
        assert!(bills::csv(&bench.cx, listed.id).await.unwrap().contains(&line.note));
    }
    let want = [("Customer", "49.00 "), ("Late", "4.90 3 of 30 days")];
    assert_eq!(printed, want.map(|(name, line)| (name.to_owned(), line.to_owned())).into());
}

/// Who has no prices and used nothing is no gap; a gap is said once for each meter, whole organisations first.
async fn only_real_gaps_are_said(bench: Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"1"}"#).await.unwrap();
    let meter = Meter { code: "vm.disk".into(), unit: "gib".into(), aggregation: Aggregation::Sum, dimensions: vec![] };
    events::define_meter(&bench.cx, meter).await.unwrap();
    for n in 0..5 {
        child(&bench.cx, bench.cx.realm.root(), &format!("Quiet {n}"), "customer").await;
    }
    let rider = child(&bench.cx, bench.cx.realm.root(), "Rider", "customer").await;
    bench.at("2026-09-03T00:00:00Z");
    bench.use_hours(rider, "e1", "2026-09-02T00:00:00Z", "1").await;
    bench.use_hours(bench.red, "e2", "2026-09-02T00:00:00Z", "1").await;
    for (org, id) in [(bench.red, "d1"), (bench.blue, "d2")] {
        let event = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/t","type":"vm.disk","subject":"{org}",
                "time":"2026-09-02T00:00:00Z","data":{{"quantity":"2"}}}}"#
        );
        events::ingest(&bench.cx, bench.cx.realm.root(), "application/json", &event).await.unwrap();
    }
    bench.at("2026-10-02T00:00:00Z");
    let closed = bench.close("2026-09").await;
    let want = [
        format!("Rider ({rider}): no price agreement here or above"),
        "Customer: 4 of vm.disk at 2 organisations: no item of the price book covers it".to_owned(),
    ];
    assert_eq!(closed.unrated, want);
}

async fn usage_that_may_not_be_seen_is_no_zero(bench: Bench) {
    bench.at("2026-09-03T00:00:00Z");
    bench.use_hours(bench.red, "e1", "2026-09-02T00:00:00Z", "5").await;
    let (finance, _) = bench.person(bench.customer, "finance", Builtin::FinanceViewer).await;
    let (member, _) = bench.person(bench.red, "member", Builtin::Member).await;
    let (editor, _) = bench.person(bench.customer, "editor", Builtin::OrganizationEditor).await;
    let by = GroupBy { org: true, user: false, dimensions: false };
    let question = |user| usage::Question { month: Some("2026-09".into()), user, meter: None, by, daily: false };
    for (cx, org, scope, rows) in [
        (&finance, bench.customer, Scope::Below, 1), // Who reads the invoices reads the usage behind them.
        (&member, bench.red, Scope::Own, 0),
        (&editor, bench.customer, Scope::Part, 0),
    ] {
        let seen = usage::ask(cx, org, question(None)).await.unwrap();
        assert_eq!((seen.scope, seen.rows.len()), (scope, rows));
    }
    assert_eq!(usage::ask(&member, bench.red, question(Some(finance.user()))).await.unwrap_err().kind, Kind::Forbidden);
    assert!(usage::ask(&member, bench.red, question(Some(member.user()))).await.is_ok());
}

async fn heads_and_members(bench: Bench) {
    let (head, _) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    let (member, member_id) = bench.person(bench.red, "member", Builtin::Member).await;
    assert_eq!(people::list(&member, bench.red, &PeopleQuestion::default()).await.unwrap_err().kind, Kind::Forbidden);
    assert_eq!(people::list(&head, bench.red, &PeopleQuestion::default()).await.unwrap().len(), 2);
    assert_eq!(bills::list(&member, bench.red).await.unwrap_err().kind, Kind::Forbidden);
    let book = r#"{"currency":"EUR","items":[{"code":"f","name":"F","price":{"model":"flat","amount":"1"}}]}"#;
    let book = prices::parse_book(book).unwrap();
    assert_eq!(prices::set(&head, bench.red, "2026-09", book).await.unwrap_err().kind, Kind::Forbidden);
    // Nobody gives what he does not hold.
    assert_eq!(
        invitations::invite(&head, bench.red, "x@example.com", PolicyRef::ADMIN, Propagate::Subtree)
            .await
            .unwrap_err()
            .kind,
        Kind::Forbidden
    );
    assert!(
        invitations::invite(&head, bench.red, "x@example.com", PolicyRef::Builtin(Builtin::Member), Propagate::Here)
            .await
            .is_ok()
    );
    // A member makes keys for himself only.
    assert!(keys::create(&member, bench.red, member_id, "mine").await.is_ok());
    assert_eq!(keys::create(&member, bench.red, head.user(), "his").await.unwrap_err().kind, Kind::Forbidden);
    assert_eq!(keys::create(&member, bench.blue, member_id, "there").await.unwrap_err().kind, Kind::NotFound);
}

async fn keys_die_with_the_role(bench: Bench) {
    let (cx, user) = bench.person(bench.red, "leaver", Builtin::Member).await;
    let (key, secret) = keys::create(&cx, bench.red, user, "laptop").await.unwrap();
    let holder = s3_session::key_holder(&bench.app, &key.key_id).await.unwrap().unwrap();
    assert_eq!((holder.org, holder.user, holder.secret.as_str()), (bench.red, user, secret.as_str()));
    // A head's key that is charged to a child dies with his role above it.
    let (head_cx, head) = bench.person(bench.customer, "head", Builtin::DepartmentHead).await;
    // Nobody but the head makes one there: the head belongs above.
    let refused = keys::create(&bench.cx, bench.blue, head, "child").await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotFound);
    let (below, _) = keys::create(&head_cx, bench.blue, head, "child").await.unwrap();
    assert!(s3_session::key_holder(&bench.app, &below.key_id).await.unwrap().is_some());
    people::remove(&bench.cx, bench.customer, head).await.unwrap();
    assert!(s3_session::key_holder(&bench.app, &below.key_id).await.unwrap().is_none());
    people::remove(&bench.cx, bench.red, user).await.unwrap();
    assert!(s3_session::key_holder(&bench.app, &key.key_id).await.unwrap().is_none());
    assert_eq!(keys::create(&cx, bench.red, user, "again").await.map(drop).unwrap_err().kind, Kind::Invalid);
    assert!(sign_in(&bench.app, "leaver@example.com", PASSWORD).await.is_ok(), "the person stays");
}

async fn the_last_admin_stays(bench: Bench) {
    let root = bench.cx.realm.root();
    let admin = bench.cx.user();
    assert_eq!(people::remove(&bench.cx, root, admin).await.unwrap_err().kind, Kind::Conflict);
    let (_, second) = bench.person(root, "second", Builtin::OrganizationAdmin).await;
    // Two admins remove each other at once: one of them stays.
    let (a, b) = tokio::join!(people::remove(&bench.cx, root, admin), people::remove(&bench.cx, root, second));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "{a:?} {b:?}");
}

async fn invitations_are_used_once(bench: Bench) {
    let (_, secret) = invitations::invite(
        &bench.cx,
        bench.red,
        "new@example.com",
        PolicyRef::Builtin(Builtin::Member),
        Propagate::Here,
    )
    .await
    .unwrap();
    let weak = invitations::accept(&bench.app, &secret, joiner("New", "password1234")).await.unwrap_err();
    assert_eq!((weak.kind, weak.field.as_str()), (Kind::Invalid, "password"));
    invitations::accept(&bench.app, &secret, joiner("New", PASSWORD)).await.unwrap();
    assert_eq!(invitations::accept(&bench.app, &secret, joiner("New", PASSWORD)).await.unwrap_err().kind, Kind::Gone);
    let (_, old) = invitations::invite(
        &bench.cx,
        bench.red,
        "late@example.com",
        PolicyRef::Builtin(Builtin::Member),
        Propagate::Here,
    )
    .await
    .unwrap();
    bench.world.advance(8 * 86_400_000_000);
    assert_eq!(invitations::accept(&bench.app, &old, joiner("Late", PASSWORD)).await.unwrap_err().kind, Kind::Gone);
    assert_eq!(invitations::accept(&bench.app, "rlm_x.y", joiner("X", PASSWORD)).await.unwrap_err().kind, Kind::Gone);
}

async fn sessions_and_tokens(bench: Bench) {
    let (secret, signed_in) = sign_in(&bench.app, " Admin@Example.com ", PASSWORD).await.unwrap();
    assert!(by_session(&bench.app, &secret, &Client::default()).await.is_ok());
    let (token, text) = tokens::create(&signed_in.cx, NewToken::whole("ci", 1)).await.unwrap();
    assert!(by_token(&bench.app, &text, &Client::default()).await.is_ok());
    assert!(by_token(&bench.app, &format!("{text}x"), &Client::default()).await.is_err());
    tokens::revoke_own(&signed_in.cx, token.id).await.unwrap();
    assert_eq!(
        by_token(&bench.app, &text, &Client::default()).await.map(drop).unwrap_err().kind,
        Kind::Unauthenticated
    );
    sign_out(&bench.app, &secret).await.unwrap();
    assert!(by_session(&bench.app, &secret, &Client::default()).await.is_err());
    let (secret, _) = sign_in(&bench.app, "admin@example.com", PASSWORD).await.unwrap();
    bench.world.advance(31 * 60_000_000);
    assert!(by_session(&bench.app, &secret, &Client::default()).await.is_err(), "idle sessions end");
    for _ in 0..3 {
        let wrong = sign_in(&bench.app, "flood@example.com", "x").await.map(drop).unwrap_err();
        assert_eq!(wrong.kind, Kind::Unauthenticated);
    }
    assert_eq!(sign_in(&bench.app, "flood@example.com", "x").await.map(drop).unwrap_err().kind, Kind::TooMany);
}

async fn the_audit_chain_holds(bench: Bench) {
    let count = audit::verify(&bench.cx).await.unwrap().unwrap();
    assert!(count >= 5, "{count}");
    let seen = audit::list(&bench.cx, bench.cx.realm.root(), 0, &AuditFilter::default(), 100).await.unwrap();
    assert_eq!(seen.len() as u64, count);
    assert!(seen.iter().all(|event| !event.detail_json.contains(PASSWORD)));
}

async fn prices_refuse_nonsense(bench: Bench) {
    let hole =
        r#"{"model":"graduated","tiers":[{"from":"0","up_to":"10","rate":"1"},{"from":"11","up_to":null,"rate":"1"}]}"#;
    let failure = bench.price(bench.customer, "2026-09", hole).await.unwrap_err();
    assert_eq!((failure.kind, failure.field.as_str()), (Kind::Invalid, "/items/0/price/tiers/1/from"));
    assert!(failure.text.contains("11") && failure.text.contains("hole"), "{}", failure.text);
    let failure = prices::parse_book(r#"{"currency":"EUX","items":[]}"#).unwrap_err();
    assert!(failure.text.contains("EUX"), "{}", failure.text);
    assert_eq!(
        bench.price(bench.customer, "September", r#"{"model":"flat","amount":"1"}"#).await.unwrap_err().kind,
        Kind::Invalid
    );
    assert!(prices::history(&bench.cx, bench.customer).await.unwrap().is_empty(), "nothing is half-written");
}

/// What a provider earns, customer by customer, in the chosen month.
/// Who may not see what one child is charged sees no sales at all: a part would be taken for the whole.
async fn a_part_of_the_sales_is_not_shown_as_the_whole(bench: Bench) {
    let root = bench.cx.realm.root();
    let second = child(&bench.cx, root, "Second", "customer").await;
    for (buyer, user, event) in [(bench.customer, bench.red, "e1"), (second, second, "e2")] {
        bench.price(buyer, "2026-09", r#"{"model":"per_unit","rate":"2"}"#).await.unwrap();
        bench.at("2026-09-03T00:00:00Z");
        bench.use_hours(user, event, "2026-09-02T00:00:00Z", "3").await;
    }
    bench.at("2026-10-02T00:00:00Z");
    bench.close("2026-09").await;
    let (_, user) = bench.person(root, "boss", Builtin::OrganizationAdmin).await;
    let sales = async || {
        let (_, boss) = sign_in(&bench.app, "boss@example.com", PASSWORD).await.unwrap();
        costs::sales(&boss.cx, root, "2026-09").await.unwrap().len()
    };
    assert_eq!(sales().await, 2);
    let admin = bench.admin().await;
    let denial = serde_json::from_str(r#"{"statements":[{"effect":"DENY","actions":["margin:read"]}]}"#).unwrap();
    let policy = app::policies::create(&admin, second, "Margins", access::Level::Org, denial).await.unwrap().id;
    let binding = bindings::NewBinding {
        holder: app::rows::Holder::User(user),
        policy: PolicyRef::Custom(policy),
        propagate: Propagate::Subtree,
        resources: Vec::new(),
        not_before_us: None,
        not_after_us: None,
    };
    bindings::bind(&admin, second, binding).await.unwrap();
    assert_eq!(sales().await, 0);
}

async fn sales_are_by_customer_and_month(bench: Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"2"}"#).await.unwrap();
    child(&bench.cx, bench.cx.realm.root(), "Quiet", "customer").await;
    bench.at("2026-09-03T00:00:00Z");
    bench.use_hours(bench.red, "e1", "2026-09-02T00:00:00Z", "3").await;
    bench.at("2026-10-02T00:00:00Z");
    bench.close("2026-09").await;
    let root = bench.cx.realm.root();
    let sales = costs::sales(&bench.cx, root, "2026-09").await.unwrap();
    let shown: Vec<_> = sales.iter().map(|sale| (sale.name.as_str(), sale.charged.to_string())).collect();
    assert_eq!(shown, [("Customer", "6".to_owned())]);
    assert_eq!(sales[0].paper.as_ref().unwrap().state, "issued");
    assert_eq!(costs::margin(&bench.cx, root, "2026-09").await.unwrap().margin, sales[0].charged);
    assert!(costs::sales(&bench.cx, root, "2026-10").await.unwrap().is_empty());
    let (finance, _) = bench.person(bench.customer, "finance", Builtin::FinanceViewer).await;
    assert_eq!(costs::sales(&finance, bench.customer, "2026-09").await.unwrap_err().kind, Kind::Forbidden);
}
