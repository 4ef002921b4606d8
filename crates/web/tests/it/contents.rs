//! Whose rows somebody sees: every list, export and page as every role at three heights of a tree, beside a reviewed file.
//! The matrix knows the statuses; this one reads the bodies.
//!
//! Every organisation has things of each kind whose names say whose and what they are: `zq-cusa-group`. A change of the
//! file is a change of what people see: read each line of it. `METERHOUSE_UPDATE_MATRIX=1` writes it.

use crate::bench::{Bench, PASSWORD, api, check_reviewed, update_reviewed};
use crate::named::empty_s3;
use crate::routes::{self, Route};
use access::policy::Document;
use access::{Builtin, Level, PolicyRef, Propagate};
use app::bindings::NewBinding;
use app::buckets::NewMapping;
use app::cloud_links::NewLink;
use app::idps::NewIdp;
use app::orgs::NewOrg;
use app::rows::{Holder, IdpSettings};
use app::sources::NewAccount;
use app::tokens::NewToken;
use app::{
    Cx, bills, bindings, cloud_links, domains, events, groups, idps, invitations, keys, orgs, people, policies, prices,
    sources, tokens,
};
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use base::{AccountId, OrgId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use testkit::{TempFolder, TestWorld};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/contents.txt");
const HEAD: &str = "\
# Whose things each body shows: route | role/reach@organisation | status, organisations. `tests/it/contents.rs` makes it
# and says how to write it again. In brackets: only the id of the organisation, nothing else of it. Everybody asks where
# they were given their role. Root > resa, resb; resa > cusa, cusb; resb > cusc; cusa > depa; else is another realm.

";

/// The tree: name, parent, kind.
const TREE: [(&str, &str, &str); 7] = [
    ("root", "", "provider"),
    ("resa", "root", "reseller"),
    ("resb", "root", "reseller"),
    ("cusa", "resa", "customer"),
    ("cusb", "resa", "customer"),
    ("cusc", "resb", "customer"),
    ("depa", "cusa", "department"),
];
/// Where roles are given, with a child of each.
const PLACES: [(&str, &str); 3] = [("root", "resa"), ("resa", "cusa"), ("cusa", "depa")];

const ROLES: [(Builtin, &[Propagate]); 7] = [
    (Builtin::OrganizationAdmin, &[Propagate::Subtree, Propagate::Here]),
    (Builtin::OrganizationEditor, &[Propagate::Here]),
    (Builtin::BillingAdmin, &[Propagate::Subtree, Propagate::Here]),
    (Builtin::FinanceViewer, &[Propagate::Subtree, Propagate::Here]),
    (Builtin::Auditor, &[Propagate::Subtree, Propagate::Here]),
    (Builtin::DepartmentHead, &[Propagate::Subtree]),
    (Builtin::Member, &[Propagate::Here]),
];

/// What looks and is a POST: path and body. Closing comes last: it makes the drafts anew.
const ASKED: [(&str, &str); 7] = [
    ("/v1/orgs/{org}/audit/export", r#"{"format":"jsonl"}"#),
    ("/v1/orgs/{org}/audit/export", r#"{"format":"csv"}"#),
    ("/v1/orgs/{org}/who-can", r#"{"action":"invoice:read"}"#),
    ("/o/{org}/audit/export/csv", ""),
    ("/o/{org}/audit/export/jsonl", ""),
    ("/v1/orgs/{org}/close", r#"{"month":"2026-08"}"#),
    ("/o/{org}/papers", "month=2026-08&action=draft"),
];

/// Looks that are not for this test: they lead to another host.
const SKIPPED: [&str; 1] = ["/prove/provider"];

/// Lists in which the highest admin must find things of every organisation: else a silent list would pass for a good one.
const FULL: [&str; 17] = [
    "GET /o/{org}/buckets",
    "GET /o/{org}/cloud",
    "GET /o/{org}/keys",
    "GET /o/{org}/people",
    "GET /o/{org}/sources",
    "GET /o/{org}/tokens",
    "GET /o/{org}/tree",
    "GET /v1/orgs/{org}/audit",
    "GET /v1/orgs/{org}/buckets",
    "GET /v1/orgs/{org}/cloud-links",
    "GET /v1/orgs/{org}/keys",
    "GET /v1/orgs/{org}/quarantine",
    "GET /v1/orgs/{org}/s3-accounts",
    "GET /v1/orgs/{org}/tokens",
    "GET /v1/orgs/{org}/tree",
    "GET /v1/orgs/{org}/usage",
    "GET /v1/orgs/{org}/users",
];

/// An organisation with the ids of its things.
struct Spot {
    name: &'static str,
    things: BTreeMap<&'static str, String>,
}

/// Somebody with one role.
struct Somebody {
    role: Builtin,
    reach: Propagate,
    place: &'static str,
    child: &'static str,
    cookie: String,
    csrf: String,
    token: String,
}

impl Somebody {
    fn name(&self) -> String {
        format!("{}/{}@{}", self.role.code(), self.reach.code(), self.place)
    }
}

/// The way from the root down to an organisation, itself included.
fn path_of(name: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut next = name;
    while let Some((own, parent, _)) = TREE.iter().find(|(own, ..)| *own == next) {
        found.insert(0, *own);
        next = *parent;
    }
    found
}

/// How an organisation stands to the one where somebody was given their role.
#[derive(Debug, PartialEq, Eq)]
enum Stands {
    Here,
    /// So many levels above.
    Above(usize),
    /// So many levels below.
    Below(usize),
    /// In another part of the tree, or in another realm.
    Beside,
}

fn stands(org: &str, place: &str) -> Stands {
    let (org_path, place_path) = (path_of(org), path_of(place));
    match (place_path.iter().position(|name| *name == org), org_path.iter().position(|name| *name == place)) {
        _ if org == place => Stands::Here,
        (Some(at), _) => Stands::Above(place_path.len() - 1 - at),
        (_, Some(at)) => Stands::Below(org_path.len() - 1 - at),
        _ => Stands::Beside,
    }
}

/// What a body showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    status: u16,
    /// Whose things, and of which kinds.
    words: BTreeSet<(String, String)>,
    /// Whose ids.
    ids: BTreeSet<&'static str>,
}

/// All `zq-WHOSE-KIND` of a text.
fn words_of(text: &str) -> BTreeSet<(String, String)> {
    let letters = |text: &str| text.chars().take_while(char::is_ascii_lowercase).collect::<String>();
    let mut found = BTreeSet::new();
    for rest in text.split("zq-").skip(1) {
        let whose = letters(rest);
        if let Some(kind) = rest[whose.len()..].strip_prefix('-') {
            found.insert((whose, letters(kind)));
        }
    }
    found
}

struct Contents {
    bench: Bench,
    spots: Vec<Spot>,
    people: Vec<Somebody>,
    _folder: TempFolder,
}

fn word(whose: &str, kind: &str) -> String {
    format!("zq-{whose}-{kind}")
}

/// Gives an organisation a thing of each kind.
async fn plant(
    cx: &Cx,
    (whose, org): (&'static str, OrgId),
    s3: &str,
    account_of_root: Option<AccountId>,
) -> (Spot, AccountId) {
    let w = |kind: &str| word(whose, kind);
    let document = |text: &str| serde_json::from_str::<Document>(text).unwrap();
    let member = PolicyRef::Builtin(Builtin::Member);
    let address = format!("{}@example.com", w("user"));
    let user = people::add(cx, org, &address, &w("user"), member, None).await.unwrap();
    let group = groups::create(cx, org, &w("group")).await.unwrap().id;
    groups::add_member(cx, org, group, user).await.unwrap();
    let allow = r#"{"statements":[{"effect":"ALLOW","actions":["invoice:read"]}]}"#;
    let policy = policies::create(cx, org, &w("policy"), Level::Org, document(allow)).await.unwrap().id;
    let deny = r#"{"statements":[{"effect":"DENY","actions":["support:impersonate"]}]}"#;
    let rail = policies::create(cx, org, &w("rail"), Level::Org, document(deny)).await.unwrap().id;
    policies::lay_guard(cx, org, rail).await.unwrap();
    let service = tokens::create_service(cx, org, &w("service"), "").await.unwrap().id;
    tokens::create_programmatic(cx, org, service, NewToken::whole(&w("token"), 30)).await.unwrap();
    let guest = format!("{}@example.com", w("guest"));
    invitations::invite(cx, org, &guest, member, Propagate::Here).await.unwrap();
    let (key, _) = keys::create(cx, org, user, &w("key")).await.unwrap();
    let link = NewLink { provider: "aws".into(), external_account: w("external"), name: w("link"), from_us: None };
    cloud_links::link(cx, org, link).await.unwrap();
    let account = NewAccount {
        name: w("account"),
        endpoint: s3.to_owned(),
        region: "us-east-1".into(),
        style: "path".into(),
        access_key: w("access"),
        secret_key: "SK".into(),
    };
    let account = sources::link(cx, org, account).await.unwrap().id;
    // All buckets lie in the root's account: what is behind a name is the business of whose account it is.
    let mapping = NewMapping {
        user: None,
        virtual_bucket: w("bucket"),
        folder: String::new(),
        account: account_of_root.unwrap_or(account),
        real_bucket: word("root", "real"),
        prefix: format!("{}/{}/", word("root", "prefix"), whose),
        access: "write".into(),
        overlap: false,
    };
    app::buckets::map(cx, org, mapping).await.unwrap();
    let provider = NewIdp {
        name: w("idp"),
        issuer: "http://127.0.0.1:1".into(),
        client_id: w("client"),
        client_secret: None,
        settings: IdpSettings::default(),
        active: true,
    };
    idps::put(cx, org, provider).await.unwrap();
    let domain = domains::claim(cx, org, &format!("{}.example", w("domain"))).await.unwrap().domain;
    let things = [
        ("org", org.to_string()),
        ("user", user.to_string()),
        ("group", group.to_string()),
        ("policy", policy.to_string()),
        ("service", service.to_string()),
        ("account", account.to_string()),
        ("domain", domain),
        ("key_id", key.key_id),
    ];
    (Spot { name: whose, things: BTreeMap::from(things) }, account)
}

/// Usage, prices, papers of August, and a record that was sent twice with two quantities.
async fn bill(cx: &Cx, spots: &mut [Spot]) {
    let meter = metering::Meter {
        code: "vm.hours".into(),
        unit: "hour".into(),
        aggregation: metering::Aggregation::Sum,
        dimensions: vec!["team".into()],
    };
    events::define_meter(cx, meter).await.unwrap();
    let root = cx.realm.root();
    for quantity in ["3", "4"] {
        for spot in &*spots {
            let (org, id, team) = (&spot.things["org"], word(spot.name, "record"), word(spot.name, "dimension"));
            let user = &spot.things["user"];
            let event = format!(
                r#"{{"specversion":"1.0","id":"{id}","source":"/t","type":"vm.hours","subject":"{org}","time":"2026-08-02T00:00:00Z","data":{{"quantity":"{quantity}","user":"{user}","dimensions":{{"team":"{team}"}}}}}}"#
            );
            assert_eq!(events::ingest(cx, root, "application/json", &event).await.unwrap().accepted, 1);
        }
        for spot in spots.iter().filter(|spot| spot.name != "root" && quantity == "3") {
            let book = format!(
                r#"{{"currency":"EUR","items":[{{"code":"vm","name":"{}","meter":"vm.hours","price":{{"model":"per_unit","rate":"1"}}}}]}}"#,
                word(spot.name, "item")
            );
            let book = prices::parse_book(&book).unwrap();
            prices::set(cx, spot.things["org"].parse().unwrap(), "2026-08", book).await.unwrap();
        }
        // It seals what was sent: the second time everything is in quarantine.
        bills::close_month(cx, root, "2026-08", false).await.unwrap();
    }
    for listed in bills::list(cx, root).await.unwrap() {
        let payer = listed.payer.to_string();
        let spot = spots.iter_mut().find(|spot| spot.things["org"] == payer).expect("papers are of the tree");
        spot.things.insert("id", listed.id.to_string());
    }
    // The root pays nobody: it looks at a paper that it sold.
    let sold = spots[1].things["id"].clone();
    spots[0].things.insert("id", sold);
}

impl Contents {
    async fn new() -> Self {
        let folder = TempFolder::new("web_contents");
        let world = Arc::new(TestWorld::at("2026-08-01T00:00:00Z", 13));
        let bench = Bench::open(folder.path(), &world).await;
        let (email, s3) = (format!("{}@example.com", word("root", "admin")), empty_s3());
        let mut spots: Vec<Spot> = Vec::new();
        let cx = bench.realm(&word("root", "name"), &email).await;
        let mut account_of_root = None;
        for (whose, parent, kind) in TREE {
            let org = match spots.iter().find(|spot| spot.name == parent) {
                None => cx.realm.root(),
                Some(above) => {
                    let parent: OrgId = above.things["org"].parse().unwrap();
                    let (name, address) = (word(whose, "name"), vec![word(whose, "street")]);
                    let new = NewOrg { name, kind: kind.to_owned(), address, ..NewOrg::default() };
                    orgs::create_child(&cx, parent, new).await.unwrap().id
                }
            };
            let (spot, account) = plant(&cx, (whose, org), &s3, account_of_root).await;
            account_of_root = account_of_root.or(Some(account));
            spots.push(spot);
        }
        let elsewhere = format!("{}@example.net", word("else", "admin"));
        let other = bench.realm(&word("else", "name"), &elsewhere).await;
        let (other_spot, _) = plant(&other, ("else", other.realm.root()), &s3, None).await;
        world.set(base::period::parse_instant("2026-09-01T00:00:00Z").unwrap());
        let cx = bench.sign_in(&email).await.1.cx; // A month has passed: proved once more.
        bill(&cx, &mut spots).await;
        let mut people = Vec::new();
        for (place, child) in PLACES {
            let org: OrgId = spots.iter().find(|spot| spot.name == place).unwrap().things["org"].parse().unwrap();
            for (role, reaches) in ROLES {
                for reach in reaches {
                    people.push(come_in(&bench, &cx, (place, child, org), role, *reach).await);
                }
            }
        }
        spots.push(other_spot);
        Self { bench, spots, people, _folder: folder }
    }

    fn spot(&self, name: &str) -> &Spot {
        self.spots.iter().find(|spot| spot.name == name).unwrap()
    }

    /// What a body shows to somebody.
    async fn see(&self, request: Request<Body>) -> Seen {
        let reply = self.bench.send(request).await;
        let text = format!("{} {}", reply.location(), reply.text);
        let ids = self.spots.iter().filter(|spot| text.contains(&spot.things["org"])).map(|spot| spot.name);
        Seen { status: reply.status.as_u16(), words: words_of(&reply.text), ids: ids.collect() }
    }
}

async fn come_in(
    bench: &Bench,
    cx: &Cx,
    (place, child, org): (&'static str, &'static str, OrgId),
    role: Builtin,
    reach: Propagate,
) -> Somebody {
    let email = format!("{}-{}-{place}@example.com", role.code(), reach.code());
    let member = PolicyRef::Builtin(Builtin::Member);
    let user = people::add(cx, org, &email, &word(place, "person"), member, Some(PASSWORD)).await.unwrap();
    if role != Builtin::Member {
        let new = NewBinding {
            holder: Holder::User(user),
            policy: PolicyRef::Builtin(role),
            propagate: reach,
            resources: Vec::new(),
            not_before_us: None,
            not_after_us: None,
        };
        bindings::bind(cx, org, new).await.unwrap();
    }
    let (cookie, signed_in) = bench.sign_in(&email).await;
    let token = bench.token(&signed_in.cx).await;
    Somebody { role, reach, place, child, cookie, csrf: signed_in.csrf, token }
}

/// The address of a route at an organisation, with the month in which there is something to see.
fn target(path: &str, spot: &Spot) -> String {
    let mut found = String::new();
    for part in path.split('/').skip(1) {
        let value: &str = match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            None => part,
            Some("no") => "1",
            Some("form") => "csv",
            Some(name) => {
                spot.things.get(name).unwrap_or_else(|| panic!("{path}: say in contents.rs what {{{name}}} is"))
            }
        };
        found.push('/');
        found.push_str(value);
    }
    let query = match path {
        "/v1/orgs/{org}/audit" => "?outcome=allow&limit=1000", // Refusals of this very test would be in the way.
        "/v1/orgs/{org}/usage" => "?month=2026-08&by=org,user,dimensions&limit=1000",
        "/o/{org}/usage" => "?month=2026-08&by=org&meter=vm.hours",
        "/o/{org}/overview" => "?month=2026-08",
        "/v1/orgs/{org}/costs" | "/v1/orgs/{org}/costs/csv" | "/v1/orgs/{org}/margin" => "?month=2026-08",
        "/o/{org}/costs" | "/o/{org}/costs/csv" => "?month=2026-08",
        "/v1/orgs/{org}/users"
        | "/v1/orgs/{org}/keys"
        | "/v1/orgs/{org}/buckets"
        | "/v1/orgs/{org}/s3-accounts"
        | "/v1/orgs/{org}/tree"
        | "/v1/orgs/{org}/papers"
        | "/v1/orgs/{org}/quarantine"
        | "/v1/orgs/{org}/invitations"
        | "/v1/orgs/{org}/domains" => "?limit=1000",
        "/v1/me/reach" => "?action=org:read&limit=1000",
        "/v1/orgs/{org}/move" => return format!("{found}?parent={}", spot.things["org"]),
        _ => "",
    };
    found + query
}

fn look(somebody: &Somebody, path: &str, target: &str) -> Request<Body> {
    if path.starts_with("/v1/") {
        return api("GET", target, Some(&somebody.token), "");
    }
    let request = Request::get(target).header(header::COOKIE, format!("meterhouse={}", somebody.cookie));
    request.body(Body::empty()).unwrap()
}

/// A POST that shows rows.
fn ask(somebody: &Somebody, path: &str, target: &str, body: &str) -> Request<Body> {
    if path.starts_with("/v1/") {
        let mut request = api("POST", target, Some(&somebody.token), body);
        let key = format!("contents {} {target}", somebody.name());
        request.headers_mut().insert("idempotency-key", HeaderValue::from_str(&key).unwrap());
        return request;
    }
    let request = Request::post(target)
        .header(header::COOKIE, format!("meterhouse={}", somebody.cookie))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let csrf = percent_encoding::utf8_percent_encode(&somebody.csrf, percent_encoding::NON_ALPHANUMERIC);
    let form = if body.is_empty() { String::new() } else { format!("&{body}") };
    request.body(Body::from(format!("csrf={csrf}{form}"))).unwrap()
}

/// One answer: what was asked, by whom, where, and what was seen.
struct Answer<'a> {
    name: String,
    somebody: &'a Somebody,
    /// Where it was asked: where the role was given, or at the child.
    at_child: bool,
    seen: Seen,
}

async fn ask_all(contents: &Contents) -> Vec<Answer<'_>> {
    let is_look = |route: &Route| {
        let skipped = SKIPPED.contains(&route.path.as_str());
        route.is_get() && !route.is_public() && !skipped && route.path != "/v1/openapi.json"
    };
    let looks = routes::all().into_iter().filter(is_look).map(|route| ("GET", route.path, ""));
    let asked = ASKED.iter().map(|(path, body)| ("POST", (*path).to_owned(), *body));
    let mut answers = Vec::new();
    for (method, path, body) in looks.chain(asked).collect::<Vec<_>>() {
        let name = match body {
            r#"{"format":"csv"}"# => format!("{method} {path} csv"),
            _ => format!("{method} {path}"),
        };
        for somebody in &contents.people {
            for at_child in [false, true] {
                if at_child && !path.contains("{org}") {
                    continue;
                }
                let spot = contents.spot(if at_child { somebody.child } else { somebody.place });
                let target = target(&path, spot);
                let request = match method {
                    "GET" => look(somebody, &path, &target),
                    _ => ask(somebody, &path, &target, body),
                };
                answers.push(Answer { name: name.clone(), somebody, at_child, seen: contents.see(request).await });
            }
        }
    }
    answers
}

fn written(answers: &[Answer<'_>]) -> String {
    let mut text = String::from(HEAD);
    for answer in answers.iter().filter(|answer| !answer.at_child) {
        let mut whose = Vec::new();
        for name in TREE.iter().map(|(name, ..)| *name).chain(["else"]) {
            if answer.seen.words.iter().any(|(word, _)| word == name) {
                whose.push(name.to_owned());
            } else if answer.seen.ids.contains(name) {
                whose.push(format!("({name})"));
            }
        }
        let line = format!("{} | {} | {} {}", answer.name, answer.somebody.name(), answer.seen.status, whose.join(" "));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Kinds of things of those above that the design shows, and where.
fn is_shown_below(name: &str, kind: &str, levels: usize) -> bool {
    let is_paper = name.contains("/papers/{id}");
    match kind {
        // What was made above can be given below, and binds below.
        "policy" | "rail" => true,
        // Who sells stands on the paper.
        "name" | "street" => is_paper && levels == 1,
        // A bucket for everybody at an organisation and below is seen below; what is behind it is not.
        "bucket" => name == "GET /me",
        _ => false,
    }
}

/// Things of children that somebody sees who was given something at the organisation only.
fn is_shown_above(name: &str, kind: &str, levels: usize) -> bool {
    const CHILDREN: [&str; 2] = ["GET /o/{org}/children", "GET /v1/orgs/{org}/children"];
    // The edges to the children are the organisation's own business: it sells. Those below them are not.
    const EDGES: [&str; 4] =
        ["GET /o/{org}/papers", "GET /v1/orgs/{org}/papers", "POST /o/{org}/papers", "POST /v1/orgs/{org}/close"];
    // Its own bill is split by who used it.
    let is_own_bill = (name.contains("/papers/{id}") && !name.ends_with("/records"))
        || name.contains("/o/{org}/costs")
        || name.contains("/v1/orgs/{org}/costs");
    match kind {
        // Its own log says whose prices it set and whose papers it made: by id.
        "id" if name.contains("/audit") => levels == 1,
        "street" if CHILDREN.contains(&name) => levels == 1,
        "name" | "id" if CHILDREN.contains(&name) || EDGES.contains(&name) => levels == 1,
        "name" | "id" => is_own_bill,
        _ => false,
    }
}

fn laws(answers: &[Answer<'_>]) -> Vec<String> {
    let mut broken = Vec::new();
    for Answer { name, somebody, at_child, seen } in answers {
        let where_ = if *at_child { somebody.child } else { somebody.place };
        let mut fault = |text: String| broken.push(format!("{name} as {} at {where_}: {text}", somebody.name()));
        if seen.status >= 500 {
            fault(format!("{}", seen.status));
        }
        let is_self = somebody.reach == Propagate::Here;
        if *at_child && is_self && seen.status != 404 {
            fault(format!("is answered with {}", seen.status));
        }
        let ids = seen.ids.iter().map(|whose| ((*whose).to_owned(), "id".to_owned()));
        for (whose, kind) in seen.words.iter().cloned().chain(ids) {
            let shown = match stands(&whose, somebody.place) {
                Stands::Here => true,
                Stands::Beside => false,
                // Ids of those above are in the file, for a person to look at; things of theirs are not shown.
                Stands::Above(levels) => kind == "id" || is_shown_below(name, &kind, levels),
                // The id was in the question.
                Stands::Below(_) if kind == "id" && whose == where_ => true,
                Stands::Below(levels) => !is_self || is_shown_above(name, &kind, levels),
            };
            if !shown {
                fault(format!("shows {} of {whose}", if kind == "id" { "the id" } else { &kind }));
            }
        }
    }
    broken
}

/// The lists are not simply empty.
fn controls(answers: &[Answer<'_>]) -> Vec<String> {
    let mut missing = Vec::new();
    for name in FULL {
        let answer = answers.iter().find(|answer| {
            let somebody = answer.somebody;
            let is_admin = somebody.role == Builtin::OrganizationAdmin && somebody.reach == Propagate::Subtree;
            answer.name == name && is_admin && somebody.place == "root" && !answer.at_child
        });
        let Some(answer) = answer else {
            missing.push(format!("{name} was not asked"));
            continue;
        };
        for (whose, ..) in TREE {
            if !answer.seen.words.iter().any(|(word, _)| word == whose) {
                missing.push(format!("{name}: the highest admin finds nothing of {whose}"));
            }
        }
    }
    missing
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_whose_things_the_reviewed_file_says() {
    let contents = Contents::new().await;
    let answers = ask_all(&contents).await;
    let text = written(&answers);
    update_reviewed(FILE, &text);
    let missing = controls(&answers);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    let broken = laws(&answers);
    println!("{} bodies read, {} laws broken", answers.len(), broken.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    check_reviewed(FILE, &text);
}

/// With reach `self` one revokes, suspends and removes nothing below either: lists are not all.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_given_something_here_only_changes_nothing_below() {
    let contents = Contents::new().await;
    let admin = |reach: Propagate| {
        let fits =
            |one: &&Somebody| one.role == Builtin::OrganizationAdmin && one.reach == reach && one.place == "cusa";
        contents.people.iter().find(fits).unwrap()
    };
    let (here, below) = (admin(Propagate::Here), admin(Propagate::Subtree));
    let (own, child) = (contents.spot("cusa"), contents.spot("depa"));
    let listed = format!("/v1/orgs/{}/tokens", child.things["org"]);
    let rows = contents.bench.send(api("GET", &listed, Some(&below.token), "")).await.json();
    let token = rows["data"][0]["id"].as_str().expect("the child has a token").to_owned();
    let tries = [
        ("DELETE", format!("/v1/orgs/{}/tokens/{token}", own.things["org"]), ""),
        ("DELETE", format!("/v1/orgs/{}/users/{}", own.things["org"], child.things["user"]), ""),
        ("DELETE", format!("/v1/keys/{}", child.things["key_id"]), ""),
        ("PUT", format!("/v1/users/{}", child.things["user"]), r#"{"suspended":true}"#),
        ("PATCH", format!("/v1/users/{}", child.things["user"]), r#"{"name":"Renamed"}"#),
        ("POST", format!("/v1/users/{}/reset-link", child.things["user"]), ""),
    ];
    for (method, target, body) in tries {
        let reply = contents.bench.send(api(method, &target, Some(&here.token), body)).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{method} {target}: {}", reply.text);
    }
    // Usage of the child is not his to send either.
    let event = format!(
        r#"{{"specversion":"1.0","id":"self","source":"/t","type":"vm.hours","subject":"{}","time":"2026-08-20T00:00:00Z","data":{{"quantity":"1"}}}}"#,
        child.things["org"]
    );
    let events = format!("/v1/orgs/{}/events", own.things["org"]);
    let sent = contents.bench.send(api("POST", &events, Some(&here.token), &event)).await;
    assert_eq!(sent.json()["accepted"], 0, "{}", sent.text);
    let sent = contents.bench.send(api("POST", &events, Some(&below.token), &event)).await;
    assert_eq!(sent.json()["accepted"], 1, "{}", sent.text);
}

#[test]
fn markers_are_read() {
    let found = words_of("<td>zq-root-name</td> zq-cusa-user@example.com zq- zq-x zq-depa-group,zq-depa-group");
    let want = [("cusa", "user"), ("depa", "group"), ("root", "name")];
    assert_eq!(found, want.map(|(whose, kind)| (whose.to_owned(), kind.to_owned())).into());
    assert_eq!(stands("root", "cusa"), Stands::Above(2));
    assert_eq!(stands("depa", "resa"), Stands::Below(2));
    assert_eq!(stands("cusb", "cusa"), Stands::Beside);
    assert_eq!(stands("else", "root"), Stands::Beside);
}
