//! Rows of the object index, read and written many at a time.
//!
//! A statement costs more than a row: what a batch touches is read at once, changed in memory and written
//! at once.

use crate::error::LakeError;
use crate::object_history::{History, OPEN, Owner, Span};
use base::{OrgId, RealmId};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row as _, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names that one statement looks up.
const NAMES: usize = 32;
/// Rows that one statement writes: few sizes, so that few statements are prepared.
const ROWS: [usize; 3] = [32, 8, 1];

/// An object of the index: realm and name.
pub(crate) type ObjectName = (RealmId, String);

/// The part of the index that a piece of work touches.
#[derive(Default)]
pub(crate) struct Index {
    objects: BTreeMap<ObjectName, Entry>,
}

struct Entry {
    stored: History,
    now: History,
}

impl Owner {
    /// The user's id, or nothing.
    pub(crate) fn user_text(&self) -> String {
        self.user.map(|user| user.to_string()).unwrap_or_default()
    }
}

pub(crate) fn parsed<T: std::str::FromStr>(row: &AnyRow, column: &str) -> Result<T, LakeError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| LakeError::Corrupt(format!("{column} {text:?} of the object index")))
}

pub(crate) fn owner_from(row: &AnyRow, realm: RealmId) -> Result<Owner, LakeError> {
    let user: String = row.try_get("user_id")?;
    Ok(Owner {
        realm,
        org: parsed::<OrgId>(row, "org_id")?,
        user: if user.is_empty() { None } else { Some(parsed(row, "user_id")?) },
        bucket: row.try_get("bucket")?,
        class: row.try_get("class")?,
        org_path: row.try_get("org_path")?,
    })
}

fn span_from(row: &AnyRow, realm: RealmId) -> Result<Span, LakeError> {
    Ok(Span {
        at_us: row.try_get("at_us")?,
        until_us: row.try_get("until_us")?,
        owner: Arc::new(owner_from(row, realm)?),
        account: row.try_get("account_id")?,
        size_bytes: row.try_get("size_bytes")?,
    })
}

impl Index {
    /// Reads what is known of objects, and of all parts of uploads.
    pub(crate) async fn load(
        tx: &mut Transaction<'static, Any>,
        names: BTreeSet<ObjectName>,
        uploads: &BTreeSet<ObjectName>,
    ) -> Result<Self, LakeError> {
        let mut names = names;
        for (realm, upload) in uploads {
            let sql =
                "select object from s3_object where realm_id = $1 and object >= $2 and object < $3 order by object";
            let parts = sqlx::query_scalar::<_, String>(sql)
                .bind(realm.to_string())
                .bind(format!("{upload}/"))
                .bind(format!("{upload}0"))
                .fetch_all(&mut **tx)
                .await?;
            names.extend(parts.into_iter().map(|part| (*realm, part)));
        }
        let mut spans: BTreeMap<ObjectName, Vec<Span>> = names.into_iter().map(|name| (name, Vec::new())).collect();
        let mut by_realm: BTreeMap<RealmId, Vec<String>> = BTreeMap::new();
        for (realm, object) in spans.keys() {
            by_realm.entry(*realm).or_default().push(object.clone());
        }
        for (realm, objects) in &by_realm {
            for chunk in objects.chunks(NAMES) {
                for (object, span) in look_up(tx, *realm, chunk).await? {
                    spans.entry((*realm, object)).or_default().push(span);
                }
            }
        }
        let entry = |spans| {
            let stored = History::new(spans);
            Entry { now: stored.clone(), stored }
        };
        Ok(Self { objects: spans.into_iter().map(|(name, spans)| (name, entry(spans))).collect() })
    }

    /// What is known of an object that was named to [`Self::load`].
    pub(crate) fn history(&mut self, name: &ObjectName) -> &mut History {
        &mut self.objects.get_mut(name).expect("every object of a batch is loaded").now
    }

    /// Parts of an upload that exist now.
    pub(crate) fn parts(&self, (realm, upload): &ObjectName) -> Vec<ObjectName> {
        let range = (*realm, format!("{upload}/"))..(*realm, format!("{upload}0"));
        let parts = self.objects.range(range).filter(|(_, entry)| entry.now.open().is_some());
        parts.map(|(name, _)| name.clone()).collect()
    }

