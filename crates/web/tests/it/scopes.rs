//! R09: a token that was made for one thing does no other, and answers that are kept for one token are nothing to
//! another one of the same person.

use crate::bench::{Reply, api};
use crate::planted::{Person, Planted};
use crate::routes::{self, Route};
use app::tokens::{self, NewToken};
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};

/// What one may do with one's own account by the API.
const OWN_CHANGES: [(&str, &str); 3] =
    [("DELETE", "/v1/me/sessions/{session}"), ("DELETE", "/v1/tokens/{token}"), ("PATCH", "/v1/users/{user}")];

/// Lists of what is one's own, and of where one belongs.
const OWN_LISTS: [&str; 7] = [
    "/v1/me",
    "/v1/me/factors",
    "/v1/me/keys",
    "/v1/me/sessions",
    "/v1/orgs",
    "/v1/tokens",
    "/v1/me/reach?action=org:read",
];

/// The Organization Admin, who signs in once more, and a token of theirs for these actions only.
async fn token_for(planted: &Planted, actions: &[&str], scope_org: Option<&str>) -> String {
    let (_, signed_in) = planted.bench().sign_in("organization_admin@example.com").await;
    let new = NewToken {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        scope_org: scope_org.map(|org| org.parse().unwrap()),
        ..NewToken::whole("narrow", 30)
    };
    tokens::create(&signed_in.cx, new).await.unwrap().1
}

fn admin(planted: &Planted) -> &Person {
    planted.people.iter().find(|person| person.role == "organization_admin").unwrap()
}

