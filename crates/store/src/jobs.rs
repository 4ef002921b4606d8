//! Background work, put down inside the business transaction.

use crate::sql::{StoreError, Tx, params, scoped};
use base::{JobId, OrgId};

/// A unit of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// For which organisation.
    pub org: OrgId,
    /// What.
    pub kind: String,
    /// Work that must not stand twice in the queue shares this.
    pub unique_key: String,
    /// Details.
    pub payload_json: String,
    /// Not before.
    pub due_us: i64,
}

/// Puts a job down; the same work is not queued twice while it waits, and begins anew where it was given up.
pub async fn enqueue(tx: &mut Tx, job: &Job) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into job (realm_id, job_id, org_id, kind, unique_key, payload_json, state, due_us, lease_until_us,
                          attempts, last_error)
         values ($1, $2, $3, $4, $5, $6, 'waiting', $7, 0, 0, '')
         on conflict (realm_id, unique_key) do update
            set state = 'waiting', due_us = excluded.due_us, attempts = 0
          where job.state = 'failed'"
    );
    let values =
        params![job.id, job.org, job.kind.as_str(), job.unique_key.as_str(), job.payload_json.as_str(), job.due_us,];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Puts a job down for now, or has the one that waits done now.
pub async fn hasten(tx: &mut Tx, job: &Job) -> Result<(), StoreError> {
    enqueue(tx, job).await?;
    let sql = scoped!(
        "update job
            set due_us = $3
          where realm_id = $1 and unique_key = $2 and state = 'waiting' and due_us > $3"
    );
    tx.execute(sql, params![job.unique_key.as_str(), job.due_us]).await?;
    Ok(())
}

/// Holds claimed work for longer, as long as somebody works on it.
pub async fn renew(tx: &mut Tx, job: JobId, lease_until_us: i64) -> Result<(), StoreError> {
    let sql = scoped!("update job set lease_until_us = $3 where realm_id = $1 and job_id = $2");
    tx.execute(sql, params![job, lease_until_us]).await?;
    Ok(())
}

/// Removes finished work.
pub async fn finish(tx: &mut Tx, job: JobId) -> Result<(), StoreError> {
    let sql = scoped!("delete from job where realm_id = $1 and job_id = $2");
    tx.execute(sql, params![job]).await?;
    Ok(())
}

/// Puts failed work back with its error; after ten tries it stays as `failed` for a person.
pub async fn fail(tx: &mut Tx, job: JobId, error: &str, due_us: i64) -> Result<(), StoreError> {
    let sql = scoped!(
        "update job
            set state = case when attempts >= 10 then 'failed' else 'waiting' end,
                last_error = $3, due_us = $4, lease_until_us = 0
          where realm_id = $1 and job_id = $2"
    );
    tx.execute(sql, params![job, error, due_us]).await?;
    Ok(())
}
