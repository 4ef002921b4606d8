//! The inbox as a table of PostgreSQL: one row for each group.

use crate::error::LakeError;
use crate::inbox::Group;
use sqlx::{AnyPool, Row as _};

/// The reading side.
pub(crate) struct Table {
    pool: AnyPool,
    next_seq: i64,
}

/// The writing side.
pub(crate) struct Writer {
    pool: AnyPool,
    /// Number of the next group; none after an error, which may have hidden a commit.
    next_seq: Option<i64>,
}

impl Table {
    /// Opens the table, drops what batches hold; gives the bytes of what is left too.
    pub(crate) async fn open(pool: AnyPool, sealed: i64) -> Result<(Self, u64), LakeError> {
        // A crash between a batch's commit and the removal of its groups leaves groups that are sealed already.
        sqlx::query("delete from inbox where seq <= $1").bind(sealed).execute(&pool).await?;
        let next_seq = next_seq(&pool).await?;
        let sql = "select cast(coalesce(sum(length(body)), 0) as bigint) from inbox";
        let bytes: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await?;
        Ok((Self { pool, next_seq }, bytes.unsigned_abs()))
    }

    /// The writing side: one for each table.
    pub(crate) fn writer(&self) -> Writer {
        Writer { pool: self.pool.clone(), next_seq: Some(self.next_seq) }
    }

    /// The number of the newest group; none has a higher one.
    pub(crate) async fn newest(&self) -> Result<i64, LakeError> {
        let sql = "select cast(coalesce(max(seq), 0) as bigint) from inbox";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }

    /// The oldest groups, together at least one and at most about `events_max` events.
    pub(crate) async fn oldest(&self, events_max: u64, bytes_max: u64) -> Result<Vec<Group>, LakeError> {
        let mut groups = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        let mut after = 0_i64;
        loop {
            let page = sqlx::query("select seq, events, body from inbox where seq > $1 order by seq limit 64")
                .bind(after)
                .fetch_all(&self.pool)
                .await?;
            if page.is_empty() {
                return Ok(groups);
            }
            for row in page {
                let group =
                    Group { seq: row.try_get("seq")?, events: row.try_get("events")?, body: row.try_get("body")? };
                after = group.seq;
                events += group.events.unsigned_abs();
                bytes += group.body.len() as u64;
                if (events > events_max || bytes > bytes_max) && !groups.is_empty() {
                    return Ok(groups);
                }
                groups.push(group);
            }
        }
    }

    /// Removes groups that batches hold; gives how many bytes they had.
    pub(crate) async fn remove_through(&self, seq: i64) -> Result<u64, LakeError> {
        let sql = "with gone as (delete from inbox where seq <= $1 returning length(body) as size)
                   select cast(coalesce(sum(size), 0) as bigint) from gone";
        let bytes: i64 = sqlx::query_scalar(sql).bind(seq).fetch_one(&self.pool).await?;
        Ok(bytes.unsigned_abs())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// One more than the newest number that was ever used.
async fn next_seq(pool: &AnyPool) -> Result<i64, LakeError> {
    let sql = "select cast(greatest((select coalesce(max(seq), 0) from inbox),
                                    (select sealed_seq from lake_state where one = 1)) + 1 as bigint)";
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}

impl Writer {
    /// Writes a group. It is on disk when this returns; after an error it may or may not be kept.
    pub(crate) async fn append(&mut self, events: u32, body: Vec<u8>) -> Result<(), LakeError> {
        // Cleared first: a commit whose answer was lost has used the number.
        let seq = match self.next_seq.take() {
            Some(seq) => seq,
            None => next_seq(&self.pool).await?,
        };
        let insert = sqlx::query("insert into inbox (seq, events, body) values ($1, $2, $3)");
        insert.bind(seq).bind(i64::from(events)).bind(body).execute(&self.pool).await?;
        self.next_seq = Some(seq + 1);
        Ok(())
    }
}
