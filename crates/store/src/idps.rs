//! Identity providers, and whom they know.

use crate::sql::{Row, StoreError, Tx, params, scoped, to_json};
use base::{GroupId, IdpId, OrgId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is set for a provider besides its address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Name of the claim with groups, or a path with dots; empty: groups are not looked at.
    pub groups_claim: String,
    /// Value of the claim to groups here.
    pub group_map: BTreeMap<String, Vec<GroupId>>,
    /// Groups that everybody gets.
    pub default_groups: Vec<GroupId>,
    /// Whether group memberships that came by sign-in go when the provider no longer names them.
    pub authoritative: bool,
    /// Whether its word counts as a second factor.
    pub trusted_for_mfa: bool,
    /// Values of `acr` that mean two factors, besides what `amr` says.
    pub mfa_contexts: Vec<String>,
    /// Whether those it serves may sign in with nothing else.
    pub enforced: bool,
    /// Whether an address of a domain that was proven counts as checked where it does not say (Entra ID never says).
    pub vouches_for_domains: bool,
}

/// An identity provider of an organisation. It serves everybody below who has none nearer by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idp {
    /// Its id.
    pub id: IdpId,
    /// Whose.
    pub org: OrgId,
    /// Name as shown on the sign-in page.
    pub name: String,
    /// Its issuer.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there, sealed.
    pub secret_sealed: String,
    /// The rest.
    pub settings: Settings,
    /// `active` or `disabled`.
    pub state: String,
    /// When it was made.
    pub created_us: i64,
    /// Since when it is asked as it is asked now: issuer, client and secret are those of that time.
    pub set_us: i64,
}

fn from_row(row: &Row) -> Result<Idp, StoreError> {
    Ok(Idp {
        id: row.parsed("idp_id")?,
        org: row.parsed("org_id")?,
        name: row.text("name")?,
        issuer: row.text("issuer")?,
        client_id: row.text("client_id")?,
        secret_sealed: row.text("secret_sealed")?,
        settings: row.json("settings_json")?,
        state: row.text("state")?,
        created_us: row.int("created_us")?,
        set_us: row.int("set_us")?,
    })
}

