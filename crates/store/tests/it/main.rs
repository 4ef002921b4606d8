//! Every test runs on both engines, beside a twin realm that has the same names and other amounts.

use access::{
    Action, Actor, Ask, Binding, Builtin, Context, Grant, Identity, Place, PolicyRef, Propagate, UserKind, decide,
    decide_job,
};
use base::{AgreementId, BindingId, Currency, IdpId, InvoiceId, JobId, OrgId, Period, RealmId, UserId, World, Zone};
use billing::InvoiceKind;
use store::{
    Engine, Store, StoreError, accounts, across, agreements, audit, audit::AuditFilter, bindings, charges, domains,
    entries, idps, invoices, jobs, memberships, orgs, scim, users,
};
use testkit::{TempFolder, TestWorld};

/// One engine with two realms on it, alike but for their amounts.
struct Bench {
    store: Store,
    world: TestWorld,
    own: RealmId,
    twin: RealmId,
    _folder: TempFolder,
}

impl Bench {
    async fn open(engine: Engine, name: &str) -> Self {
        let folder = TempFolder::new(name);
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}", folder.path().join("store.db").display()),
            Engine::Postgres => testkit::postgres_database(name),
        };
        let store = Store::open(&url).await.unwrap();
        let world = TestWorld::at("2026-11-01T00:00:00Z", 7);
        let (own, twin) = (RealmId(1_000), RealmId(2_000));
        let bench = Self { store, world, own, twin, _folder: folder };
        for realm in [own, twin] {
            bench.plant(realm).await;
        }
        bench
    }

    fn grant(&self, realm: RealmId) -> Grant {
        decide_job(realm, realm.root())
    }

    /// Provider -> customer (same id in both realms) -> two departments.
    async fn plant(&self, realm: RealmId) {
        let mut tx = self.store.write(&self.grant(realm)).await.unwrap();
        orgs::insert_realm(&mut tx, realm, "Realm", 1).await.unwrap();
        for (id, parent, name) in [
            (realm.root(), None, "Provider"),
            (OrgId(5), Some(realm.root()), "Customer"),
            (OrgId(6), Some(OrgId(5)), "A"),
            (OrgId(7), Some(OrgId(5)), "B"),
        ] {
            orgs::insert(&mut tx, &org(id, parent, name)).await.unwrap();
        }
        users::insert(&mut tx, &user(UserId(9), "ann@example.com")).await.unwrap();
        tx.commit().await.unwrap();
    }
}

fn org(id: OrgId, parent: Option<OrgId>, name: &str) -> orgs::Org {
    orgs::Org {
        address: vec!["Street 1".into()],
        created_us: 5,
        ..orgs::Org::new(id, parent, "customer", name, Currency::EUR, Zone::utc())
    }
}

fn user(id: UserId, email: &str) -> users::User {
    users::User::person(id, OrgId(5), email, "Ann", String::new(), 3)
}

/// Defines a test for each engine.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $( #[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::Bench::open(store::Engine::Sqlite, stringify!($name)).await).await; } )* }
        mod postgres { $( #[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::Bench::open(store::Engine::Postgres, stringify!($name)).await).await; } )* }
    };
}

mod door;

on_both_engines!(
    tree_questions,
    names_are_unique_among_siblings,
    people_are_unique_in_their_realm_only,
    twins_never_see_each_other,
    numbers_have_no_gap_under_load,
    one_live_paper_per_month,
    concurrent_writers_lose_nothing,
    dropped_transactions_never_happened,
    charges_are_replaced_as_a_whole,
    a_job_is_claimed_once,
    agreements_have_versions,
    audit_entries_come_back,
    a_directory_knows_its_own_users,
    a_provider_knows_its_own_people,
    every_statement_prepares,
);

