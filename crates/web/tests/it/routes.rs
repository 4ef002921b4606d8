//! Every route of the API and the console, with a request for it that is well formed.

use crate::planted::{Person, Place};
use axum::body::Body;
use axum::http::{Method, Request, header};
use std::sync::atomic::{AtomicU64, Ordering};

static KEYS: AtomicU64 = AtomicU64::new(0);

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// `/v1/...` or a page.
    pub path: String,
    /// `GET`.
    pub method: String,
}

/// What anybody may ask: nobody is sent away from here.
const PUBLIC: [(&str, &str); 18] = [
    ("GET", "/v1/openapi.json"),
    ("POST", "/v1/tokens"),
    ("POST", "/v1/invitations/show"),
    ("POST", "/v1/invitations/accept"),
    ("POST", "/v1/invitations/decline"),
    ("POST", "/join/decline"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("POST", "/sign-in/passkey"),
    ("GET", "/sign-in/organisation"),
    ("GET", "/sign-in/start"),
    ("GET", "/sign-in/callback"),
    ("GET", "/sign-in/second"),
    ("POST", "/sign-in/second"),
    ("GET", "/join"),
    ("POST", "/join"),
    ("GET", "/reset"),
    ("POST", "/reset"),
];

impl Route {
    /// Whether it is the API's.
    pub fn is_api(&self) -> bool {
        self.path.starts_with("/v1/")
    }

    /// Whether it only looks.
    pub fn is_get(&self) -> bool {
        self.method == "GET"
    }

    /// Whether somebody who is not signed in gets further than to the door.
    pub fn is_public(&self) -> bool {
        PUBLIC.contains(&(&*self.method, &*self.path))
    }

    /// Whether it is about a thing somewhere in a tree.
    pub fn has_place(&self) -> bool {
        self.path.contains('{')
    }

    /// The form of a console page, which carries a token.
    pub fn is_form(&self) -> bool {
        !self.is_api() && !self.is_get()
    }
}

/// All routes of the API, from its own table, and of the console, from its sources.
pub fn all() -> Vec<Route> {
    let api = web::api::ROUTES.iter();
    let mut found: Vec<Route> =
        api.map(|(method, path)| Route { path: (*path).to_owned(), method: (*method).to_owned() }).collect();
    found.extend(console());
    found.sort();
    found
}

fn console() -> Vec<Route> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for part in source.split(".route(").skip(1) {
            let mut quoted = part.split('"');
            assert_eq!(quoted.next().unwrap().trim(), "", "a path is a literal: .route({part:.80}");
            let path = quoted.next().unwrap();
            let handlers = handlers(&part[part.find(path).unwrap() + path.len() + 1..]);
            let methods = ["get", "post", "put", "delete"].into_iter().filter(|method| {
                handlers
                    .split(|c: char| !c.is_alphanumeric() && c != '(' && c != '_')
                    .any(|word| word.strip_prefix(method).is_some_and(|rest| rest.starts_with('(')))
            });
            let before = found.len();
            for method in methods {
                let route = |path| Route { path, method: method.to_uppercase() };
                found.extend(acts(&source, path).into_iter().map(route));
            }
            assert!(found.len() > before, "{path} has no method that this test knows");
        }
    }
    assert!(found.len() > 30, "the console has many routes");
    found
}

/// The paths behind one that takes `{act}`: an act each, as the arms of its handler name them. What one act
/// may do says nothing about the next.
fn acts(source: &str, path: &str) -> Vec<String> {
    if !path.contains("{act}") {
        return vec![path.to_owned()];
    }
    let arms = source.split("match act.as_str() {").nth(1).expect("the acts are arms of a match");
    let arms = arms.split("_ =>").next().unwrap_or_default();
    let named: Vec<&str> = arms.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    assert!(named.len() > 1, "{path} has acts");
    named.into_iter().map(|act| path.replace("{act}", act)).collect()
}

/// The text up to the parenthesis that closes `.route(`.
fn handlers(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// The route's path at a place, as a person would ask for it.
pub fn target(route: &Route, person: &Person, place: &Place) -> String {
    let mut path = String::new();
    for part in route.path.split('/').skip(1) {
        path.push('/');
        let value = match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            None => part.to_owned(),
            Some("product") => "s3".to_owned(),
            Some("no") => "1".to_owned(),
            Some("form") => "csv".to_owned(),
            Some("token") if route.path.contains("{org}") => place.thing("service_token"),
            Some("token" | "session" | "factor") if place.is_own => person.own_thing(part.trim_matches(['{', '}'])),
            Some("token" | "session" | "factor") => place.thing(&format!("a_{}", part.trim_matches(['{', '}']))),
            Some(name) => place.thing(name),
        };
        path.push_str(&value);
    }
    let query = match route.path.as_str() {
        "/v1/orgs/{org}/move" if route.is_get() => format!("?parent={}", place.elsewhere),
        "/v1/orgs/{org}/costs" | "/v1/orgs/{org}/costs/csv" | "/v1/orgs/{org}/margin" => "?month=2026-08".to_owned(),
        "/v1/me/reach" => "?action=org:read".to_owned(),
        _ => String::new(),
    };
    path + &query
}

