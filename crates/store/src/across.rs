//! The only statements that cross realms, each with its reason.

use crate::domains::Claim;
use crate::factors::Factor;
use crate::keys::AccessKey;
use crate::open::Store;
use crate::sql::{StoreError, across, params};
use crate::tokens::Token;
use crate::users::User;
use base::{JobId, OrgId, RealmId};

/// An address is known for ninety days after a sign-in.
pub const KNOWN_ADDRESS_US: i64 = 90 * 86_400_000_000;
/// What went wrong at the door is shown to the account's owner for two days; after that it stands in the audit log only.
const TROUBLE_US: i64 = 2 * 86_400_000_000;

/// All realms, oldest first.
pub async fn realms(store: &Store) -> Result<Vec<(RealmId, String)>, StoreError> {
    let mut tx = store.look_across().await?;
    let sql = across!("timers visit every realm", "select realm_id, name from realm order by created_us, realm_id");
    let found = tx.across(sql, params![], |row| Ok((row.parsed("realm_id")?, row.text("name")?))).await?;
    tx.commit().await?;
    Ok(found)
}

/// The people with this address, one for each realm that has him: sign-in does not know the realm yet.
pub async fn users_by_email(store: &Store, email: &str) -> Result<Vec<(RealmId, User)>, StoreError> {
    let mut tx = store.look_across().await?;
    let sql = across!(
        "sign-in knows an address, not a realm",
        "select realm_id, user_id, home_org_id, email, display_name, password_hash, state, created_us, kind,
                description
           from user_account
          where email_key = $1
          order by created_us, realm_id"
    );
    let key = crate::users::email_key(email);
    let found = tx.across(sql, params![key], |row| Ok((row.parsed("realm_id")?, crate::users::from_row(row)?))).await?;
    tx.commit().await?;
    Ok(found)
}

/// The realm and row of an access key: an S3 request names nothing but the key.
pub async fn access_key(store: &Store, key_id: &str) -> Result<Option<(RealmId, AccessKey)>, StoreError> {
    let mut tx = store.look_across().await?;
    let sql = across!(
        "an S3 request names a key, not a realm",
        "select realm_id, key_id, org_id, user_id, name, secret_sealed, created_us, revoked_us
           from access_key
          where key_id = $1"
    );
    let found =
        tx.across(sql, params![key_id], |row| Ok((row.parsed("realm_id")?, crate::keys::from_row(row)?))).await?;
    tx.commit().await?;
    Ok(found.into_iter().next())
}

/// The realm and row of an API token: a request names nothing but its text.
pub async fn token(store: &Store, secret_hash: &str) -> Result<Option<(RealmId, Token)>, StoreError> {
    let mut tx = store.look_across().await?;
    let sql = across!(
        "an API request names a token, not a realm",
        "select realm_id, token_id, user_id, secret_hash, name, created_us, expires_us, revoked_us, kind, scope_org_id,
                actions_json, prefix, proved_us, last_used_us, revoke_reason, created_by
           from api_token
          where secret_hash = $1"
    );
    let found = tx
        .across(sql, params![secret_hash], |row| Ok((row.parsed("realm_id")?, crate::tokens::from_row(row)?)))
        .await?;
    tx.commit().await?;
    Ok(found.into_iter().next())
}

/// The realm and row of a passkey: who signs in with one names nothing else.
pub async fn passkeys(store: &Store, credential_hash: &str) -> Result<Vec<(RealmId, Factor)>, StoreError> {
    let mut tx = store.look_across().await?;
    let sql = across!(
        "a sign-in by passkey names a credential, not a realm",
        "select realm_id, factor_id, user_id, kind, name, secret_sealed, public_json, credential_hash, confirmed, counter,
                created_us, last_used_us
           from second_factor
          where credential_hash = $1 and kind = 'passkey' and confirmed = 1
          order by created_us, realm_id"
    );
    let found = tx
        .across(sql, params![credential_hash], |row| Ok((row.parsed("realm_id")?, crate::factors::from_row(row)?)))
        .await?;
    tx.commit().await?;
    Ok(found)
}