    /// Writes what changed.
    pub(crate) async fn save(self, tx: &mut Transaction<'static, Any>) -> Result<(), LakeError> {
        let (mut gone, mut open, mut past, mut undone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (name, Entry { stored, now }) in &self.objects {
            if now == stored {
                continue;
            }
            match (stored.open(), now.open()) {
                (Some(_), None) => gone.push(name),
                (before, Some(span)) if before != Some(span) => open.push((name, span)),
                _ => {}
            }
            let over = |history: &History, other: &History| -> Vec<Span> {
                let spans = history.spans().iter().filter(|span| span.until_us != OPEN);
                spans.filter(|span| !other.spans().contains(span)).cloned().collect()
            };
            past.extend(over(now, stored).into_iter().map(|span| (name, span)));
            undone.extend(over(stored, now).into_iter().map(|span| (name, span)));
        }
        for ((realm, object), span) in undone {
            sqlx::query("delete from s3_past where realm_id = $1 and object = $2 and at_us = $3 and until_us = $4")
                .bind(realm.to_string())
                .bind(object.clone())
                .bind(span.at_us)
                .bind(span.until_us)
                .execute(&mut **tx)
                .await?;
        }
        for (realm, object) in gone {
            sqlx::query("delete from s3_object where realm_id = $1 and object = $2")
                .bind(realm.to_string())
                .bind(object.clone())
                .execute(&mut **tx)
                .await?;
        }
        save_open(tx, &open).await?;
        save_past(tx, &past).await
    }
}

async fn look_up(
    tx: &mut Transaction<'static, Any>,
    realm: RealmId,
    objects: &[String],
) -> Result<Vec<(String, Span)>, LakeError> {
    let places: Vec<String> = (2..2 + NAMES).map(|no| format!("${no}")).collect();
    let places = places.join(", ");
    let sql = format!(
        "select object, account_id, org_id, org_path, user_id, bucket, class, size_bytes, at_us, {OPEN} as until_us
           from s3_object
          where realm_id = $1 and object in ({places})
          union all
         select object, account_id, org_id, org_path, user_id, bucket, class, size_bytes, at_us, until_us
           from s3_past
          where realm_id = $1 and object in ({places})"
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(realm.to_string());
    // One statement for any number: the last name stands for those that are not there.
    for no in 0..NAMES {
        query = query.bind(objects[no.min(objects.len() - 1)].clone());
    }
    let rows = query.fetch_all(&mut **tx).await?;
    rows.iter().map(|row| Ok((row.try_get("object")?, span_from(row, realm)?))).collect()
}

pub(crate) type Statement = Query<'static, Any, AnyArguments>;

/// Writes rows with as few statements as possible.
pub(crate) async fn insert_many<T>(
    tx: &mut Transaction<'static, Any>,
    head: &str,
    columns: usize,
    tail: &str,
    rows: &[T],
    bind: impl Fn(Statement, &T) -> Statement,
) -> Result<(), LakeError> {
    let mut rest = rows;
    for size in ROWS {
        while rest.len() >= size {
            let (now, later) = rest.split_at(size);
            rest = later;
            let mut no = 0;
            let mut tuples = Vec::with_capacity(size);
            for _ in 0..size {
                let places: Vec<String> = (0..columns).map(|column| format!("${}", no + column + 1)).collect();
                no += columns;
                tuples.push(format!("({})", places.join(", ")));
            }
            let sql = format!("{head} values {} {tail}", tuples.join(", "));
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for row in now {
                query = bind(query, row);
            }
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}

fn bind_span(query: Statement, (realm, object): &ObjectName, span: &Span) -> Statement {
    query
        .bind(realm.to_string())
        .bind(object.clone())
        .bind(span.account.clone())
        .bind(span.owner.org.to_string())
        .bind(span.owner.org_path.clone())
        .bind(span.owner.user_text())
        .bind(span.owner.bucket.clone())
        .bind(span.owner.class.clone())
        .bind(span.size_bytes)
        .bind(span.at_us)
}

async fn save_open(tx: &mut Transaction<'static, Any>, rows: &[(&ObjectName, &Span)]) -> Result<(), LakeError> {
    let head = "insert into s3_object (realm_id, object, account_id, org_id, org_path, user_id, bucket, class, size_bytes, at_us)";
    let tail = "on conflict (realm_id, object) do update set
                  account_id = excluded.account_id, org_id = excluded.org_id, org_path = excluded.org_path,
                  user_id = excluded.user_id, bucket = excluded.bucket, class = excluded.class, size_bytes = excluded.size_bytes,
                  at_us = excluded.at_us";
    insert_many(tx, head, 10, tail, rows, |query, (name, span)| bind_span(query, name, span)).await
}

async fn save_past(tx: &mut Transaction<'static, Any>, rows: &[(&ObjectName, Span)]) -> Result<(), LakeError> {
    let head = "insert into s3_past (realm_id, object, account_id, org_id, org_path, user_id, bucket, class, size_bytes, at_us, until_us)";
    // Two that ended in the instant of their start say the same.
    let tail = "on conflict (realm_id, object, at_us, until_us) do nothing";
    let bind = |query, (name, span): &(&ObjectName, Span)| bind_span(query, name, span).bind(span.until_us);
    insert_many(tx, head, 11, tail, rows, bind).await
}