/// The body of a change of the API; empty when it takes none.
pub fn body(route: &Route, person: &Person, place: &Place) -> String {
    let document = r#"{"statements":[{"effect":"ALLOW","actions":["invoice:read"]}]}"#;
    let user = place.thing("user");
    match (route.method.as_str(), route.path.as_str()) {
        ("POST", "/v1/tokens") => format!(r#"{{"email":"{}","password":"{}"}}"#, person.email, crate::bench::PASSWORD),
        ("POST", "/v1/orgs/{org}/children") => r#"{"name":"New child","kind":"project"}"#.to_owned(),
        ("PATCH", "/v1/orgs/{org}") => r#"{"token_days_max":300}"#.to_owned(),
        ("DELETE", "/v1/orgs/{org}") => {
            format!(r#"{{"confirm":"{}","cascade":true,"without_final_invoice":true}}"#, place.name)
        }
        ("POST", "/v1/orgs/{org}/suspend") => r#"{"gateway":"deny"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/move") => format!(r#"{{"parent":"{}"}}"#, place.elsewhere),
        ("PUT", "/v1/orgs/{org}/admin-mode") => r#"{"admin_mode":"inherited"}"#.to_owned(),
        ("PUT", "/v1/orgs/{org}/visible-costs") => r#"{"visible_costs":["charged"]}"#.to_owned(),
        ("PUT", "/v1/orgs/{org}/products/{product}") => r#"{"granted":false}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/members") => format!(r#"{{"user":"{}","policy":"member"}}"#, place.joiner),
        ("PUT", "/v1/orgs/{org}/users/{user}" | "/v1/users/{user}") => r#"{"suspended":true}"#.to_owned(),
        ("PATCH", "/v1/users/{user}") => r#"{"name":"Renamed"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/invitations") => r#"{"email":"new@example.com","policy":"member"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/bindings") => format!(r#"{{"user":"{user}","policy":"finance_viewer"}}"#),
        ("POST", "/v1/orgs/{org}/groups") => r#"{"name":"New group"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/policies") => {
            format!(r#"{{"name":"New policy","level":"org","document":{document}}}"#)
        }
        ("PUT", "/v1/orgs/{org}/policies/{policy}") => {
            format!(r#"{{"name":"Changed","level":"org","version":1,"document":{document}}}"#)
        }
        ("POST", "/v1/orgs/{org}/who-can") => r#"{"action":"invoice:read"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/guard-rails") => format!(r#"{{"policy":"{}"}}"#, place.thing("policy")),
        ("POST", "/v1/orgs/{org}/scim-tokens") => r#"{"name":"Directory","days":30}"#.to_owned(),
        ("PUT", "/v1/orgs/{org}/idp") => {
            r#"{"name":"New","issuer":"http://127.0.0.1:1","client_id":"meterhouse"}"#.to_owned()
        }
        ("POST", "/v1/orgs/{org}/idp/test") => r#"{"issuer":"http://127.0.0.1:1"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/domains") => r#"{"domain":"new.example"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/services") => r#"{"name":"New service"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/services/{service}/tokens") => {
            r#"{"name":"ci","days":30,"actions":["usage:send"]}"#.to_owned()
        }
        ("POST", "/v1/orgs/{org}/cloud-links") => {
            r#"{"provider":"aws","external_account":"new-account","name":"New"}"#.to_owned()
        }
        ("POST", "/v1/cloud-links/{link}/hand-over") => format!(r#"{{"org":"{}"}}"#, place.elsewhere),
        ("POST", "/v1/orgs/{org}/audit/export") => r#"{"format":"csv"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/keys") => format!(r#"{{"name":"new","user":"{user}"}}"#),
        ("POST", "/v1/orgs/{org}/s3-accounts" | "/v1/orgs/{org}/s3-accounts/test") => {
            r#"{"name":"New","endpoint":"http://127.0.0.1:1","access_key":"AK","secret_key":"SK"}"#.to_owned()
        }
        ("POST", "/v1/orgs/{org}/buckets") => {
            format!(r#"{{"bucket":"new-bucket","account":"{}","real_bucket":"real-bucket"}}"#, place.thing("account"))
        }
        ("POST", "/v1/meters") => r#"{"code":"new.meter","unit":"piece"}"#.to_owned(),
        ("POST", "/v1/events" | "/v1/orgs/{org}/events") => {
            let subject = place.thing("org");
            format!(
                r#"{{"specversion":"1.0","id":"m","source":"/m","type":"vm.hours","subject":"{subject}","time":"2026-09-01T00:00:00Z","data":{{"quantity":"1"}}}}"#
            )
        }
        ("PUT", "/v1/orgs/{org}/prices") => {
            let item = r#"{"code":"vm","name":"Machines","meter":"vm.hours","price":{"model":"per_unit","rate":"1"}}"#;
            format!(r#"{{"month":"2026-10","book":{{"currency":"EUR","items":[{item}]}}}}"#)
        }
        ("POST", "/v1/invitations/show" | "/v1/invitations/decline") => r#"{"secret":"nonsense"}"#.to_owned(),
        ("POST", "/v1/invitations/accept") => r#"{"secret":"nonsense","password":"x","name":"New"}"#.to_owned(),
        ("POST", "/v1/orgs/{org}/close") => r#"{"month":"2026-08"}"#.to_owned(),
        _ => String::new(),
    }
}

/// One form for all pages: each takes the fields that it knows. Where pages mean different things by one
/// name, the route says which: a form that is refused for its values never reaches the question of rights.
pub fn form(route: &Route, person: &Person, place: &Place, csrf: &str) -> String {
    let own_words: &[(&str, String)] = &match route.path.as_str() {
        "/o/{org}/access" => vec![("action", "invoice:read".to_owned())],
        "/o/{org}/groups/{group}/withdraw" => vec![("binding", place.thing("group_binding"))],
        "/o/{org}/cloud/{link}/hand-over" => vec![("month", String::new())],
        "/o/{org}/policies/guards" => vec![("policy", place.thing("policy"))],
        "/o/{org}/tokens" => vec![("service", place.thing("service"))],
        _ => Vec::new(),
    };
    let fields = [
        ("csrf", csrf),
        ("name", "New thing"),
        ("kind", "project"),
        ("email", "new@example.com"),
        ("password", crate::bench::PASSWORD),
        ("role", "member"),
        ("policy", "member"),
        ("user", &place.thing("user")),
        ("org", &if place.is_own { place.thing("org") } else { person.org.clone() }),
        ("days", "30"),
        ("month", "2026-08"),
        ("action", "draft"),
        ("sure", "yes"),
        ("gateway", "deny"),
        ("endpoint", "http://127.0.0.1:1"),
        ("region", "us-east-1"),
        ("style", "path"),
        ("access_key", "AK"),
        ("secret_key", "SK"),
        ("bucket", "new-bucket"),
        ("account", &place.thing("account")),
        ("real_bucket", "real-bucket"),
        ("access", "write"),
        ("secret", "nonsense"),
        ("book", "{}"),
        ("actions", "usage:read"),
        ("admin_mode", "inherited"),
        ("child_cost_default", "charged"),
        ("cost_default", "charged"),
        ("mfa_policy", "required"),
        ("service", ""),
        ("binding", &place.thing("binding")),
        ("column", "charged"),
        ("confirm", &place.name),
        ("document", r#"{"statements":[{"effect":"ALLOW","actions":["invoice:read"]}]}"#),
        ("client_id", "meterhouse"),
        ("domain", "new.example"),
        ("done", "save"),
        ("external_account", "new-account"),
        ("granted", "no"),
        ("issuer", "http://127.0.0.1:1"),
        ("level", "org"),
        ("mark", &place.thing("user")),
        ("parent", &place.elsewhere),
        ("product", "s3"),
        ("provider", "aws"),
        ("reach", "self"),
        ("to", &place.elsewhere),
        ("token_days", "300"),
        ("version", "1"),
        ("view", "json"),
    ];
    let encoded =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let value_of = |name: &str, usual: &str| {
        let own = own_words.iter().find(|(word, _)| *word == name);
        own.map_or_else(|| usual.to_owned(), |(_, value)| value.clone())
    };
    fields.map(|(name, usual)| format!("{name}={}", encoded(&value_of(name, usual)))).join("&")
}

/// The request of a person, who may be nobody, for a route at a place.
pub fn request(route: &Route, person: &Person, place: &Place) -> Request<Body> {
    let mut request =
        Request::builder().method(route.method.parse::<Method>().unwrap()).uri(target(route, person, place));
    if !route.is_api() {
        if !person.cookie.is_empty() {
            request = request.header(header::COOKIE, format!("meterhouse={}", person.cookie));
        }
        if route.is_get() {
            return request.body(Body::empty()).unwrap();
        }
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        return request.body(Body::from(form(route, person, place, &person.csrf))).unwrap();
    }
    if !person.token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", person.token));
    }
    if !route.is_get() {
        // Tests beside this one plant the same people: a key of theirs may still run.
        let key = format!("test-{}", KEYS.fetch_add(1, Ordering::Relaxed));
        request = request.header("idempotency-key", key).header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Body::from(body(route, person, place))).unwrap()
}
