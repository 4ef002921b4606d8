//! At the door: strangers delay nobody who is known, failures stand in the log, one address is one person. On both
//! engines.

use super::sign_in::{CALLBACK, EMAIL, ann_says, begin_at, nowhere, whole};
use super::*;
use app::rows::{AuditFilter, IdpSettings};
use app::sign_in::{Proof, begin, prove};
use app::{audit, invitations, security};
use serde_json::json;

const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;

on_both_engines!(
    a_stranger_locks_nobody_out,
    who_is_signed_in_proves_it_while_strangers_try,
    a_session_waits_for_its_own_mistakes_only,
    many_at_once_test_no_more_than_a_few,
    a_known_address_is_forgotten_after_ninety_days,
    an_invitation_tries_no_passwords,
    failed_tries_are_told_once_an_hour,
    a_new_address_is_told,
    one_address_is_one_person,
    siblings_that_look_alike_are_one,
    a_provider_that_let_nobody_in_is_not_required,
    a_provider_that_is_silent_speaks_for_proven_domains_if_asked,
);

fn at(ip: &str) -> Client {
    Client { ip: Some(ip.parse().unwrap()), agent: "test".into() }
}

impl Bench {
    /// Ann, who has signed in from an address.
    async fn ann_at(&self, ip: &str) -> UserId {
        let (_, user) = self.person(self.red, "ann", Builtin::Member).await;
        assert!(begin(&self.app, EMAIL, PASSWORD, &at(ip)).await.is_ok());
        user
    }

    /// Fails to sign in; says how.
    async fn fail(&self, email: &str, ip: &str) -> Failure {
        begin(&self.app, email, "wrong password", &at(ip)).await.map(drop).unwrap_err()
    }

    async fn entries(&self, org: OrgId, action: &str) -> Vec<app::rows::AuditEvent> {
        let filter = AuditFilter { action: action.into(), ..AuditFilter::default() };
        audit::list(&self.boss().await, org, 0, &filter, 100).await.unwrap()
    }
}

/// R08: ten wrong passwords of a stranger shut the owner out for a quarter of an hour.
async fn a_stranger_locks_nobody_out(bench: Bench) {
    bench.ann_at("192.0.2.1").await; // Has signed in from there.
    for no in 0..100 {
        bench.fail(EMAIL, &format!("203.0.113.{no}")).await;
    }
    assert!(begin(&bench.app, EMAIL, PASSWORD, &at("192.0.2.1")).await.is_ok(), "the owner, where they always are");
    let away = begin(&bench.app, EMAIL, PASSWORD, &at("198.51.100.7")).await.map(drop).unwrap_err();
    assert_eq!(away.kind, Kind::TooMany);
    let wait_s = i64::from(away.wait_s.unwrap());
    assert!((1..=300).contains(&wait_s), "{wait_s}");
    bench.world.set(bench.world_now() + wait_s * 1_000_000);
    assert!(begin(&bench.app, EMAIL, PASSWORD, &at("198.51.100.7")).await.is_ok(), "the wait that was said is enough");
}

async fn who_is_signed_in_proves_it_while_strangers_try(bench: Bench) {
    bench.ann_at("192.0.2.1").await;
    let (secret, _) = sign_in(&bench.app, EMAIL, PASSWORD).await.unwrap();
    for no in 0..50 {
        bench.fail(EMAIL, &format!("203.0.113.{no}")).await;
    }
    assert!(prove(&bench.app, &secret, Proof::Password(PASSWORD), &at("203.0.113.1")).await.is_ok());
}

async fn a_session_waits_for_its_own_mistakes_only(bench: Bench) {
    bench.ann_at("192.0.2.1").await;
    let (one, _) = sign_in(&bench.app, EMAIL, PASSWORD).await.unwrap();
    let (other, _) = sign_in(&bench.app, EMAIL, PASSWORD).await.unwrap();
    for _ in 0..5 {
        assert_eq!(
            prove(&bench.app, &one, Proof::Password("wrong"), &nowhere()).await.unwrap_err().kind,
            Kind::Invalid
        );
    }
    assert_eq!(prove(&bench.app, &one, Proof::Password(PASSWORD), &nowhere()).await.unwrap_err().kind, Kind::TooMany);
    assert!(prove(&bench.app, &other, Proof::Password(PASSWORD), &nowhere()).await.is_ok());
}

