//! Attacks from outside and from inside. Each prints how often it tried and how often it came through: 0.

use crate::bench::{Bench, PASSWORD, Reply, api};
use crate::planted::{Person, Place, Planted};
use crate::routes::{self, Route};
use app::audit;
use app::rows::AuditFilter;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use base::World;

/// Counts tries, and names those that came through.
struct Score {
    name: &'static str,
    tries: usize,
    through: Vec<String>,
}

impl Score {
    fn new(name: &'static str) -> Self {
        Self { name, tries: 0, through: Vec::new() }
    }

    fn note(&mut self, stopped: bool, what: impl FnOnce() -> String) {
        self.tries += 1;
        if !stopped {
            self.through.push(what());
        }
    }

    fn end(self) {
        println!("{}: {} tries, {} came through", self.name, self.tries, self.through.len());
        assert!(self.through.is_empty(), "{}: {}", self.name, self.through.join("\n"));
        assert!(self.tries > 0);
    }
}

fn find<'a>(planted: &'a Planted, role: &str) -> &'a Person {
    planted.people.iter().find(|person| person.role == role).unwrap()
}

async fn done(planted: &Planted) -> Option<i64> {
    let cx = crate::bench::as_root(&planted.bench().app, planted.roots[0]);
    let filter = AuditFilter { outcome: "allow".to_owned(), ..AuditFilter::default() };
    audit::list(&cx, cx.realm.root(), 0, &filter, 1).await.unwrap().first().map(|event| event.seq)
}

