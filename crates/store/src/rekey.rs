//! Keys that SQL cannot compute: addresses and names by Unicode's tables. All are computed anew by the migrations that
//! ask for it, in their transaction, on both engines.
//!
//! Where two rows get one key, the row that is more in use has it; the other one keeps a key of its own and is named in
//! the log. Nothing is merged: whether two accounts are one person is for people to say.

use crate::sql::StoreError;
use base::text::{email_key, skeleton};
use sqlx::{Any, Row as _, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// A row with a key that is unique within `within`.
struct Keyed {
    realm: String,
    within: String,
    id: String,
    now: String,
    wanted: String,
}

/// The keys that change, and whether each had to make way for another row. The first row that wants a key gets it.
fn plan(rows: &[Keyed]) -> Vec<(&Keyed, String, bool)> {
    let mut taken: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
    let mut found = Vec::new();
    for row in rows {
        let makes_way = !taken.insert((&row.realm, &row.within, &row.wanted));
        let key = if makes_way { format!("{}#{}", row.wanted, row.id) } else { row.wanted.clone() };
        if key != row.now {
            found.push((row, key, makes_way));
        }
    }
    found
}

/// Computes all keys anew.
pub(crate) async fn all(tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
    addresses_of_accounts(tx).await?;
    let invitations = "select realm_id, invitation_id, email, email_key from invitation";
    let set = "update invitation set email_key = $3 where realm_id = $1 and invitation_id = $2";
    for (realm, id, email, now) in four(tx, invitations).await? {
        set_if_other(tx, set, (&realm, &id), &now, email_key(&email)).await?;
    }
    // A directory's row keeps nothing but the key. It is found by its resource id.
    let provisioned = "select realm_id, resource_id, email_key, org_id from scim_resource where email_key <> ''";
    let set = "update scim_resource set email_key = $3 where realm_id = $1 and resource_id = $2";
    for (realm, id, now, _) in four(tx, provisioned).await? {
        set_if_other(tx, set, (&realm, &id), &now, email_key(&now)).await?;
    }
    names_of_organisations(tx).await
}

/// Accounts that can sign in come first, then the oldest.
async fn addresses_of_accounts(tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
    let sql = "select realm_id, user_id, email, email_key
                 from user_account
                where email <> ''
                order by realm_id, case when state = 'active' and password_hash <> '' then 0 else 1 end, created_us, user_id";
    let rows: Vec<Keyed> = four(tx, sql)
        .await?
        .into_iter()
        .map(|(realm, id, email, now)| Keyed { realm, within: String::new(), id, now, wanted: email_key(&email) })
        .collect();
    let set = "update user_account set email_key = $3 where realm_id = $1 and user_id = $2";
    for (row, _, makes_way) in two_steps(tx, set, &rows).await? {
        if makes_way {
            let (realm, user) = (&row.realm, &row.id);
            tracing::error!(
                realm,
                user,
                "two accounts have one address: this one cannot sign in by it; shut one of them"
            );
        }
    }
    Ok(())
}

async fn names_of_organisations(tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
    let parents: BTreeMap<(String, String), String> =
        four(tx, "select realm_id, org_id, coalesce(parent_id, '') as parent_id, state from org")
            .await?
            .into_iter()
            .filter(|(_, _, _, state)| state != "deleted")
            .map(|(realm, id, parent, _)| ((realm, id), parent))
            .collect();
    let sql = "select realm_id, org_id, name, name_skeleton from org order by realm_id, created_us, org_id";
    let rows: Vec<Keyed> = four(tx, sql)
        .await?
        .into_iter()
        .map(|(realm, id, name, now)| match parents.get(&(realm.clone(), id.clone())) {
            Some(parent) => Keyed { realm, within: parent.clone(), wanted: skeleton(&name), id, now },
            // The name of one that is gone is free.
            None => Keyed { realm, within: "gone".to_owned(), wanted: id.clone(), id, now },
        })
        .collect();
    let set = "update org set name_skeleton = $3 where realm_id = $1 and org_id = $2";
    for (row, _, makes_way) in two_steps(tx, set, &rows).await? {
        if makes_way {
            let (realm, org) = (&row.realm, &row.id);
            tracing::warn!(
                realm,
                org,
                "a sibling's name looks the same as that of this organisation; rename one of them"
            );
        }
    }
    Ok(())
}

/// First keys that nobody else can have, then the right ones: no row is in the way of another one in between.
async fn two_steps<'a>(
    tx: &mut Transaction<'static, Any>,
    set: &'static str,
    rows: &'a [Keyed],
) -> Result<Vec<(&'a Keyed, String, bool)>, StoreError> {
    let changes = plan(rows);
    for (row, ..) in &changes {
        put(tx, set, (&row.realm, &row.id), format!("#{}", row.id)).await?;
    }
    for (row, key, _) in &changes {
        put(tx, set, (&row.realm, &row.id), key.clone()).await?;
    }
    Ok(changes)
}

async fn set_if_other(
    tx: &mut Transaction<'static, Any>,
    set: &'static str,
    row: (&str, &str),
    now: &str,
    wanted: String,
) -> Result<(), StoreError> {
    if wanted == now { Ok(()) } else { put(tx, set, row, wanted).await }
}

async fn put(
    tx: &mut Transaction<'static, Any>,
    set: &'static str,
    (realm, id): (&str, &str),
    key: String,
) -> Result<(), StoreError> {
    let query = sqlx::query(set).bind(realm.to_owned()).bind(id.to_owned()).bind(key);
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Rows of four texts.
async fn four(
    tx: &mut Transaction<'static, Any>,
    sql: &'static str,
) -> Result<Vec<(String, String, String, String)>, StoreError> {
    let rows = sqlx::query(sql).fetch_all(&mut **tx).await?;
    let read = |row: sqlx::any::AnyRow| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
    rows.into_iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(StoreError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(within: &str, id: &str, now: &str, wanted: &str) -> Keyed {
        let own = str::to_owned;
        Keyed { realm: own("rlm_1"), within: own(within), id: own(id), now: own(now), wanted: own(wanted) }
    }

    fn check(rows: &[Keyed], want: &[(&str, &str, bool)]) {
        let found = plan(rows);
        let found: Vec<_> = found.iter().map(|(row, key, makes_way)| (&*row.id, &**key, *makes_way)).collect();
        assert_eq!(found, want);
    }

    #[test]
    fn the_first_gets_the_key_and_nobody_is_lost() {
        check(&[row("", "a", "x", "x"), row("", "b", "y", "y")], &[]);
        check(&[row("", "a", "X", "x"), row("", "b", "x", "x")], &[("a", "x", false), ("b", "x#b", true)]);
        check(&[row("p", "a", "", "x"), row("q", "b", "", "x")], &[("a", "x", false), ("b", "x", false)]);
    }

    #[test]
    fn a_second_run_changes_nothing() {
        check(&[row("", "a", "x", "x"), row("", "b", "x#b", "x")], &[]);
    }
}