/// The organisations that have shown that a domain is theirs, the oldest claim first.
pub async fn domain_claims(store: &Store, domain: &str) -> Result<Vec<(RealmId, Claim)>, StoreError> {
    let mut tx = store.look_across().await?;
    let sql = across!(
        "sign-in knows an address, not a realm",
        "select realm_id, domain, org_id, challenge, verified_us, created_us
           from domain_claim
          where domain = $1 and verified_us is not null
          order by verified_us, realm_id"
    );
    let found =
        tx.across(sql, params![domain], |row| Ok((row.parsed("realm_id")?, crate::domains::from_row(row)?))).await?;
    tx.commit().await?;
    Ok(found)
}

/// Forgets sessions that ended and answers kept since before `answers_before_us`.
pub async fn expire(store: &Store, now_us: i64, answers_before_us: i64) -> Result<(), StoreError> {
    let mut tx = store.begin_across().await?;
    let sessions = across!("what has ended is swept in every realm", "delete from session where expires_us <= $1");
    tx.across(sessions, params![now_us], |_| Ok(())).await?;
    let attempts = across!("what has ended is swept in every realm", "delete from attempt where expires_us <= $1");
    tx.across(attempts, params![now_us], |_| Ok(())).await?;
    let answers = across!("what has ended is swept in every realm", "delete from idempotency where created_us <= $1");
    tx.across(answers, params![answers_before_us], |_| Ok(())).await?;
    let addresses = across!("what has ended is swept in every realm", "delete from known_address where seen_us <= $1");
    tx.across(addresses, params![now_us - KNOWN_ADDRESS_US], |_| Ok(())).await?;
    let troubles = across!(
        "what has ended is swept in every realm",
        "delete from sign_in_trouble where noted = 1 and hour_us <= $1"
    );
    tx.across(troubles, params![now_us - TROUBLE_US], |_| Ok(())).await?;
    tx.commit().await
}

/// Writes that the database takes something.
pub async fn heartbeat(store: &Store, now_us: i64) -> Result<(), StoreError> {
    let mut tx = store.begin_across().await?;
    let sql = across!("the installation has one heart", "update heartbeat set at_us = $1 where one = 1");
    tx.across(sql, params![now_us], |_| Ok(())).await?;
    tx.commit().await
}

/// The newest batch that an issued or drafted document was made from, in any realm.
pub async fn newest_watermark(store: &Store) -> Result<i64, StoreError> {
    let mut tx = store.begin_across().await?;
    let sql = across!(
        "the lake serves every realm",
        "select cast(coalesce(max(watermark), 0) as bigint) as watermark from invoice"
    );
    let found = tx.across(sql, params![], |row| row.int("watermark")).await?;
    tx.commit().await?;
    Ok(found.into_iter().next().unwrap_or(0))
}

/// A job that this process now holds until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Its realm: the grant of the work is made from it.
    pub realm: RealmId,
    /// Its id.
    pub id: JobId,
    /// For which organisation.
    pub org: OrgId,
    /// What.
    pub kind: String,
    /// Details.
    pub payload_json: String,
    /// How often it was tried before.
    pub attempts: i64,
}

/// Claims the job that is due longest, if any. Two claimers never get the same one.
pub async fn claim_job(store: &Store, now_us: i64, lease_us: i64) -> Result<Option<Claimed>, StoreError> {
    let mut tx = store.begin_across().await?;
    let sql = across!(
        "workers serve every realm",
        "update job
            set lease_until_us = $2, attempts = attempts + 1
          where (realm_id, job_id) in (select realm_id, job_id
                                         from job
                                        where state = 'waiting' and due_us <= $1 and lease_until_us <= $1
                                        order by due_us, job_id
                                        limit 1)
            and lease_until_us <= $1
          returning realm_id, job_id, org_id, kind, payload_json, attempts"
    );
    let claimed = tx
        .across(sql, params![now_us, now_us + lease_us], |row| {
            Ok(Claimed {
                realm: row.parsed("realm_id")?,
                id: row.parsed("job_id")?,
                org: row.parsed("org_id")?,
                kind: row.text("kind")?,
                payload_json: row.text("payload_json")?,
                attempts: row.int("attempts")? - 1,
            })
        })
        .await?;
    tx.commit().await?;
    Ok(claimed.into_iter().next())
}
