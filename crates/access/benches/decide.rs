//! Decisions of a user with 2,000 bindings at a place 16 levels down: median and 99th percentile.

use access::{Action, Actor, Ask, Binding, Builtin, Context, Identity, Place, Propagate, UserKind, decide};
use base::{OrgId, RealmId, UserId};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;

fn heavy() -> (Actor, Place) {
    let identity = Identity {
        realm: RealmId(1),
        user: UserId(9),
        kind: UserKind::Human,
        email: "ann@example.com".to_owned(),
        name: "Ann".to_owned(),
    };
    let give = |scope| Binding::builtin(Builtin::FinanceViewer, OrgId(scope), Propagate::Subtree);
    let bindings = (1..=2_000).map(give).collect();
    let path = (0..16).map(|level| OrgId(1 + level * 131)).collect();
    (Actor::new(identity, vec![OrgId(1)], bindings), Place::open(RealmId(1), path))
}

fn decisions(c: &mut Criterion) {
    let (actor, place) = heavy();
    let context = Context { now_us: 1, proved_us: Some(1), ..Context::default() };
    let (yes, no) = (Ask::of(Action::InvoiceRead), Ask::of(Action::OrgDelete));
    c.bench_function("allowed, 2,000 bindings, depth 16", |b| {
        b.iter(|| decide(black_box(&actor), &yes, black_box(&place), &context).is_ok());
    });
    c.bench_function("denied, 2,000 bindings, depth 16", |b| {
        b.iter(|| decide(black_box(&actor), &no, black_box(&place), &context).is_ok());
    });
    let mut nanos: Vec<u128> = (0..1_000_000)
        .map(|_| {
            let began = Instant::now();
            black_box(decide(black_box(&actor), &yes, black_box(&place), &context).is_ok());
            began.elapsed().as_nanos()
        })
        .collect();
    nanos.sort_unstable();
    println!("one million decisions, one by one: p50 {} ns, p99 {} ns", nanos[500_000], nanos[990_000]);
}

criterion_group!(benches, decisions);
criterion_main!(benches);
