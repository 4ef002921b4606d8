//! Who gets what where: every route as every role at every place, beside a reviewed file.
//!
//! A change of the file is a change of rights: read each line of it. `METERHOUSE_UPDATE_MATRIX=1` writes it.

use crate::bench::{Reply, check_reviewed, update_reviewed};
use crate::planted::{PLACES, Person, Planted, ROLES};
use crate::routes::{self, Route};
use app::rows::{AuditFilter, PeopleQuestion};
use app::{
    audit, bills, buckets, cloud_links, events, groups, invitations, keys, orgs, people, policies, prices, sources,
    tokens,
};
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::fmt::Write;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/access_matrix.txt");
const HEAD: &str = "\
# Status of every route for every role, given at `own`, at six places. `tests/it/matrix.rs` makes it and says how
# to write it again. A redirect to the sign-in page is `door`. The S3 accounts here cannot be reached: whoever
# may try one gets 502 or 422, or 500 for the planted one, whose secret nobody sealed.
";

type Answers = BTreeMap<(Route, &'static str, &'static str), Reply>;

fn places_of(route: &Route) -> &'static [&'static str] {
    if route.has_place() { &PLACES } else { &PLACES[..1] }
}

/// Asks everything, each time of the same trees: what a request changed is undone before the next one.
async fn ask_all(planted: &mut Planted) -> Answers {
    let mut answers = Answers::new();
    for route in routes::all() {
        for (at, role) in ROLES.into_iter().enumerate() {
            for (place, name) in places_of(&route).iter().enumerate() {
                let request = routes::request(&route, &planted.people[at], &planted.places[place]);
                let reply = planted.bench().send(request).await;
                let at_the_door = reply.location() == "/sign-in" && role == "nobody";
                if !route.is_get() && !at_the_door && reply.status.as_u16() < 400 {
                    planted.restore().await;
                }
                answers.insert((route.clone(), role, *name), reply);
            }
        }
    }
    answers
}

fn cell(reply: &Reply) -> String {
    if reply.location() == "/sign-in" { "door".to_owned() } else { reply.status.as_u16().to_string() }
}