/// R08: of 120 parallel tries thirty were looked at.
async fn many_at_once_test_no_more_than_a_few(bench: Bench) {
    bench.ann_at("192.0.2.1").await;
    let tries = (0..120).map(|_| {
        let app = bench.app.clone();
        tokio::spawn(
            async move { begin(&app, EMAIL, "wrong password", &at("203.0.113.9")).await.map(drop).unwrap_err() },
        )
    });
    let mut looked_at = 0;
    for tried in tries.collect::<Vec<_>>() {
        looked_at += usize::from(tried.await.unwrap().kind == Kind::Unauthenticated);
    }
    assert!((1..=3).contains(&looked_at), "{looked_at}");
}

async fn a_known_address_is_forgotten_after_ninety_days(bench: Bench) {
    bench.ann_at("192.0.2.1").await;
    let began = bench.world_now();
    for (days, is_let_in) in [(89, true), (89 + 91, false)] {
        bench.world.set(began + days * DAY_US);
        for no in 0..30 {
            bench.fail(EMAIL, &format!("203.0.113.{no}")).await;
        }
        assert_eq!(begin(&bench.app, EMAIL, PASSWORD, &at("192.0.2.1")).await.is_ok(), is_let_in, "{days}");
    }
}

/// Whoever may invite an address holds the link: it must not let them try that person's password without limit.
async fn an_invitation_tries_no_passwords(bench: Bench) {
    bench.ann_at("192.0.2.1").await;
    let policy = PolicyRef::Builtin(Builtin::Member);
    let (_, secret) =
        invitations::invite(&bench.boss().await, bench.blue, EMAIL, policy, Propagate::Here).await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let joiner = Joiner { client: at("203.0.113.9"), ..joiner("Ann", "wrong password") };
        kinds.push(invitations::accept(&bench.app, &secret, joiner).await.unwrap_err().kind);
    }
    assert_eq!(kinds, [Kind::Invalid, Kind::Invalid, Kind::Invalid, Kind::TooMany, Kind::TooMany]);
}

/// R10: failures leave a trace with who, from where and how often, and not thousands of lines.
async fn failed_tries_are_told_once_an_hour(bench: Bench) {
    let ann = bench.ann_at("192.0.2.1").await;
    let began = bench.world_now().div_euclid(HOUR_US) * HOUR_US + HOUR_US;
    let mut looked_at = 0;
    for hour in 0..2 {
        for minute in 0..20 {
            bench.world.set(began + hour * HOUR_US + minute * 60_000_000);
            for ip in ["203.0.113.1", "203.0.113.2", "2001:db8::1"] {
                looked_at += i64::from(bench.fail(EMAIL, ip).await.kind == Kind::Unauthenticated);
            }
        }
    }
    assert!(bench.entries(bench.red, "sign_in.failed").await.is_empty(), "the hour is told when it is over");
    bench.world.set(began + 3 * HOUR_US);
    for _ in 0..2 {
        app::timers::tend_trees(&bench.app).await.unwrap(); // The second time adds none.
    }
    let told = bench.entries(bench.red, "sign_in.failed").await;
    let read = |entry: &app::rows::AuditEvent| serde_json::from_str::<serde_json::Value>(&entry.detail_json).unwrap();
    let sum: i64 = told.iter().map(|entry| read(entry)["passwords"].as_i64().unwrap()).sum();
    assert_eq!(sum, looked_at, "each that was looked at, once");
    let mut from: Vec<_> = told.iter().map(|entry| read(entry)["address"].as_str().unwrap().to_owned()).collect();
    from.sort_unstable();
    from.dedup();
    assert_eq!(from, ["2001:db8::/64", "203.0.113.1", "203.0.113.2"]);
    assert!(told.len() <= 6 && told.iter().all(|entry| entry.outcome == "deny" && entry.target == ann.to_string()));
    assert_eq!(bench.entries(bench.red, "sign_in.delayed").await.len(), 2, "once an hour, at once");
    // The owner is told of it, once.
    for _ in 0..2 {
        assert!(begin(&bench.app, EMAIL, PASSWORD, &at("192.0.2.1")).await.is_ok());
    }
    assert_eq!(bench.entries(bench.red, "sign_in.after_failures").await.len(), 1);
    let mine = security::mine(&bench.fresh(ann).await, 0).await.unwrap();
    assert_eq!(mine.troubles.iter().map(|row| row.passwords).sum::<i64>(), looked_at);
    assert!(mine.events.iter().any(|event| event.action == "sign_in.failed"));
    // It is nobody else's business.
    let (eve, _) = bench.person(bench.blue, "eve", Builtin::OrganizationAdmin).await;
    let seen = audit::list(&eve, bench.blue, 0, &AuditFilter::default(), 100).await.unwrap();
    assert!(!seen.iter().any(|entry| entry.action.starts_with("sign_in.")));
    let hers = security::mine(&eve, 0).await.unwrap();
    assert!(hers.troubles.is_empty() && !hers.events.iter().any(|event| event.target == ann.to_string()));
    // An address that nobody has belongs to no organisation.
    let before = bench.entries(bench.cx.realm.root(), "").await.len();
    bench.fail("nobody@example.com", "203.0.113.1").await;
    assert_eq!(bench.entries(bench.cx.realm.root(), "").await.len(), before);
}

