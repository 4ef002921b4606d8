//! Decisions a second beside Cedar, in one run: a user with 2,000 bindings at a place 16 levels down.

use access::{Action, Actor, Ask, Binding, Builtin, Context, Identity, Place, Propagate, UserKind, decide};
use base::{OrgId, RealmId, UserId};
use meterhouse_bench_cedar::{allows, entities, policy_set, request};
use std::hint::black_box;
use std::time::Instant;

fn per_decision(name: &str, rounds: u32, mut work: impl FnMut() -> bool) -> f64 {
    assert!(work());
    let began = Instant::now();
    for _ in 0..rounds {
        black_box(work());
    }
    let nanos = began.elapsed().as_nanos() as f64 / f64::from(rounds);
    println!("{name}: {nanos:.0} ns a decision, {:.0} decisions/s", 1e9 / nanos);
    nanos
}

fn main() {
    let identity = Identity {
        realm: RealmId(1),
        user: UserId(9),
        kind: UserKind::Human,
        email: "ann@example.com".to_owned(),
        name: "Ann".to_owned(),
    };
    let give = |scope| Binding::builtin(Builtin::FinanceViewer, OrgId(scope), Propagate::Subtree);
    let actor = Actor::new(identity, vec![OrgId(1)], (1..=2_000).map(give).collect());
    let place = Place::open(RealmId(1), (0..16).map(|level| OrgId(1 + level * 131)).collect());
    let context = Context { now_us: 1, proved_us: Some(1), ..Context::default() };
    let ask = Ask::of(Action::InvoiceRead);
    let ours = per_decision("ours", 1_000_000, || decide(black_box(&actor), &ask, &place, &context).is_ok());
    let (policies, entities) = (policy_set(&actor, &place), entities(&actor, &place));
    let asked = request(&ask, &place, &context);
    let theirs = per_decision("Cedar, policies and entities loaded", 200, || allows(&policies, &entities, &asked));
    println!("ratio {:.0}", theirs / ours);
}