fn written(answers: &Answers) -> String {
    let mut text = String::from(HEAD);
    let (mut last, mut line) = (None, String::new());
    for route in routes::all() {
        for role in ROLES {
            if last.as_ref() != Some(&route) {
                let columns =
                    if route.has_place() { PLACES.map(|place| format!("{place:>8}")).concat() } else { String::new() };
                let name = format!("{} {}", route.method, route.path);
                let _ = writeln!(text, "\n{name}");
                let _ = writeln!(text, "{:24}{}", "", columns.trim_end());
                last = Some(route.clone());
            }
            line.clear();
            for place in places_of(&route) {
                let _ = write!(line, "{:>8}", cell(&answers[&(route.clone(), role, *place)]));
            }
            let _ = writeln!(text, "    {role:20}{line}");
        }
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Everything that people see of both trees, and how often something was done in them.
async fn state(planted: &Planted) -> String {
    let mut text = String::new();
    for realm in &planted.roots {
        let cx = crate::bench::as_root(&planted.bench().app, *realm);
        let done = AuditFilter { outcome: "allow".to_owned(), ..AuditFilter::default() };
        let newest = audit::list(&cx, realm.root(), 0, &done, 1).await.unwrap();
        let _ = writeln!(text, "{:?}", newest.first().map(|event| event.seq));
        let _ = writeln!(text, "{:?}", people::list(&cx, realm.root(), &PeopleQuestion::default()).await.unwrap());
        let _ = writeln!(text, "{:?}", keys::list(&cx, realm.root()).await.unwrap());
        let _ = writeln!(text, "{:?}", buckets::list(&cx, realm.root()).await.unwrap());
        let _ = writeln!(text, "{:?}", sources::list(&cx, realm.root()).await.unwrap());
        let _ = writeln!(text, "{:?}", cloud_links::list(&cx, realm.root()).await.unwrap());
        let _ = writeln!(text, "{:?}", bills::list(&cx, realm.root()).await.unwrap());
        let _ = writeln!(text, "{:?}", events::meters(&cx).await.unwrap());
        for token in tokens::list(&cx, realm.root()).await.unwrap() {
            let _ = writeln!(text, "{} {:?}", token.id, token.revoked_us);
        }
        for org in orgs::subtree(&cx, realm.root()).await.unwrap() {
            let _ = writeln!(text, "{org:?}");
            let _ = writeln!(text, "{:?}", groups::list(&cx, org.id).await.unwrap());
            let _ = writeln!(text, "{:?}", policies::list(&cx, org.id).await.unwrap());
            let _ = writeln!(text, "{:?}", policies::guards(&cx, org.id).await.unwrap());
            let _ = writeln!(text, "{:?}", prices::history(&cx, org.id).await.unwrap());
            let _ = writeln!(text, "{:?}", orgs::products(&cx, org.id).await.unwrap());
            let _ = writeln!(text, "{:?}", invitations::list(&cx, org.id).await.unwrap());
        }
    }
    text
}

/// No answer tells an unknown thing from one that may not be known, and nobody gets past the door.
fn laws(answers: &Answers) -> Vec<String> {
    let mut broken = Vec::new();
    for route in routes::all() {
        let of = |role, place| &answers[&(route.clone(), role, place)];
        let mut fault = |text: String| broken.push(format!("{} {}: {text}", route.method, route.path));
        for role in ROLES {
            for place in places_of(&route) {
                let reply = of(role, *place);
                if role == "nobody" && !route.is_public() {
                    let wants =
                        if route.is_api() { reply.status == StatusCode::UNAUTHORIZED } else { cell(reply) == "door" };
                    if !wants {
                        fault(format!("nobody at {place} gets {}", cell(reply)));
                    }
                }
                // The planted accounts cannot be reached: their secret was never sealed, nobody listens at new ones.
                let unreachable = reply.status == StatusCode::BAD_GATEWAY || reply.text.contains("a sealed secret");
                if reply.status.is_server_error() && !unreachable {
                    fault(format!("{role} at {place} gets {}: {}", cell(reply), reply.text));
                }
            }
            if !route.has_place() || role == "nobody" {
                continue;
            }
            let unknown = of(role, "unknown");
            for place in ["other", "parent", "sister"] {
                let reply = of(role, place);
                if reply.status != StatusCode::NOT_FOUND {
                    fault(format!("{role} at {place} gets {}: {:.120}", cell(reply), reply.text));
                }
                if (reply.status, &reply.text) != (unknown.status, &unknown.text) {
                    fault(format!("{role} can tell {place} from unknown: {:.120} | {:.120}", reply.text, unknown.text));
                }
            }
        }
    }
    broken
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_what_the_reviewed_file_says() {
    let mut planted = Planted::new().await;
    let answers = ask_all(&mut planted).await;
    let text = written(&answers);
    update_reviewed(FILE, &text);
    let broken = laws(&answers);
    println!("{} routes, {} answers, {} laws broken", routes::all().len(), answers.len(), broken.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    check_reviewed(FILE, &text);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_changes_nothing() {
    let planted = Planted::new().await;
    let before = state(&planted).await;
    let mut asked = 0;
    for route in routes::all().into_iter().filter(Route::is_get) {
        for person in &planted.people {
            for place in &planted.places[..places_of(&route).len()] {
                planted.bench().send(routes::request(&route, person, place)).await;
                asked += 1;
            }
        }
    }
    println!("{asked} looks");
    assert!(state(&planted).await == before, "a GET changed something");
}

/// What an admin cannot do with a proof of who he is that is older than a quarter of an hour.
const SENSITIVE: &str = "\
DELETE /v1/orgs/{org}
DELETE /v1/orgs/{org}/bindings/{binding}
DELETE /v1/orgs/{org}/break-glass/{user}
DELETE /v1/orgs/{org}/domains/{domain}
DELETE /v1/orgs/{org}/guard-rails/{guard}
DELETE /v1/orgs/{org}/idp
DELETE /v1/orgs/{org}/policies/{policy}
POST /me/factors/codes
POST /me/factors/passkey
POST /me/factors/totp
POST /me/factors/{factor}/remove
POST /o/{org}/delete
POST /o/{org}/groups/{group}/give
POST /o/{org}/groups/{group}/withdraw
POST /o/{org}/identity/break-glass
POST /o/{org}/identity/delete
POST /o/{org}/identity/domains
POST /o/{org}/identity/domains/{domain}/release
POST /o/{org}/identity/domains/{domain}/verify
POST /o/{org}/identity/provider
POST /o/{org}/keys
POST /o/{org}/move
POST /o/{org}/people/{user}/policies
POST /o/{org}/people/{user}/policies/{binding}/take
POST /o/{org}/people/{user}/reset
POST /o/{org}/policies/guards
POST /o/{org}/policies/guards/{guard}/lift
POST /o/{org}/policies/new
POST /o/{org}/policies/{policy}
POST /o/{org}/policies/{policy}/delete
POST /o/{org}/tokens
POST /o/{org}/tokens/services
POST /v1/orgs/{org}/bindings
POST /v1/orgs/{org}/domains
POST /v1/orgs/{org}/domains/{domain}/verify
POST /v1/orgs/{org}/guard-rails
POST /v1/orgs/{org}/idp/test
POST /v1/orgs/{org}/keys
POST /v1/orgs/{org}/move
POST /v1/orgs/{org}/policies
POST /v1/orgs/{org}/scim-tokens
POST /v1/orgs/{org}/services
POST /v1/orgs/{org}/services/{service}/tokens
POST /v1/users/{user}/reset-link
PUT /v1/orgs/{org}/break-glass/{user}
PUT /v1/orgs/{org}/idp
PUT /v1/orgs/{org}/policies/{policy}";

#[tokio::test(flavor = "multi_thread")]
async fn sensitive_acts_want_a_fresh_proof() {
    let mut planted = Planted::new().await;
    planted.world.advance(16 * 60_000_000);
    let (mut wanting, mut looking) = (Vec::new(), Vec::new());
    for route in routes::all() {
        let request = routes::request(&route, &planted.people[0], &planted.places[0]);
        let reply = planted.bench().send(request).await;
        let wants = reply.json()["code"] == "step_up_required" || reply.location().starts_with("/prove");
        if !route.is_get() && reply.status.as_u16() < 400 {
            planted.restore().await;
        }
        if wants {
            let list = if route.is_get() { &mut looking } else { &mut wanting };
            list.push(format!("{} {}", route.method, route.path));
        }
    }
    wanting.sort();
    assert_eq!(wanting.join("\n"), SENSITIVE);
    // Looking wants none, but for pages where something is written before it is sent: a passkey that the
    // browser makes, a policy, a provider. They ask first, so that it is not lost.
    let first = [
        "GET /me/factors/passkey",
        "GET /o/{org}/identity/provider",
        "GET /o/{org}/policies/new",
        "GET /o/{org}/policies/{policy}",
    ];
    assert_eq!(looking, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_taken_away_ends_with_the_next_request() {
    let planted = Planted::new().await;
    let find = |role: &str| planted.people.iter().find(|person| person.role == role).unwrap();
    let (admin, auditor) = (find("organization_admin"), find("auditor"));
    let look =
        |person: &Person| crate::bench::api("GET", &format!("/v1/orgs/{}/audit", person.org), Some(&person.token), "");
    assert_eq!(planted.bench().send(look(auditor)).await.status, StatusCode::OK);
    let listed = format!("/v1/orgs/{}/users", admin.org);
    let listed = planted.bench().send(crate::bench::api("GET", &listed, Some(&admin.token), "")).await.json();
    let row = listed["data"].as_array().unwrap().iter().find(|row| row["email"] == auditor.email.as_str()).unwrap();
    let binding = row["policies"][0]["id"].as_str().unwrap();
    let taken = format!("/v1/orgs/{}/bindings/{binding}", admin.org);
    let reply = planted.bench().send(crate::bench::api("DELETE", &taken, Some(&admin.token), "")).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text);
    assert_eq!(planted.bench().send(look(auditor)).await.status, StatusCode::FORBIDDEN);
}