async fn a_new_address_is_told(bench: Bench) {
    bench.ann_at("192.0.2.1").await;
    let news = async || {
        let entries = bench.entries(bench.red, "session.begin").await;
        entries.iter().filter(|entry| entry.detail_json.contains("\"new_address\":true")).count()
    };
    let before = news().await;
    for ip in ["192.0.2.1", "198.51.100.7", "198.51.100.7"] {
        assert!(begin(&bench.app, EMAIL, PASSWORD, &at(ip)).await.is_ok());
    }
    assert_eq!(news().await, before + 1, "the one from elsewhere, the first time");
}

/// T-J.
async fn one_address_is_one_person(bench: Bench) {
    let pairs = [
        ("idn@ex\u{e4}mple.com", "idn@xn--exmple-cua.com"),
        ("j\u{f6}rg@example.com", "jo\u{308}rg@example.com"),
        ("Zoe@Example.com", " zoe@EXAMPLE.com."),
    ];
    for (one, other) in pairs {
        let boss = bench.boss().await;
        let add = async |email: &str| {
            let policy = PolicyRef::Builtin(Builtin::Member);
            people::add(&boss, bench.red, email, "X", policy, Some(PASSWORD)).await
        };
        add(one).await.unwrap();
        assert_eq!(add(other.trim_end_matches('.')).await.unwrap_err().code, Some("user_exists_in_tree"), "{other}");
        assert!(sign_in(&bench.app, other, PASSWORD).await.is_ok(), "{other}");
    }
    for odd in ["a\u{200b}nn@example.com", "ann@exa mple.com", "ann@ex\u{202e}ample.com"] {
        let policy = PolicyRef::Builtin(Builtin::Member);
        let refused = people::add(&bench.boss().await, bench.red, odd, "X", policy, None).await.unwrap_err();
        assert_eq!((refused.kind, refused.field.as_str()), (Kind::Invalid, "email"), "{odd:?}");
    }
}

/// T-Q.
async fn siblings_that_look_alike_are_one(bench: Bench) {
    let boss = bench.boss().await;
    let add = async |parent: OrgId, name: &str| {
        let new = orgs::NewOrg { name: name.into(), kind: "department".into(), ..orgs::NewOrg::default() };
        orgs::create_child(&boss, parent, new).await.map(|org| org.id)
    };
    let acme = add(bench.red, "Acme").await.unwrap();
    for name in ["\u{ff21}\u{ff23}\u{ff2d}\u{ff25}", "\u{410}cme", "acme "] {
        assert_eq!(add(bench.red, name).await.unwrap_err().code, Some("name_taken"), "{name:?}");
    }
    for name in ["Ac\u{200b}me", "x\u{202e}evil"] {
        let refused = add(bench.red, name).await.unwrap_err();
        assert_eq!((refused.kind, refused.field.as_str()), (Kind::Invalid, "name"), "{name:?}");
    }
    assert!(add(bench.blue, "\u{410}cme").await.is_ok(), "a cousin may");
    let other = add(bench.red, "Other").await.unwrap();
    let change = orgs::OrgChange { name: Some("ACM\u{415}".into()), ..orgs::OrgChange::default() };
    assert_eq!(orgs::update(&boss, other, change).await.unwrap_err().code, Some("name_taken"), "renamed into it");
    let change = orgs::OrgChange { name: Some("ACME".into()), ..orgs::OrgChange::default() };
    assert!(orgs::update(&boss, acme, change).await.is_ok(), "its own name is free to it");
}

