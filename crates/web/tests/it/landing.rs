//! Whoever signs in lands on a page that they may see, whatever they hold and however their organisation is (T-L).

use crate::bench::{Bench, PASSWORD};
use access::tree::GatewayRule;
use access::{Builtin, PolicyRef};
use app::{org_life, orgs, people};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use std::sync::Arc;
use testkit::{TempFolder, TestWorld};

async fn get(bench: &Bench, cookie: &str, target: &str) -> crate::bench::Reply {
    let request = Request::builder().method(Method::GET).uri(target);
    let request = request.header(header::COOKIE, format!("meterhouse={cookie}"));
    bench.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_lands_on_a_page_that_they_may_see() {
    let folder = TempFolder::new("landing");
    let world = Arc::new(TestWorld::at("2026-09-01T00:00:00Z", 5));
    let bench = Bench::open(folder.path(), &world).await;
    let boss = bench.realm("Provider", "boss@example.com").await;
    let new = |name: &str, kind: &str| orgs::NewOrg { name: name.into(), kind: kind.into(), ..orgs::NewOrg::default() };
    let customer = orgs::create_child(&boss, boss.realm.root(), new("Customer", "customer")).await.unwrap().id;
    let mut cookies = Vec::new();
    for policy in Builtin::ALL {
        let email = format!("{}@example.com", policy.code());
        let reference = PolicyRef::Builtin(*policy);
        if let Err(refused) = people::add(&boss, customer, &email, "X", reference, Some(PASSWORD)).await {
            // Nobody holds what it gives, so nobody gives it.
            assert!(refused.text.contains("support:impersonate"), "{}: {}", policy.code(), refused.text);
            continue;
        }
        cookies.push((policy.code(), bench.sign_in(&email).await.0));
    }
    assert!(cookies.len() > 8, "{cookies:?}");
    for state in ["active", "suspended"] {
        if state == "suspended" {
            org_life::suspend(&boss, customer, GatewayRule::Deny).await.unwrap();
        }
        for (policy, cookie) in &cookies {
            let start = get(&bench, cookie, "/").await;
            assert_eq!(start.status, StatusCode::SEE_OTHER, "{policy} {state}");
            let page = get(&bench, cookie, start.location()).await;
            assert_eq!(page.status, StatusCode::OK, "{policy} {state}: {} {:.300}", start.location(), page.text);
            assert_eq!(get(&bench, cookie, "/me").await.status, StatusCode::OK, "{policy} {state}: /me");
        }
    }
}