async fn tree_questions(bench: Bench) {
    let mut tx = bench.store.read(&bench.grant(bench.own)).await.unwrap();
    assert_eq!(orgs::place(&mut tx, OrgId(6)).await.unwrap().path, [bench.own.root(), OrgId(5), OrgId(6)]);
    let names = |orgs: Vec<orgs::Org>| orgs.into_iter().map(|org| org.name).collect::<Vec<_>>();
    assert_eq!(names(orgs::subtree(&mut tx, OrgId(5)).await.unwrap()), ["Customer", "A", "B"]);
    assert_eq!(names(orgs::children(&mut tx, OrgId(5)).await.unwrap()), ["A", "B"]);
    assert_eq!(orgs::pairs_below(&mut tx, bench.own.root()).await.unwrap().len(), 4 + 3 + 1 + 1);
    assert!(matches!(orgs::get(&mut tx, OrgId(99)).await, Err(StoreError::NotFound(_))));
    assert!(matches!(orgs::place(&mut tx, OrgId(99)).await, Err(StoreError::NotFound(_))));
}

async fn names_are_unique_among_siblings(bench: Bench) {
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    let clash = orgs::insert(&mut tx, &org(OrgId(50), Some(OrgId(5)), " a ")).await;
    assert!(matches!(clash, Err(StoreError::Conflict(_))), "{clash:?}");
    drop(tx);
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    orgs::insert(&mut tx, &org(OrgId(51), Some(OrgId(6)), "A")).await.unwrap();
}

async fn people_are_unique_in_their_realm_only(bench: Bench) {
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    let clash = users::insert(&mut tx, &user(UserId(10), " ANN@example.com")).await;
    assert!(matches!(clash, Err(StoreError::Conflict(_))));
    drop(tx);
    assert_eq!(across::users_by_email(&bench.store, "Ann@Example.com").await.unwrap().len(), 2);
}

