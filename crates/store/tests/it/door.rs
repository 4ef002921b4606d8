//! What the door remembers, and the keys that old databases get, on both engines.

use super::{Bench, Engine, TempFolder, org};
use access::decide_job;
use base::{OrgId, RealmId, UserId};
use store::sign_in_trouble::{self as troubles, Kind};
use store::{Store, across, known_addresses, orgs, users};

on_both_engines!(old_addresses_are_forgotten, troubles_are_told_once, names_that_look_alike_clash);

const ANN: UserId = UserId(9);

async fn old_addresses_are_forgotten(bench: Bench) {
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    for no in 0..60 {
        known_addresses::touch(&mut tx, ANN, &format!("10.0.0.{no}"), no).await.unwrap();
    }
    assert!(!known_addresses::is_known(&mut tx, ANN, "10.0.0.9", 0).await.unwrap(), "fifty are kept");
    assert!(known_addresses::is_known(&mut tx, ANN, "10.0.0.59", 0).await.unwrap());
    assert!(!known_addresses::is_known(&mut tx, ANN, "10.0.0.59", 60).await.unwrap(), "too long ago");
    tx.commit().await.unwrap();
    let mut twin = bench.store.write(&bench.grant(bench.twin)).await.unwrap();
    assert!(!known_addresses::has_any(&mut twin, ANN).await.unwrap(), "the twin knows none");
    drop(twin);
    across::expire(&bench.store, across::KNOWN_ADDRESS_US + 58, 0).await.unwrap();
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    assert!(!known_addresses::is_known(&mut tx, ANN, "10.0.0.58", 0).await.unwrap());
    assert!(known_addresses::is_known(&mut tx, ANN, "10.0.0.59", 0).await.unwrap());
    users::deprovision(&mut tx, ANN, 70).await.unwrap();
    assert!(!known_addresses::has_any(&mut tx, ANN).await.unwrap(), "an account that was shut has none");
}

async fn troubles_are_told_once(bench: Bench) {
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    for kind in [Kind::Password, Kind::Password, Kind::Delay] {
        troubles::add(&mut tx, (ANN, "10.0.0.1"), kind, (0, 7)).await.unwrap();
    }
    assert!(troubles::is_delayed(&mut tx, ANN, 0).await.unwrap());
    let rows = troubles::unnoted(&mut tx, 0, 10).await.unwrap();
    assert_eq!((rows.len(), rows[0].passwords, rows[0].codes, rows[0].delays), (1, 2, 0, 1));
    assert_eq!(troubles::set_noted(&mut tx, &rows[0]).await.unwrap(), 1);
    assert_eq!(troubles::set_noted(&mut tx, &rows[0]).await.unwrap(), 0, "another process was faster");
    assert_eq!(troubles::answer(&mut tx, ANN, 0).await.unwrap(), rows);
    assert_eq!(troubles::answer(&mut tx, ANN, 0).await.unwrap(), []);
    assert_eq!(troubles::of_user(&mut tx, ANN, 0).await.unwrap(), rows, "they are still shown to Ann");
    tx.commit().await.unwrap();
    let mut twin = bench.store.write(&bench.grant(bench.twin)).await.unwrap();
    assert_eq!(troubles::of_user(&mut twin, ANN, 0).await.unwrap(), []);
}

async fn names_that_look_alike_clash(bench: Bench) {
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    orgs::insert(&mut tx, &org(OrgId(8), Some(OrgId(5)), "Acme")).await.unwrap();
    for name in ["\u{ff21}\u{ff23}\u{ff2d}\u{ff25}", "\u{410}cme"] {
        assert!(orgs::sibling_has(&mut tx, OrgId(5), name, "x").await.unwrap().0, "{name}");
    }
    tx.commit().await.unwrap();
    let mut tx = bench.store.write(&bench.grant(bench.own)).await.unwrap();
    assert!(orgs::insert(&mut tx, &org(OrgId(10), Some(OrgId(5)), "\u{410}cme")).await.is_err());
}

/// A database of before keys were computed by Unicode's tables, with two accounts that are one address by them.
#[tokio::test(flavor = "multi_thread")]
async fn old_databases_get_new_keys() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let folder = TempFolder::new("rekey");
        let file = folder.path().join("store.db");
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}", file.display()),
            Engine::Postgres => testkit::postgres_database("rekey"),
        };
        let realm = RealmId(1_000);
        let grant = decide_job(realm, realm.root());
        let store = Store::open(&url).await.unwrap();
        let mut tx = store.write(&grant).await.unwrap();
        orgs::insert_realm(&mut tx, realm, "R", 1).await.unwrap();
        orgs::insert(&mut tx, &org(realm.root(), None, "Provider")).await.unwrap();
        for (id, name) in [(5, "Acme"), (6, "Other")] {
            orgs::insert(&mut tx, &org(OrgId(id), Some(realm.root()), name)).await.unwrap();
        }
        for (id, email) in [(9, "idn@ex\u{e4}mple.com"), (10, "idn@elsewhere.example")] {
            let user = users::User::person(UserId(id), OrgId(5), email, "Ann", "x".into(), i64::try_from(id).unwrap());
            users::insert(&mut tx, &user).await.unwrap();
        }
        tx.commit().await.unwrap();
        store.close().await;
        let old = format!(
            "update user_account set email_key = 'idn@ex\u{e4}mple.com' where user_id = '{}';
             update user_account set email = 'idn@xn--exmple-cua.com', email_key = 'idn@xn--exmple-cua.com' where user_id = '{}';
             update org set name = '\u{410}cme', name_key = '\u{430}cme' where org_id = '{}';
             drop table known_address; drop table sign_in_trouble;
             drop index org_skeleton; alter table org drop column name_skeleton;
             alter table idp drop column set_us; alter table idp_identity drop column seen_us;
             drop index audit_event_actor; drop index audit_event_target;
             delete from schema_migration where version = 5",
            UserId(9), UserId(10), OrgId(6)
        );
        match engine {
            Engine::Sqlite => {
                let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2])";
                let python = std::env::var("METERHOUSE_TEST_PYTHON").expect("dev/test names a Python");
                let done = std::process::Command::new(python).args(["-c", script]).arg(&file).arg(&old).status();
                assert!(done.expect("Python runs").success());
            }
            Engine::Postgres => {
                testkit::run_psql(&url, &format!("set meterhouse.realm_id = '*'; {old}"));
            }
        }
        let store = Store::open(&url).await.unwrap();
        let mut tx = store.read(&grant).await.unwrap();
        let elder = users::by_email(&mut tx, "IDN@ex\u{e4}mple.com").await.unwrap().unwrap();
        assert_eq!(elder.id, UserId(9), "the elder has the address");
        assert_eq!(users::get(&mut tx, UserId(10)).await.unwrap().email, "idn@xn--exmple-cua.com", "nobody is lost");
        let (is_taken, _) = orgs::sibling_has(&mut tx, realm.root(), "ACME", "x").await.unwrap();
        assert!(is_taken);
        assert_eq!(orgs::get(&mut tx, OrgId(6)).await.unwrap().name, "\u{410}cme", "nor any organisation");
        drop(tx);
        assert_eq!(across::users_by_email(&store, "idn@EX\u{c4}MPLE.com").await.unwrap().len(), 1);
    }
}