/// The same request, asked with another token.
fn with_token(mut request: Request<Body>, token: &str) -> Request<Body> {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

fn is_out_of_scope(reply: &Reply) -> bool {
    reply.status == StatusCode::FORBIDDEN && reply.json()["code"] == "token_scope"
}

async fn id_of_admin(planted: &Planted) -> String {
    let reply = planted.bench().send(api("GET", "/v1/me", Some(&admin(planted).token), "")).await;
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_token_changes_nothing_of_its_owner() {
    let planted = Planted::new().await;
    let (narrow, me) = (token_for(&planted, &["usage:read"], None).await, id_of_admin(&planted).await);
    let (bench, person) = (planted.bench(), admin(&planted));
    let targets = [
        ("DELETE", format!("/v1/me/sessions/{}", person.own_thing("session")), ""),
        ("DELETE", format!("/v1/tokens/{}", person.own_thing("token")), ""),
        ("PATCH", format!("/v1/users/{me}"), r#"{"name":"Renamed"}"#),
    ];
    assert_eq!(targets.len(), OWN_CHANGES.len());
    for (method, target, body) in &targets {
        let reply = bench.send(api(method, target, Some(&narrow), body)).await;
        assert!(is_out_of_scope(&reply), "{method} {target}: {} {}", reply.status, reply.text);
    }
    // Neither is anything done, nor is it the address that is wrong.
    let named = bench.send(api("GET", "/v1/me", Some(&person.token), "")).await.json();
    assert_eq!(named["name"], "organization_admin");
    for (method, target, body) in &targets {
        let reply = bench.send(api(method, target, Some(&person.token), body)).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{method} {target}: {}", reply.text);
    }
}

/// No change of one's own is forgotten above: every changing route that names no organisation and nobody else's thing.
#[test]
fn every_change_of_ones_own_is_tried() {
    let elsewhere = [
        // By address and password, not by a token.
        "POST /v1/tokens",
        // By the secret of a link.
        "POST /v1/invitations/accept",
        "POST /v1/invitations/decline",
        "POST /v1/invitations/show",
        // At the highest organisation of the caller, with a right of its own.
        "POST /v1/events",
        "POST /v1/meters",
        // Of things, with a right at their organisation.
        "DELETE /v1/cloud-links/{link}",
        "DELETE /v1/keys/{key_id}",
        "DELETE /v1/users/{user}",
        "POST /v1/cloud-links/{link}/hand-over",
        "POST /v1/s3-accounts/{account}/sweep",
        "POST /v1/s3-accounts/{account}/test",
        "POST /v1/users/{user}/erase",
        "POST /v1/users/{user}/reset-link",
        "PUT /v1/users/{user}",
    ];
    let own = OWN_CHANGES.map(|(method, path)| format!("{method} {path}"));
    let is_change = |route: &Route| route.is_api() && !route.is_get() && !route.path.contains("{org}");
    for route in routes::all().into_iter().filter(is_change) {
        let name = format!("{} {}", route.method, route.path);
        assert!(own.contains(&name) || elsewhere.contains(&name.as_str()), "{name}: sort it in scopes.rs");
    }
}

/// Every changing route of the API, with a token for reading usage: whatever else the owner may do.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_reading_usage_changes_nothing_at_all() {
    let planted = Planted::new().await;
    let narrow = token_for(&planted, &["usage:read"], None).await;
    let (person, own) = (admin(&planted), &planted.places[0]);
    let mut through = Vec::new();
    let is_change = |route: &Route| route.is_api() && !route.is_get() && !route.is_public();
    for route in routes::all().into_iter().filter(is_change) {
        let reply = planted.bench().send(with_token(routes::request(&route, person, own), &narrow)).await;
        // A thing that is looked up by its id alone may be unknown to this token.
        let refused = is_out_of_scope(&reply) || reply.status == StatusCode::NOT_FOUND;
        // What is wrong in itself, or decided above, is said first.
        let decided_before = [403, 409, 422].contains(&reply.status.as_u16());
        if !(refused || decided_before) {
            through.push(format!("{} {}: {} {:.120}", route.method, route.path, reply.status, reply.text));
        }
    }
    assert!(through.is_empty(), "{}", through.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_token_lists_nothing_of_its_owner() {
    let planted = Planted::new().await;
    let narrow = token_for(&planted, &["usage:read"], None).await;
    let (bench, person) = (planted.bench(), admin(&planted));
    for target in OWN_LISTS {
        let reply = bench.send(api("GET", target, Some(&narrow), "")).await;
        assert!(is_out_of_scope(&reply), "{target}: {} {}", reply.status, reply.text);
        assert!(!reply.text.contains(&person.org), "{target}: {}", reply.text);
        let whole = bench.send(api("GET", target, Some(&person.token), "")).await;
        assert_eq!(whole.status, StatusCode::OK, "{target}: {}", whole.text);
    }
    // It does what it was made for.
    let usage = format!("/v1/orgs/{}/usage", person.org);
    assert_eq!(bench.send(api("GET", &usage, Some(&narrow), "")).await.status, StatusCode::OK);
}

/// A token for one organisation names no other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_child_lists_no_other_organisation() {
    let planted = Planted::new().await;
    let child = planted.places[2].thing("org");
    let narrow = token_for(&planted, &["*"], Some(&child)).await;
    let (bench, person) = (planted.bench(), admin(&planted));
    for target in ["/v1/orgs", "/v1/me", "/v1/me/reach?action=org:read"] {
        let reply = bench.send(api("GET", target, Some(&narrow), "")).await;
        let rows = reply.json();
        let rows = if target == "/v1/me" { rows["orgs"].clone() } else { rows["data"].clone() };
        assert!(!rows.to_string().contains(&person.org), "{target}: {rows}");
    }
    let reply = bench.send(api("GET", &format!("/v1/orgs/{}", person.org), Some(&narrow), "")).await;
    assert!(is_out_of_scope(&reply), "{} {}", reply.status, reply.text);
    assert_eq!(bench.send(api("GET", &format!("/v1/orgs/{child}"), Some(&narrow), "")).await.status, StatusCode::OK);
}

fn make_group(org: &str, token: &str, key: &str) -> Request<Body> {
    let mut request = api("POST", &format!("/v1/orgs/{org}/groups"), Some(token), r#"{"name":"Kept group"}"#);
    request.headers_mut().insert("idempotency-key", HeaderValue::from_str(key).unwrap());
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_answers_belong_to_the_token() {
    let planted = Planted::new().await;
    let narrow = token_for(&planted, &["usage:read"], None).await;
    let twin = token_for(&planted, &["*"], None).await;
    let (bench, person) = (planted.bench(), admin(&planted));
    let key = "kept-answers-belong-to-the-token";
    let first = bench.send(make_group(&person.org, &person.token, key)).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let again = bench.send(make_group(&person.org, &person.token, key)).await;
    assert!(again.headers.contains_key("idempotent-replayed"), "{:?}", again.headers);
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    // A token that may not do it is told so, and nothing of the answer.
    let reply = bench.send(make_group(&person.org, &narrow, key)).await;
    assert!(is_out_of_scope(&reply), "{} {}", reply.status, reply.text);
    assert!(!reply.headers.contains_key("idempotent-replayed"));
    assert!(!reply.text.contains(first.json()["id"].as_str().unwrap()), "{}", reply.text);
    // One that may does it itself: here the name is taken. The key of the other is not in its way.
    let reply = bench.send(make_group(&person.org, &twin, key)).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::CONFLICT, &"name_taken".into()), "{}", reply.text);
    // With another body the key is used up for the token that used it, and for no other.
    let other = |token: &str| {
        let target = format!("/v1/orgs/{}/groups", person.org);
        let mut request = api("POST", &target, Some(token), r#"{"name":"Another group"}"#);
        request.headers_mut().insert("idempotency-key", HeaderValue::from_str(key).unwrap());
        request
    };
    assert_eq!(bench.send(other(&person.token)).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(bench.send(other(&twin)).await.status, StatusCode::CREATED);
}

/// Who lost the right since gets no answer that was kept while they had it.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_ends_with_the_right() {
    let planted = Planted::new().await;
    let (bench, person) = (planted.bench(), planted.people.iter().find(|one| one.role == "department_head").unwrap());
    let key = "a-kept-answer-ends-with-the-right";
    let invite = || {
        let target = format!("/v1/orgs/{}/invitations", person.org);
        let mut request =
            api("POST", &target, Some(&person.token), r#"{"email":"kept@example.com","policy":"member"}"#);
        request.headers_mut().insert("idempotency-key", HeaderValue::from_str(key).unwrap());
        request
    };
    let first = bench.send(invite()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let admin = admin(&planted);
    let users = format!("/v1/orgs/{}/users?limit=1000", person.org);
    let users = bench.send(api("GET", &users, Some(&admin.token), "")).await.json();
    let rows = users["data"].as_array().unwrap();
    let row = rows.iter().find(|row| row["email"] == person.email.as_str()).unwrap();
    let binding = row["policies"][0]["id"].as_str().unwrap();
    let taken = format!("/v1/orgs/{}/bindings/{binding}", person.org);
    assert_eq!(bench.send(api("DELETE", &taken, Some(&admin.token), "")).await.status, StatusCode::NO_CONTENT);
    let reply = bench.send(invite()).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text);
    assert!(!reply.text.contains("kept@example.com"), "{}", reply.text);
}
