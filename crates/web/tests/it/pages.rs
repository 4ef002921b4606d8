//! What people meet beside the pages that they wanted: the door, a wrong address, a denial, a question before an act.

use crate::bench::{PASSWORD, Reply};
use crate::planted::{Person, Planted};
use app::keys;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};

fn find<'a>(planted: &'a Planted, role: &str) -> &'a Person {
    planted.people.iter().find(|person| person.role == role).unwrap()
}

fn asked(method: &str, target: &str, cookies: &str, form: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(target)
        .header(header::COOKIE, cookies)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()))
        .unwrap()
}

/// The value of a cookie that an answer sets.
fn set_cookie(reply: &Reply, name: &str) -> String {
    let all = reply.headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let found = all.filter_map(|text| text.strip_prefix(&format!("{name}="))).next().unwrap_or_default();
    found.split(';').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_link_is_reached_after_signing_in() {
    let planted = Planted::new().await;
    let (bench, person) = (planted.bench(), find(&planted, "organization_admin"));
    for wanted in [format!("/o/{}/papers?closed=2026-08", person.org), "/me/tokens".to_owned()] {
        let door = bench.send(asked("GET", &wanted, "", "")).await;
        assert_eq!(door.location(), "/sign-in");
        let kept = set_cookie(&door, "meterhouse-next");
        let form = format!("email={}&password={}", person.email.replace('@', "%40"), PASSWORD.replace(' ', "+"));
        let reply = bench.send(asked("POST", "/sign-in", &format!("meterhouse-next={kept}"), &form)).await;
        assert_eq!(reply.location(), wanted);
        let elsewhere = bench.send(asked("POST", "/sign-in", "meterhouse-next=%2F%2Fevil.example", &form)).await;
        assert_eq!(elsewhere.location(), "/");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_said_with_the_navigation() {
    let planted = Planted::new().await;
    let (bench, person) = (planted.bench(), find(&planted, "finance_viewer"));
    let cookie = format!("meterhouse={}", person.cookie);
    let unknown = bench.send(asked("GET", "/o/nothing/here/at/all", &cookie, "")).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.text.contains("There is nothing at this address") && unknown.text.contains(r#"class="side""#));
    let signed_out = bench.send(asked("GET", "/nothing", "", "")).await;
    assert!(signed_out.status == StatusCode::NOT_FOUND && signed_out.text.contains(r#"href="/sign-in""#));
    let denied = bench.send(asked("GET", &format!("/o/{}/prices", person.org), &cookie, "")).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert!(denied.text.contains("Your roles here do not allow this: see price lists."), "{}", denied.text);
    assert!(denied.text.contains(r#"class="side""#) && !denied.text.contains("rule:read"));
    let program = bench.send(asked("GET", "/v1/nothing", "", "")).await;
    assert_eq!(program.json()["code"], "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_that_stop_something_are_asked_about() {
    let planted = Planted::new().await;
    let (bench, person) = (planted.bench(), find(&planted, "organization_admin"));
    let cookie = format!("meterhouse={}", person.cookie);
    let cx = crate::bench::as_root(&bench.app, planted.roots[0]);
    let key = planted.places[0].thing("key_id");
    let lives = async || keys::to_revoke(&cx, &key).await.unwrap().revoked_us.is_none();
    let revoke = format!("/keys/{key}/revoke");
    let once = bench.send(asked("POST", &revoke, &cookie, &format!("csrf={}", person.csrf))).await;
    assert!(once.status == StatusCode::OK && once.text.contains("is refused at once"), "{}", once.text);
    assert!(lives().await, "only asked");
    let sure = bench.send(asked("POST", &revoke, &cookie, &format!("csrf={}&sure=yes", person.csrf))).await;
    assert_eq!(sure.status, StatusCode::SEE_OTHER);
    assert!(!lives().await);
    // Issuing shows the sums first; what was seen must still be so.
    let papers = format!("/o/{}/papers", person.org);
    let issue = |month: &str, more: &str| format!("csrf={}&month={month}&action=issue{more}", person.csrf);
    let early = bench.send(asked("POST", &papers, &cookie, &issue("2026-09", ""))).await;
    assert!(early.status == StatusCode::CONFLICT && early.text.contains("2026-09 is not over"), "{}", early.text);
    let asked_first = bench.send(asked("POST", &papers, &cookie, &issue("2026-08", ""))).await;
    assert!(asked_first.text.contains("become final"), "{}", asked_first.text);
    let stale = bench.send(asked("POST", &papers, &cookie, &issue("2026-08", "&sure=yes&seen=9+statements"))).await;
    assert!(stale.text.contains("The figures have changed since you looked"), "{}", stale.text);
}

/// T-K, T-V, T-W. Every page leads to the other organisations; a parent that one may see has a star; a list says how to
/// search it.
#[tokio::test(flavor = "multi_thread")]
async fn another_organisation_is_one_click_away() {
    let planted = Planted::new().await;
    let (bench, person) = (planted.bench(), find(&planted, "organization_admin"));
    let cookie = format!("meterhouse={}", person.cookie);
    let root = planted.roots[0];
    let mark = |org: &str, on: &str| format!("csrf={}&org={org}&favourite={on}&q=", person.csrf);
    let marked = bench.send(asked("POST", "/switch/favourite", &cookie, &mark(&person.org, "yes"))).await;
    assert_eq!((marked.status, marked.location()), (StatusCode::SEE_OTHER, "/switch?q="));
    for page in [format!("/o/{}/usage", person.org), "/me".to_owned(), "/switch".to_owned(), "/o/nothing".to_owned()] {
        let text = bench.send(asked("GET", &page, &cookie, "")).await.text;
        assert!(text.contains(r#"action="/switch""#), "{page}: {text}");
    }
    let list = bench.send(asked("GET", "/switch?q=%20", &cookie, "")).await.text;
    let star = r#"<span class="star" aria-hidden="true">★</span>"#;
    assert!(list.contains(star) && list.contains(&person.org) && !list.contains(&root.root().to_string()), "{list}");
    let none = bench.send(asked("GET", "/switch?q=no%20such%20name", &cookie, "")).await.text;
    assert!(none.contains("No organisation that you may see has no such name"), "{none}");
    // The parent is above what they may see; the highest admin sees it, with a star.
    let own = bench.send(asked("GET", &format!("/o/{}/usage", person.org), &cookie, "")).await.text;
    assert!(!own.contains("★"), "{own}");
    let foreign = bench.send(asked("POST", "/switch/favourite", &cookie, &mark(&root.root().to_string(), "yes"))).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
}

/// What a change of rights would do is shown before it is done, by form and by API, and nothing is done by that.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_rights_is_shown_first() {
    let planted = Planted::new().await;
    let (bench, person) = (planted.bench(), find(&planted, "organization_admin"));
    let (cookie, org) = (format!("meterhouse={}", person.cookie), &person.org);
    let user = planted.places[0].thing("user");
    let given = async || {
        let target = format!("/v1/orgs/{org}/users?limit=1000");
        let all = bench.send(crate::bench::api("GET", &target, Some(&person.token), "")).await.json();
        let found = all["data"].as_array().unwrap().iter().find(|found| found["id"] == user.as_str()).cloned();
        found.unwrap()["policies"].to_string()
    };
    let before = given().await;
    let page = format!("/o/{org}/people/{user}/policies");
    let form = format!("csrf={}&policy=auditor&reach=subtree", person.csrf);
    let shown = bench.send(asked("POST", &format!("{page}?preview=yes"), &cookie, &form)).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    for part in ["What would change", "Export the audit log", r#"name="policy" value="auditor""#, "Do it"] {
        assert!(shown.text.contains(part), "{part}: {}", shown.text);
    }
    let refused = bench.send(asked("POST", &format!("{page}?preview=yes"), &cookie, "policy=auditor")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "the form is no page's");
    let body = format!(r#"{{"user":"{user}","policy":"auditor"}}"#);
    let api = async |query: &str| {
        let target = format!("/v1/orgs/{org}/bindings{query}");
        bench.send(crate::bench::api("POST", &target, Some(&person.token), &body)).await
    };
    let told = api("?preview=true").await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text);
    let changes = told.json();
    assert!(changes["is_complete"] == true && told.text.contains(r#""audit:export""#), "{}", told.text);
    assert!(changes["changes"].as_array().unwrap().iter().all(|row| row["user"] == user.as_str()), "{}", told.text);
    assert_eq!(api("?preview=maybe").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(given().await, before, "nothing is given yet");
    let quiet = format!("/v1/orgs/{org}/prices?preview=true");
    let book = r#"{"month":"2026-12","book":{"currency":"EUR","items":[]}}"#;
    let quiet = bench.send(crate::bench::api("PUT", &quiet, Some(&person.token), book)).await;
    assert!(quiet.status.is_client_error(), "{} {}", quiet.status, quiet.text);
    assert_eq!(api("").await.status, StatusCode::CREATED);
    assert_ne!(given().await, before);
}