fn posted(target: &str, cookie: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let encoded =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    Request::post(target)
        .header(header::COOKIE, format!("meterhouse={cookie}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form.join("&")))
        .unwrap()
}

fn with(mut request: Request<Body>, name: &'static str, value: &'static str) -> Request<Body> {
    request.headers_mut().insert(name, HeaderValue::from_static(value));
    request
}

/// The secret in the cookie that an answer sets.
fn new_cookie(reply: &Reply) -> String {
    let set = reply.headers.get(header::SET_COOKIE).map_or("", |value| value.to_str().unwrap());
    set.strip_prefix("meterhouse=").and_then(|rest| rest.split(';').next()).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_other_sites_do_nothing() {
    let planted = Planted::new().await;
    let (admin, place) = (find(&planted, "organization_admin"), &planted.places[0]);
    let stranger = find(&planted, "auditor");
    let before = done(&planted).await;
    let mut score = Score::new("cross-site request forgery");
    for route in routes::all().iter().filter(|route| route.is_form()) {
        let name = || format!("POST {}", route.path);
        let forged = |csrf: &str| routes::request(route, &Person { csrf: csrf.to_owned(), ..admin.clone() }, place);
        for site in ["cross-site", "same-site"] {
            let reply = planted.bench().send(with(forged(&admin.csrf), "sec-fetch-site", site)).await;
            score.note(reply.status == StatusCode::FORBIDDEN, || format!("{} from {site}: {}", name(), reply.status));
        }
        if route.is_public() {
            continue; // Nobody is signed in there, so there is no session to ride on.
        }
        for csrf in ["", "x", &stranger.csrf] {
            let reply = planted.bench().send(forged(csrf)).await;
            score.note(reply.status == StatusCode::FORBIDDEN, || format!("{} with {csrf:?}: {}", name(), reply.status));
        }
    }
    // A page of another site cannot send the API's token, and the cookie is none.
    for route in routes::all().iter().filter(|route| route.is_api() && !route.is_public()) {
        let mut request = routes::request(route, &Person { token: String::new(), ..admin.clone() }, place);
        let cookie = HeaderValue::from_str(&format!("meterhouse={}", admin.cookie)).unwrap();
        request.headers_mut().insert(header::COOKIE, cookie);
        let reply = planted.bench().send(request).await;
        score.note(reply.status == StatusCode::UNAUTHORIZED, || format!("{} by cookie", route.path));
    }
    assert_eq!(done(&planted).await, before, "something was done");
    score.end();
}

async fn is_in(bench: &Bench, cookie: &str) -> bool {
    let request = Request::get("/me").header(header::COOKIE, format!("meterhouse={cookie}"));
    bench.send(request.body(Body::empty()).unwrap()).await.status == StatusCode::OK
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cannot_be_chosen() {
    let planted = Planted::new().await;
    let (bench, person) = (planted.bench(), find(&planted, "member"));
    let mut score = Score::new("session fixation");
    let realm = planted.roots[0];
    let chosen =
        ["x".to_owned(), format!("{realm}."), format!("{realm}.chosen"), "a".repeat(4_000), person.csrf.clone()];
    for cookie in &chosen {
        score.note(!is_in(bench, cookie).await, || format!("{cookie:.40} was a session"));
        let fields = [("email", person.email.as_str()), ("password", PASSWORD)];
        let fresh = new_cookie(&bench.send(posted("/sign-in", cookie, &fields)).await);
        score.note(!fresh.is_empty() && fresh != *cookie, || format!("signing in kept {cookie:.40}"));
        score.note(!is_in(bench, cookie).await, || format!("{cookie:.40} became a session"));
        assert!(is_in(bench, &fresh).await);
    }
    let fields = [("csrf", person.csrf.as_str()), ("password", PASSWORD), ("next", "/me")];
    let fresh = new_cookie(&bench.send(posted("/prove", &person.cookie, &fields)).await);
    score.note(!fresh.is_empty() && fresh != person.cookie, || "proving kept the secret".to_owned());
    score.note(!is_in(bench, &person.cookie).await, || "the old secret still works".to_owned());
    assert!(is_in(bench, &fresh).await);
    let signed_out = bench.send(posted("/sign-out", &fresh, &[("csrf", &person.csrf)])).await;
    score.note(signed_out.location() == "/sign-in", || "signing out failed".to_owned());
    score.note(!is_in(bench, &fresh).await, || "a session outlived its end".to_owned());
    score.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_cannot_be_guessed() {
    let planted = Planted::new().await;
    let admin = find(&planted, "organization_admin");
    let mut score = Score::new("id guessing");
    let guess = |prefix: &str| format!("{prefix}_{}", base::ids::encode_base32(planted.world.fresh_id()));
    for no in 0..10_000 {
        let target = match no % 8 {
            0 => format!("/v1/orgs/{}", guess("org")),
            1 => format!("/v1/orgs/{}/users", guess("org")),
            2 => format!("/v1/papers/{}", guess("inv")),
            3 => format!("/v1/orgs/{}/policies/{}", admin.org, guess("pol")),
            4 => format!("/o/{}/overview", guess("org")),
            5 => format!("/papers/{}", guess("inv")),
            6 => format!("/v1/orgs/{}/costs?month=2026-08", guess("org")),
            _ => format!("/v1/papers/{}/pdf", guess("inv")),
        };
        let mut request = api("GET", &target, Some(&admin.token), "");
        let cookie = HeaderValue::from_str(&format!("meterhouse={}", admin.cookie)).unwrap();
        request.headers_mut().insert(header::COOKIE, cookie);
        let reply = planted.bench().send(request).await;
        score.note(reply.status == StatusCode::NOT_FOUND, || format!("{target}: {}", reply.status));
    }
    score.end();
}

/// Bodies with one field more than there is, at the top and inside.
fn swollen(body: &str) -> Vec<String> {
    let fields = [
        ("realm_id", r#""rlm_00000000000000000000000000""#),
        ("id", r#""org_00000000000000000000000000""#),
        ("is_admin", "true"),
        ("role", r#""organization_admin""#),
        ("created_us", "0"),
        ("state", r#""active""#),
        ("visible_costs_", r#"["list"]"#),
        ("__proto__", "{}"),
    ];
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    let known: Vec<&String> = value.as_object().unwrap().keys().collect();
    let fresh = fields.iter().filter(|(name, _)| !known.iter().any(|known| known.as_str() == *name));
    fresh
        .map(|(name, value)| {
            format!(
                "{},\"{name}\":{value}}}",
                body.trim_end_matches('}').to_owned() + &"}".repeat(body.len() - body.trim_end_matches('}').len() - 1)
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_hold_nothing_unasked() {
    let planted = Planted::new().await;
    let (admin, place) = (find(&planted, "organization_admin"), &planted.places[0]);
    let before = done(&planted).await;
    let mut score = Score::new("mass assignment");
    let takes = |route: &&Route| {
        // Events may carry extension attributes: CloudEvents says so.
        route.is_api() && !route.path.ends_with("/events") && !routes::body(route, admin, place).is_empty()
    };
    let all = routes::all();
    for route in all.iter().filter(takes) {
        for body in swollen(&routes::body(route, admin, place)) {
            let mut request = routes::request(route, admin, place);
            *request.body_mut() = Body::from(body.clone());
            let reply = planted.bench().send(request).await;
            let refused = reply.status == StatusCode::BAD_REQUEST && reply.json()["code"] == "malformed";
            score.note(refused, || format!("{} {} took {body}: {}", route.method, route.path, reply.status));
        }
    }
    assert_eq!(done(&planted).await, before, "something was done");
    score.end();
}

/// Every body of the description is tried above, or is of events.
#[test]
fn every_described_body_is_tried() {
    let json = serde_json::to_value(web::api::openapi()).unwrap();
    let (person, place) = (Person::default(), Place::anywhere());
    for (path, item) in json["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let route = Route { path: path.clone(), method: method.to_uppercase() };
            let described = !operation["requestBody"].is_null();
            assert_eq!(
                described,
                !routes::body(&route, &person, &place).is_empty(),
                "{method} {path}: add it to body()"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_addresses_write_no_headers() {
    let planted = Planted::new().await;
    let (bench, admin) = (planted.bench(), find(&planted, "organization_admin"));
    let mut score = Score::new("header injection");
    for bad in ["a\r\nSet-Cookie: x=1", "a\nLocation: http://evil.example", "a\rb", "a\0b", "a\u{85}b"] {
        let text = serde_json::to_string(bad).unwrap();
        let org = &admin.org;
        let tries = [
            ("POST", format!("/v1/orgs/{org}/children"), format!(r#"{{"name":{text},"kind":"project"}}"#)),
            ("PATCH", format!("/v1/orgs/{org}"), format!(r#"{{"name":{text}}}"#)),
            ("POST", format!("/v1/orgs/{org}/groups"), format!(r#"{{"name":{text}}}"#)),
            ("POST", format!("/v1/orgs/{org}/services"), format!(r#"{{"name":{text}}}"#)),
            ("POST", format!("/v1/orgs/{org}/keys"), format!(r#"{{"name":{text}}}"#)),
            ("POST", format!("/v1/orgs/{org}/invitations"), format!(r#"{{"email":{text},"policy":"member"}}"#)),
            (
                "POST",
                format!("/v1/orgs/{org}/cloud-links"),
                format!(r#"{{"provider":"aws","external_account":{text},"name":"n"}}"#),
            ),
        ];
        for (method, target, body) in tries {
            let reply = bench.send(api(method, &target, Some(&admin.token), &body)).await;
            score.note(reply.status == StatusCode::UNPROCESSABLE_ENTITY, || {
                format!("{target} took {bad:?}: {}", reply.status)
            });
        }
    }
    for raw in [
        "%0d%0aSet-Cookie:%20x=1",
        "/me%0d%0aSet-Cookie:%20x=1",
        "/me%0aX:1",
        "/me%00",
        "%E5%98%8D%E5%98%8ASet-Cookie:x=1",
    ] {
        for target in [
            format!("/prove?next={raw}"),
            format!("/sign-in?joined={raw}"),
            format!("/join?secret={raw}"),
            format!("/o/{raw}/overview"),
        ] {
            let request = Request::get(&target).header(header::COOKIE, format!("meterhouse={}", admin.cookie));
            let reply = bench.send(request.body(Body::empty()).unwrap()).await;
            let clean = !reply.headers.contains_key("x")
                && !reply.headers.get_all(header::SET_COOKIE).iter().any(|value| value.as_bytes().starts_with(b"x="));
            score.note(clean && !reply.location().contains(char::is_control), || target.clone());
        }
    }
    score.end();
}

/// How a browser reads it: leading blanks, tabs and line breaks are dropped, and `\` is `/`.
fn leads_away(location: &str) -> bool {
    let read: String = location.trim().chars().filter(|c| !['\t', '\r', '\n'].contains(c)).collect();
    let read = read.replace('\\', "/");
    !read.starts_with('/') || read.starts_with("//")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_elsewhere() {
    let planted = Planted::new().await;
    let bench = planted.bench();
    let mut score = Score::new("open redirect");
    let tries = [
        "http://evil.example",
        "https:evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        "/\n/evil.example",
        " //evil.example",
        "javascript:alert(1)",
        "/\\/evil.example",
        "evil.example",
        "@evil.example",
        ".evil.example",
        "",
    ];
    let (mut cookie, signed_in) = bench.sign_in("organization_admin@example.com").await;
    for next in tries {
        let fields = [("csrf", signed_in.csrf.as_str()), ("password", PASSWORD), ("next", next)];
        let reply = bench.send(posted("/prove", &cookie, &fields)).await;
        score.note(!leads_away(reply.location()), || format!("{next:?} leads to {:?}", reply.location()));
        cookie = new_cookie(&reply);
        assert!(!cookie.is_empty(), "{}", reply.text);
        let key = planted.places[0].thing("key_id");
        let fields = [("csrf", signed_in.csrf.as_str()), ("back", next), ("sure", "yes")];
        let reply = bench.send(posted(&format!("/keys/{key}/revoke"), &cookie, &fields)).await;
        score.note(reply.location().is_empty() || !leads_away(reply.location()), || format!("back={next:?}"));
    }
    score.end();
}
