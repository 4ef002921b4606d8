//! A client that goes away in the middle of a change and sends it again.

use crate::bench::{Bench, api};
use axum::http::{HeaderValue, StatusCode};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use testkit::{TempFolder, TestWorld};
use tower::ServiceExt;

/// Polls a future at most `polls` times, as often as it wakes, and drops it: the client that leaves.
/// Says whether it ended before.
async fn begin<F: Future>(future: F, polls: u32) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_at_any_moment_does_the_work_once() {
    let folder = TempFolder::new("web_retries");
    let world = Arc::new(TestWorld::at("2026-09-01T00:00:00Z", 5));
    let bench = Bench::open(folder.path(), &world).await;
    let cx = bench.realm("Provider", "admin@example.com").await;
    let (root, token) = (cx.realm.root(), bench.token(&cx).await);
    for polls in 1..=120 {
        let request = || {
            let body = format!(r#"{{"name":"Child {polls}","kind":"customer"}}"#);
            let mut request = api("POST", &format!("/v1/orgs/{root}/children"), Some(&token), &body);
            let key = HeaderValue::from_str(&format!("key-{polls}")).unwrap();
            request.headers_mut().insert("idempotency-key", key);
            request
        };
        begin(bench.router.clone().oneshot(request()), polls).await;
        let reply = loop {
            let reply = bench.send(request()).await;
            if reply.json()["code"] != "still_running" {
                break reply;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(reply.status, StatusCode::CREATED, "left after {polls} polls: {}", reply.text);
    }
    let children =
        app::orgs::children(&cx, root, app::rows::ChildrenAsked { limit: 1_000, ..Default::default() }).await.unwrap();
    assert_eq!(children.len(), 120, "each key made one");
}