/// Adds a provider, or changes the one that the organisation has.
pub async fn put(tx: &mut Tx, idp: &Idp) -> Result<(), StoreError> {
    crate::watch::provider(tx, idp.id).await?;
    let sql = scoped!(
        "insert into idp (realm_id, idp_id, org_id, name, issuer, client_id, secret_sealed, settings_json, state, created_us,
                          set_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (realm_id, idp_id) do update
            set name = $4, issuer = $5, client_id = $6, secret_sealed = $7, settings_json = $8, state = $9, set_us = $11"
    );
    let values = params![
        idp.id,
        idp.org,
        idp.name.as_str(),
        idp.issuer.as_str(),
        idp.client_id.as_str(),
        idp.secret_sealed.as_str(),
        to_json(&idp.settings),
        idp.state.as_str(),
        idp.created_us,
        idp.set_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// One provider.
pub async fn get(tx: &mut Tx, idp: IdpId) -> Result<Idp, StoreError> {
    let sql = scoped!(
        "select idp_id, org_id, name, issuer, client_id, secret_sealed, settings_json, state, created_us, set_us
           from idp
          where realm_id = $1 and idp_id = $2"
    );
    tx.fetch_one("identity provider", sql, params![idp], from_row).await
}

/// The provider that an organisation has itself.
pub async fn at_org(tx: &mut Tx, org: OrgId) -> Result<Option<Idp>, StoreError> {
    let sql = scoped!(
        "select idp_id, org_id, name, issuer, client_id, secret_sealed, settings_json, state, created_us, set_us
           from idp
          where realm_id = $1 and org_id = $2"
    );
    tx.fetch_optional(sql, params![org], from_row).await
}

/// The provider that serves an organisation: its own, or the nearest above. One that is disabled still hides
/// those above it: whoever switched it off did not ask for another one.
pub async fn serving(tx: &mut Tx, org: OrgId) -> Result<Option<Idp>, StoreError> {
    let sql = scoped!(
        "select p.idp_id, p.org_id, p.name, p.issuer, p.client_id, p.secret_sealed, p.settings_json, p.state, p.created_us, p.set_us
           from org_above a
           join idp p on p.realm_id = a.realm_id and p.org_id = a.ancestor_id
          where a.realm_id = $1 and a.org_id = $2
          order by a.depth
          limit 1"
    );
    tx.fetch_optional(sql, params![org], from_row).await
}

/// Removes a provider with whom it knows.
pub async fn delete(tx: &mut Tx, idp: IdpId) -> Result<u64, StoreError> {
    crate::watch::provider(tx, idp).await?;
    let identities = scoped!("delete from idp_identity where realm_id = $1 and idp_id = $2");
    tx.execute(identities, params![idp]).await?;
    let sql = scoped!("delete from idp where realm_id = $1 and idp_id = $2");
    tx.execute(sql, params![idp]).await
}

/// Whom a provider means by a subject.
pub async fn user_of(tx: &mut Tx, idp: IdpId, subject: &str) -> Result<Option<UserId>, StoreError> {
    let sql = scoped!(
        "select user_id
           from idp_identity
          where realm_id = $1 and idp_id = $2 and subject = $3"
    );
    tx.fetch_optional(sql, params![idp, subject], |row| row.parsed("user_id")).await
}

/// Notes that a provider let somebody in.
pub async fn touch_identity(tx: &mut Tx, idp: IdpId, subject: &str, now_us: i64) -> Result<u64, StoreError> {
    let sql = scoped!("update idp_identity set seen_us = $4 where realm_id = $1 and idp_id = $2 and subject = $3");
    tx.execute(sql, params![idp, subject, now_us]).await
}

/// Whom a provider let in since an instant.
pub async fn let_in_since(tx: &mut Tx, idp: IdpId, since_us: i64) -> Result<Vec<UserId>, StoreError> {
    let sql = scoped!(
        "select user_id
           from idp_identity
          where realm_id = $1 and idp_id = $2 and seen_us >= $3
          order by user_id"
    );
    tx.fetch_all(sql, params![idp, since_us], |row| row.parsed("user_id")).await
}

/// Notes whom a provider means by a subject.
pub async fn add_identity(
    tx: &mut Tx,
    idp: IdpId,
    subject: &str,
    user: UserId,
    created_us: i64,
) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into idp_identity (realm_id, idp_id, subject, user_id, created_us)
         values ($1, $2, $3, $4, $5)"
    );
    tx.execute(sql, params![idp, subject, user, created_us]).await?;
    Ok(())
}

/// Makes whoever a provider calls so another account.
pub async fn move_identities(tx: &mut Tx, from: UserId, to: UserId) -> Result<u64, StoreError> {
    crate::watch::user(tx, from).await?;
    let sql = scoped!("update idp_identity set user_id = $3 where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![from, to]).await
}

/// Forgets what providers call an account.
pub async fn forget_identities(tx: &mut Tx, user: UserId) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    tx.execute(scoped!("delete from idp_identity where realm_id = $1 and user_id = $2"), params![user]).await
}

/// The people that a provider knows.
pub async fn users(tx: &mut Tx, idp: IdpId) -> Result<Vec<UserId>, StoreError> {
    let sql = scoped!(
        "select distinct user_id
           from idp_identity
          where realm_id = $1 and idp_id = $2
          order by user_id"
    );
    tx.fetch_all(sql, params![idp], |row| row.parsed("user_id")).await
}

/// The providers that know a user.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<Idp>, StoreError> {
    let sql = scoped!(
        "select distinct p.idp_id, p.org_id, p.name, p.issuer, p.client_id, p.secret_sealed, p.settings_json, p.state,
                p.created_us, p.set_us
           from idp_identity i
           join idp p on p.realm_id = i.realm_id and p.idp_id = i.idp_id
          where i.realm_id = $1 and i.user_id = $2
          order by p.created_us, p.idp_id"
    );
    tx.fetch_all(sql, params![user], from_row).await
}