async fn twins_never_see_each_other(bench: Bench) {
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    orgs::rename(&mut tx, OrgId(5), "Renamed", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = bench.store.read(&bench.grant(bench.twin)).await.unwrap();
    assert_eq!(orgs::get(&mut tx, OrgId(5)).await.unwrap().name, "Customer");
    assert!(orgs::get(&mut tx, bench.own.root()).await.is_err());
    let mut tx = bench.store.read(&bench.grant(RealmId(77))).await.unwrap();
    assert!(orgs::get(&mut tx, OrgId(5)).await.is_err());
    // The grant names the realm; there is no way to read with one and mean another.
    let identity =
        Identity { realm: bench.own, user: UserId(9), kind: UserKind::Human, email: String::new(), name: "Ann".into() };
    let admin = Binding::builtin(Builtin::OrganizationAdmin, OrgId(5), Propagate::Subtree);
    let actor = Actor::new(identity, vec![OrgId(5)], vec![admin]);
    let foreign = Place::open(bench.twin, vec![bench.twin.root(), OrgId(5)]);
    assert!(decide(&actor, &Ask::of(Action::OrgRead), &foreign, &Context::default()).is_err());
}

async fn numbers_have_no_gap_under_load(bench: Bench) {
    let mut tasks = Vec::new();
    for task in 0..8 {
        let (store, grant) = (bench.store.clone(), bench.grant(bench.own));
        tasks.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            for turn in 0..5 {
                let mut tx = store.write(&grant).await.unwrap();
                let number = invoices::next_number(&mut tx, grant.org(), "INV").await.unwrap();
                if (task + turn) % 3 == 0 {
                    drop(tx); // Rolled back: the number must be taken again by somebody else.
                } else {
                    tx.commit().await.unwrap();
                    taken.push(number);
                }
            }
            taken
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    assert!(!all.is_empty());
    assert_eq!(all, (1..=all.len() as i64).collect::<Vec<_>>());
}

fn paper(payer: OrgId, id: u128, amount: &str, number: Option<&str>) -> billing::Invoice {
    let party = |org| billing::Party { org, name: "X".into(), address: vec![] };
    let source = billing::LineSource {
        item_code: "s3".into(),
        description: "S3".into(),
        group: payer,
        group_name: "G".into(),
        quantity: base::QuantityNano::units(1),
        unit: "unit".into(),
        unit_price: "1".into(),
        amount: amount.parse().unwrap(),
        note: String::new(),
    };
    let kind = if number.is_some() { InvoiceKind::Invoice } else { InvoiceKind::Statement };
    let profile = billing::Profile {
        kind,
        seller: party(OrgId(5)),
        payer: party(payer),
        currency: Currency::EUR,
        zone: Zone::utc(),
        rounding: base::Rounding::HalfAwayFromZero,
    };
    let october = Period::month("2026-10", &Zone::utc()).unwrap();
    let draft = billing::draft(profile, october, vec![source], vec![], 3).unwrap();
    billing::finalise(draft, InvoiceId(id), number.map(str::to_owned), 11).unwrap()
}

async fn one_live_paper_per_month(bench: Bench) {
    for (realm, amount) in [(bench.own, "1.5"), (bench.twin, "9.99")] {
        let mut tx = bench.store.write(&bench.grant(realm)).await.unwrap();
        let invoice = paper(OrgId(6), 1, amount, Some("INV-1"));
        invoices::insert(&mut tx, &invoice, true, 1).await.unwrap();
        entries::insert(&mut tx, &ledger::entry_for_issue(&invoice).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    let second = invoices::insert(&mut tx, &paper(OrgId(6), 2, "1", Some("INV-2")), true, 1).await;
    assert!(matches!(second, Err(StoreError::Conflict(_))), "{second:?}");
    drop(tx);
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    let october = Period::month("2026-10", &Zone::utc()).unwrap().start_us;
    invoices::drop_draft(&mut tx, OrgId(6), october, InvoiceKind::Invoice).await.unwrap();
    let (listed, whole) = invoices::get(&mut tx, InvoiceId(1)).await.unwrap();
    assert_eq!((listed.total_minor.0, whole.draft.total_minor.0), (150, 150), "an issued paper is not dropped");
    let balances = entries::balances(&mut tx, OrgId(5)).await.unwrap();
    assert_eq!(balances.iter().map(|(_, _, amount)| amount.0).collect::<Vec<_>>(), [150, -150]);
    assert_eq!(invoices::to_payers_below(&mut tx, OrgId(5)).await.unwrap().len(), 1);
    let billed = invoices::billed_for_period(&mut tx, OrgId(6), october).await.unwrap();
    assert_eq!(billed, [("s3".to_owned(), OrgId(6), base::AmountPico(1_500_000_000_000))]);
}

async fn concurrent_writers_lose_nothing(bench: Bench) {
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (store, grant) = (bench.store.clone(), bench.grant(bench.own));
        tasks.push(tokio::spawn(async move {
            for _ in 0..10 {
                let mut tx = store.write(&grant).await.unwrap();
                let name = orgs::get(&mut tx, OrgId(5)).await.unwrap().name;
                let count: u32 = name.strip_prefix("Customer").unwrap().parse().unwrap_or(0);
                orgs::rename(&mut tx, OrgId(5), &format!("Customer{}", count + 1), &[]).await.unwrap();
                tx.commit().await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut tx = bench.store.read(&bench.grant(bench.own)).await.unwrap();
    assert_eq!(orgs::get(&mut tx, OrgId(5)).await.unwrap().name, "Customer80");
}

async fn dropped_transactions_never_happened(bench: Bench) {
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    orgs::rename(&mut tx, OrgId(5), "Gone", &[]).await.unwrap();
    drop(tx);
    let mut tx = bench.store.read(&bench.grant(bench.own)).await.unwrap();
    assert_eq!(orgs::get(&mut tx, OrgId(5)).await.unwrap().name, "Customer");
}

async fn charges_are_replaced_as_a_whole(bench: Bench) {
    let october = Period::month("2026-10", &Zone::utc()).unwrap();
    let run = |watermark| charges::RatingRun {
        id: base::RunId(1),
        buyer: OrgId(5),
        period: october,
        agreement_version: 1,
        watermark,
        digest: "d".into(),
        parts_json: "[]".into(),
        unrated_json: "[]".into(),
        rated_us: 1,
    };
    let charge = |item: &str, pico| pricing::Charge {
        item_code: item.into(),
        org: OrgId(6),
        quantity: base::QuantityNano(1),
        amount: base::AmountPico(pico),
    };
    for (realm, factor) in [(bench.own, 1), (bench.twin, 10)] {
        for turn in 1..=2 {
            let mut tx = bench.store.write(&bench.grant(realm)).await.unwrap();
            let big = 10_i128.pow(30) * factor * turn;
            charges::replace(&mut tx, &run(turn as i64), &[charge("a", big), charge("b", -big)][..turn as usize])
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
    }
    let mut tx = bench.store.read(&bench.grant(bench.own)).await.unwrap();
    let found = charges::of(&mut tx, OrgId(5), october.start_us).await.unwrap();
    assert_eq!(
        found.iter().map(|charge| charge.amount.0).collect::<Vec<_>>(),
        [2 * 10_i128.pow(30), -2 * 10_i128.pow(30)]
    );
    assert_eq!(charges::run_of(&mut tx, OrgId(5), october.start_us).await.unwrap().unwrap().watermark, 2);
}

async fn a_job_is_claimed_once(bench: Bench) {
    for realm in [bench.own, bench.twin] {
        let mut tx = bench.store.write(&bench.grant(realm)).await.unwrap();
        for turn in 0..10 {
            let job = jobs::Job {
                id: JobId(turn),
                org: OrgId(5),
                kind: "rate".into(),
                unique_key: format!("rate/{}", turn / 2),
                payload_json: "{}".into(),
                due_us: 100,
            };
            jobs::enqueue(&mut tx, &job).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    assert_eq!(across::claim_job(&bench.store, 99, 10).await.unwrap(), None);
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let store = bench.store.clone();
        tasks.push(tokio::spawn(async move {
            let mut claimed = Vec::new();
            // A claim can lose a race and find nothing although work is left: ask often enough.
            for _ in 0..40 {
                claimed.extend(across::claim_job(&store, 100, 1_000).await.unwrap());
            }
            claimed
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap().into_iter().map(|job| (job.realm, job.id)));
    }
    let claims = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!((claims, all.len()), (10, 10));
}

async fn agreements_have_versions(bench: Bench) {
    let book: pricing::PriceBook = serde_json::from_str(
        r#"{"currency":"EUR","items":[{"code":"a","name":"A","meter":"m","price":{"model":"per_unit","rate":"1"}}]}"#,
    )
    .unwrap();
    let agreement = |from_us| agreements::Agreement {
        id: AgreementId(1),
        seller: bench.own.root(),
        buyer: OrgId(5),
        version: 0,
        effective_from_us: from_us,
        book: book.clone(),
        created_us: 1,
        created_by: "x".into(),
    };
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    assert_eq!(agreements::insert(&mut tx, &agreement(100)).await.unwrap(), 1);
    assert_eq!(agreements::insert(&mut tx, &agreement(200)).await.unwrap(), 2);
    assert_eq!(agreements::insert(&mut tx, &agreement(200)).await.unwrap(), 3);
    for (at_us, version) in [(99, None), (100, Some(1)), (199, Some(1)), (200, Some(3)), (900, Some(3))] {
        let found = agreements::in_force(&mut tx, OrgId(5), at_us).await.unwrap();
        assert_eq!(found.map(|agreement| agreement.version), version, "{at_us}");
    }
    assert_eq!(agreements::history(&mut tx, OrgId(5)).await.unwrap().len(), 3);
}

async fn audit_entries_come_back(bench: Bench) {
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    assert_eq!(audit::newest(&mut tx).await.unwrap(), None);
    let event = audit::AuditEvent {
        seq: 1,
        at_us: bench.world.now_us(),
        actor: "x".into(),
        org: OrgId(6),
        action: "a".into(),
        target: "t".into(),
        outcome: "allow".into(),
        detail_json: "{}".into(),
        prev_hash: String::new(),
        hash: "h".into(),
        form: 2,
        path: "/".into(),
        reason: String::new(),
        context_json: "{}".into(),
    };
    audit::insert(&mut tx, &event).await.unwrap();
    assert_eq!(audit::newest(&mut tx).await.unwrap(), Some(event.clone()));
    assert_eq!(
        audit::below(&mut tx, OrgId(5), 99, &AuditFilter::default(), 10).await.unwrap(),
        std::slice::from_ref(&event)
    );
    assert_eq!(audit::below(&mut tx, OrgId(7), 99, &AuditFilter::default(), 10).await.unwrap(), []);
    assert_eq!(audit::chain(&mut tx, 0, 10).await.unwrap(), [event]);
    let holder = bindings::Holder::User(UserId(9));
    let held = bindings::Held::new(BindingId(1), holder, PolicyRef::ADMIN, OrgId(5), Propagate::Subtree);
    bindings::insert(&mut tx, &held, 1).await.unwrap();
    bindings::insert(&mut tx, &held, 1).await.unwrap();
    assert_eq!(bindings::of_user(&mut tx, UserId(9)).await.unwrap(), [held]);
    assert_eq!(users::below(&mut tx, bench.own.root(), &users::PeopleQuestion::default()).await.unwrap().len(), 0);
    let membership = memberships::Membership {
        user: UserId(9),
        org: OrgId(5),
        state: "active".into(),
        source: "local".into(),
        created_us: 1,
        created_by: String::new(),
    };
    memberships::insert(&mut tx, &membership).await.unwrap();
    assert_eq!(users::below(&mut tx, bench.own.root(), &users::PeopleQuestion::default()).await.unwrap().len(), 1);
    assert!(accounts::mappings_for(&mut tx, OrgId(6), UserId(9)).await.unwrap().is_empty());
}

/// The same ids in both realms: one directory's user changes and goes, the twin's stays as it is.
async fn a_directory_knows_its_own_users(bench: Bench) {
    let ann = scim::UserRow {
        id: UserId(9),
        account: UserId(9),
        external_id: "x".into(),
        user_name: "Ann@Example.com".into(),
        email_key: "ann@example.com".into(),
        attributes_json: "{}".into(),
        suspended: String::new(),
        created_us: 1,
        changed_us: 1,
        is_active: true,
    };
    let membership = memberships::Membership {
        user: UserId(9),
        org: OrgId(5),
        state: "active".into(),
        source: "scim".into(),
        created_us: 1,
        created_by: String::new(),
    };
    for realm in [bench.own, bench.twin] {
        let mut tx = bench.store.write(&bench.grant(realm)).await.unwrap();
        scim::put_user(&mut tx, OrgId(5), &ann).await.unwrap();
        assert_eq!(scim::user(&mut tx, OrgId(5), UserId(9)).await.unwrap(), None, "unknown without membership");
        memberships::insert(&mut tx, &membership).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    let changed = scim::UserRow { external_id: "y".into(), changed_us: 2, ..ann.clone() };
    scim::put_user(&mut tx, OrgId(5), &changed).await.unwrap();
    let found = scim::user_by_name(&mut tx, OrgId(5), "ANN@example.com").await.unwrap();
    assert_eq!(found, Some(changed.clone()));
    assert_eq!(scim::user_by_email(&mut tx, OrgId(5), " ANN@example.com").await.unwrap(), Some(changed.clone()));
    assert_eq!(scim::users_by_external_id(&mut tx, OrgId(5), "y").await.unwrap(), [changed]);
    assert_eq!(scim::user_of(&mut tx, OrgId(6), UserId(9)).await.unwrap(), None, "another organisation");
    assert_eq!(scim::knowing(&mut tx, "ANN@example.com").await.unwrap(), [OrgId(5)]);
    assert_eq!(scim::knowing(&mut tx, "").await.unwrap(), []);
    assert_eq!(scim::delete_user(&mut tx, OrgId(5), UserId(9)).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let mut tx = bench.store.read(&bench.grant(bench.twin)).await.unwrap();
    assert_eq!(scim::users(&mut tx, OrgId(5)).await.unwrap(), [ann]);
}

/// The same provider, subjects and domain in both realms: what one realm changes, the twin keeps.
async fn a_provider_knows_its_own_people(bench: Bench) {
    let idp = idps::Idp {
        id: IdpId(3),
        org: OrgId(5),
        name: "Works".into(),
        issuer: "https://login.example".into(),
        client_id: "c".into(),
        secret_sealed: "s".into(),
        settings: idps::Settings { groups_claim: "groups".into(), ..idps::Settings::default() },
        state: "active".into(),
        created_us: 1,
        set_us: 0,
    };
    let claim = domains::Claim {
        domain: "example.com".into(),
        org: OrgId(5),
        challenge: "c".into(),
        verified_us: None,
        created_us: 1,
    };
    for realm in [bench.own, bench.twin] {
        let mut tx = bench.store.write(&bench.grant(realm)).await.unwrap();
        users::insert(&mut tx, &user(UserId(8), "bob@example.com")).await.unwrap();
        idps::put(&mut tx, &idp).await.unwrap();
        idps::add_identity(&mut tx, idp.id, "ann", UserId(9), 1).await.unwrap();
        domains::insert(&mut tx, &claim).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    assert_eq!(idps::serving(&mut tx, OrgId(7)).await.unwrap(), Some(idp.clone()), "it serves what lies below");
    assert_eq!(idps::serving(&mut tx, bench.own.root()).await.unwrap(), None, "and nothing above");
    assert_eq!(idps::move_identities(&mut tx, UserId(9), UserId(8)).await.unwrap(), 1);
    assert_eq!(idps::user_of(&mut tx, idp.id, "ann").await.unwrap(), Some(UserId(8)));
    assert_eq!(idps::of_user(&mut tx, UserId(9)).await.unwrap(), []);
    assert_eq!(idps::forget_identities(&mut tx, UserId(8)).await.unwrap(), 1);
    assert_eq!(idps::users(&mut tx, idp.id).await.unwrap(), []);
    assert_eq!(domains::verify(&mut tx, "example.com", 7).await.unwrap(), 1);
    assert_eq!(users::set_break_glass(&mut tx, UserId(9), true).await.unwrap(), 1);
    assert_eq!(users::break_glass(&mut tx).await.unwrap(), [UserId(9)]);
    tx.commit().await.unwrap();
    let found = across::domain_claims(&bench.store, "example.com").await.unwrap();
    let verified = domains::Claim { verified_us: Some(7), ..claim.clone() };
    assert_eq!(found, [(bench.own, verified)], "only what is verified");
    let mut tx = bench.store.read(&bench.grant(bench.twin)).await.unwrap();
    assert_eq!(idps::user_of(&mut tx, idp.id, "ann").await.unwrap(), Some(UserId(9)));
    assert_eq!(domains::get(&mut tx, "example.com").await.unwrap(), Some(claim));
    assert_eq!(users::break_glass(&mut tx).await.unwrap(), []);
}

/// Reads every literal inside `scoped!` and `across!` from the source and prepares it.
async fn every_statement_prepares(bench: Bench) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for statement in statements_of(&text) {
            count += 1;
            bench
                .store
                .prepare(&statement)
                .await
                .unwrap_or_else(|error| panic!("{}: {error}\n{statement}", path.display()));
        }
    }
    assert!(count > 60, "only {count} statements were found");
}

fn statements_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, quotes) in [("scoped!(", 1), ("across!(", 3)] {
        for (start, _) in text.match_indices(name) {
            let mut parts = text[start..].split('"');
            let statement = parts.nth(quotes).unwrap_or_default();
            if statement.starts_with(|first: char| first.is_ascii_lowercase()) && statement.contains(' ') {
                found.push(statement.replace("\\\"", "\""));
            }
        }
    }
    found.retain(|sql| ["select", "insert", "update", "delete", "with"].iter().any(|verb| sql.starts_with(verb)));
    found
}

/// On PostgreSQL the program is neither owner nor superuser, and every table with a realm has row
/// security that holds for its owner too.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_locks_every_table() {
    let bench = Bench::open(Engine::Postgres, "locks").await;
    let role = bench.store.inspect("select current_user || ' ' || (select rolsuper or rolbypassrls from pg_roles where rolname = current_user)").await.unwrap();
    assert_eq!(role, ["meterhouse_app false"]);
    let open = bench.store.inspect(
        "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'realm_id'
          where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
            and not (c.relrowsecurity and c.relforcerowsecurity
                     and exists (select 1 from pg_policies p where p.tablename = c.relname))").await.unwrap();
    assert_eq!(open, Vec::<String>::new());
    let owned = bench
        .store
        .inspect("select tablename::text from pg_tables where schemaname = 'public' and tableowner = 'meterhouse_app'")
        .await
        .unwrap();
    assert_eq!(owned, Vec::<String>::new());
    let unset = bench.store.inspect("select count(*)::text from org").await.unwrap();
    assert_eq!(unset, ["0"], "without a realm nothing is seen");
}