/// T-G: a provider was required that nobody could sign in by, and everybody was shut out.
async fn a_provider_that_let_nobody_in_is_not_required(bench: Bench) {
    let enforced = || IdpSettings { enforced: true, ..IdpSettings::default() };
    // It has an admin, and so runs itself.
    let (_, ann) = bench.person(bench.customer, "ann", Builtin::OrganizationAdmin).await;
    let provider = bench.provider(IdpSettings::default()).await;
    let refused = bench.set_idp(&provider, enforced(), true).await.unwrap_err();
    assert_eq!((refused.kind, refused.code, &*refused.field), (Kind::Conflict, Some("sign_in_first"), "enforced"));
    // Somebody who is no admin is not enough.
    let bob = json!({ "sub": "bob", "email": "bob@example.com", "email_verified": true, "name": "Bob" });
    whole(provider.sign_in(&bench, "bob@example.com", bob).await);
    assert_eq!(bench.keep_secret(&provider, enforced()).await.unwrap_err().code, Some("sign_in_first"));
    let (_, signed_in) = whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    assert_eq!(signed_in.user.id, ann);
    assert!(bench.keep_secret(&provider, enforced()).await.is_ok());
    assert!(bench.keep_secret(&provider, enforced()).await.is_ok(), "it stays so");
    // Another secret is another provider.
    bench.world.advance(1);
    assert_eq!(bench.set_idp(&provider, enforced(), true).await.unwrap_err().code, Some("sign_in_first"));
    // Switched off and on again a day later it must be shown again; a proof is as good as a sign-in.
    bench.keep_secret(&provider, IdpSettings::default()).await.unwrap();
    bench.world.set(bench.world_now() + DAY_US + 1);
    assert_eq!(bench.keep_secret(&provider, enforced()).await.unwrap_err().code, Some("sign_in_first"));
    let (secret, again) = sign_in(&bench.app, EMAIL, PASSWORD).await.unwrap();
    let route = app::sso::begin_proof(&again, CALLBACK, "/").await.unwrap();
    let query = provider.visit(&route.url, ann_says(json!({})));
    app::sso::finish(&bench.app, &route.secret, &query, &nowhere(), Some((&again, &secret))).await.unwrap();
    assert!(bench.keep_secret(&provider, enforced()).await.is_ok());
    let shut = begin_at(&bench.app, "192.0.2.1").await.unwrap_err();
    assert_eq!(shut.code, Some("sso_required"));
}

/// T-X: Entra ID never says whether it checked an address.
async fn a_provider_that_is_silent_speaks_for_proven_domains_if_asked(bench: Bench) {
    bench.ann_at("192.0.2.1").await;
    let provider = bench.provider(IdpSettings::default()).await;
    let says = |sub: &str, email: &str, verified: Option<bool>| match verified {
        Some(verified) => json!({ "sub": sub, "email": email, "name": "A", "email_verified": verified }),
        None => json!({ "sub": sub, "email": email, "name": "A" }),
    };
    let waits = |done: Result<app::sso::Finished, Failure>| match done {
        Ok(_) => false,
        Err(failure) => failure.code == Some("pending"),
    };
    assert!(waits(provider.sign_in(&bench, EMAIL, says("a", EMAIL, None)).await), "off: it waits");
    let vouching = IdpSettings { vouches_for_domains: true, ..IdpSettings::default() };
    bench.keep_secret(&provider, vouching.clone()).await.unwrap();
    assert!(waits(provider.sign_in(&bench, EMAIL, says("b", "bob@example.com", Some(false))).await), "it says no");
    assert!(waits(provider.sign_in(&bench, EMAIL, says("c", "c@elsewhere.example", None)).await), "not its domain");
    assert!(!waits(provider.sign_in(&bench, EMAIL, says("d", "dora@example.com", None)).await));
    let mut everybodys = vouching;
    everybodys.vouches_for_domains = true;
    let refused = bench.set_issuer("https://login.microsoftonline.com/common/v2.0", everybodys).await.unwrap_err();
    assert_eq!(refused.field, "vouches_for_domains", "{}", refused.text);
}
