//! The thin layer over sqlx: scoped statements, parameters, rows, errors.

use base::{OrgId, RealmId};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Arguments, Row as _};
use std::collections::BTreeSet;
use std::str::FromStr;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such row in this realm.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// A unique or foreign key said no.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Another writer holds the database for too long.
    #[error("the database is busy")]
    Busy,
    /// A text that no engine stores or finds the same: PostgreSQL knows no NUL.
    #[error("a text has a NUL character")]
    Nul,
    /// The database is gone, full or not writable; what was asked for did not happen.
    #[error("the database cannot be used at this moment: {0}")]
    Unavailable(sqlx::Error),
    /// A stored value cannot be read back.
    #[error("stored value {value:?} of {column} cannot be read")]
    Corrupt {
        /// The column.
        column: String,
        /// The value.
        value: String,
    },
    /// Anything else the database says.
    #[error("database: {0}")]
    Backend(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(cause) = &error {
            if cause.is_unique_violation() || cause.is_foreign_key_violation() {
                return Self::Conflict(cause.message().to_owned());
            }
            let code = cause.code().unwrap_or_default();
            if ["5", "6", "261", "517", "40001", "40P01", "55P03"].contains(&&*code) {
                return Self::Busy;
            }
        }
        if is_passing(&error) { Self::Unavailable(error) } else { Self::Backend(error) }
    }
}

/// Whether an error is about the database's circumstances and passes by itself, or with what the operator does.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        | sqlx::Error::InvalidSavePointStatement => true,
        sqlx::Error::Database(cause) => {
            let code = cause.code().unwrap_or_default();
            if code.len() == 5 {
                // PostgreSQL: connection, resources, operator's intervention, system error.
                return ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) || code == "25006";
            }
            // SQLite: no memory, read-only, I/O, full, cannot open, protocol.
            code.parse::<i64>().is_ok_and(|code| [7, 8, 10, 13, 14, 15].contains(&(code & 0xff)))
        }
        _ => false,
    }
}

/// A statement whose first parameter is the realm.
#[derive(Clone, Copy)]
pub(crate) struct Scoped(pub(crate) &'static str);

/// A statement that crosses realms on purpose.
#[derive(Clone, Copy)]
pub(crate) struct Across(pub(crate) &'static str);

const fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let mut start = 0;
    while start + part.len() <= text.len() {
        let mut index = 0;
        while index < part.len() && text[start + index] == part[index] {
            index += 1;
        }
        if index == part.len() {
            return true;
        }
        start += 1;
    }
    false
}

/// Stops the build when a statement does not name the realm.
pub(crate) const fn assert_scoped(sql: &str) {
    let filtered = contains(sql, "realm_id = $1");
    let inserted = contains(sql, "insert into") && contains(sql, "(realm_id") && contains(sql, "values ($1");
    assert!(filtered || inserted, "a statement must say realm_id = $1, or insert the realm first");
}

/// A statement that must name the realm: one that does not, does not compile.
macro_rules! scoped {
    ($sql:literal) => {{
        const _: () = $crate::sql::assert_scoped($sql);
        $crate::sql::Scoped($sql)
    }};
}
pub(crate) use scoped;

/// A statement that crosses realms, with the reason why it must.
macro_rules! across {
    ($reason:literal, $sql:literal) => {{
        const _: &str = $reason;
        $crate::sql::Across($sql)
    }};
}
pub(crate) use across;

/// A value bound to a statement.
#[derive(Clone, Debug)]
pub(crate) enum Param {
    Text(String),
    Int(i64),
    NullText,
    NullInt,
}

impl From<i64> for Param {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Param {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Param {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Option<i64>> for Param {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::NullInt, Self::Int)
    }
}

impl From<Option<String>> for Param {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::NullText, Self::Text)
    }
}

macro_rules! text_params {
    ($($name:ident),*) => {$(
        impl From<base::$name> for Param {
            fn from(value: base::$name) -> Self {
                Self::Text(value.to_string())
            }
        }
        impl From<Option<base::$name>> for Param {
            fn from(value: Option<base::$name>) -> Self {
                value.map_or(Self::NullText, |value| Self::Text(value.to_string()))
            }
        }
    )*};
}
text_params!(
    AccountId,
    AgreementId,
    BindingId,
    CloudLinkId,
    Currency,
    EntryId,
    FactorId,
    GroupId,
    GuardRailId,
    IdpId,
    InvitationId,
    InvoiceId,
    JobId,
    MappingId,
    OrgId,
    PolicyId,
    RealmId,
    RunId,
    SessionId,
    TokenId,
    UserId
);

/// Writes a list of values as parameters.
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Param::from($value)),*] };
}
pub(crate) use params;

/// One row of an answer, read by column name.
pub(crate) struct Row(AnyRow);

impl Row {
    pub(crate) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        Ok(self.0.try_get::<String, _>(column)?)
    }

    pub(crate) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        Ok(self.0.try_get::<i64, _>(column)?)
    }

    pub(crate) fn opt_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.0.try_get::<Option<String>, _>(column)?)
    }

    pub(crate) fn opt_int(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        Ok(self.0.try_get::<Option<i64>, _>(column)?)
    }

    /// A text column that holds something with a text form: an id, a currency, a zone.
    pub(crate) fn parsed<T: FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        let value = self.text(column)?;
        value.parse().map_err(|_| StoreError::Corrupt { column: column.to_owned(), value })
    }

    pub(crate) fn opt_parsed<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let Some(value) = self.opt_text(column)? else { return Ok(None) };
        let parsed = value.parse().map_err(|_| StoreError::Corrupt { column: column.to_owned(), value })?;
        Ok(Some(parsed))
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        let value = self.text(column)?;
        serde_json::from_str(&value).map_err(|_| StoreError::Corrupt { column: column.to_owned(), value })
    }

    /// A scaled integer stored as plain digits.
    pub(crate) fn scaled(&self, column: &'static str) -> Result<i128, StoreError> {
        self.parsed(column)
    }
}

/// Writes a value as JSON text for a `_json` column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types are JSON")
}

/// A transaction of one realm. Dropped without [`Tx::commit`], nothing of it happened.
pub struct Tx {
    inner: sqlx::Transaction<'static, sqlx::Any>,
    realm: RealmId,
    writes: bool,
    noted: bool,
    watched: BTreeSet<OrgId>,
}

impl Tx {
    pub(crate) fn new(inner: sqlx::Transaction<'static, sqlx::Any>, realm: RealmId) -> Self {
        Self { inner, realm, writes: false, noted: false, watched: BTreeSet::new() }
    }

    pub(crate) fn writing(self) -> Self {
        Self { writes: true, ..self }
    }

    /// Whether it was opened to write. What it reads may never come true: nobody else must be told.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Whether it has written into the audit log.
    #[must_use]
    pub fn is_noted(&self) -> bool {
        self.noted
    }

    pub(crate) fn note(&mut self) {
        self.noted = true;
    }

    /// Notes organisations that it may leave without anybody who can run them (`crate::watch`).
    pub(crate) fn watch(&mut self, orgs: impl IntoIterator<Item = OrgId>) {
        self.watched.extend(orgs);
    }

    /// The organisations that must be looked at before it is committed: somebody who runs them lost something. Each
    /// is given once.
    pub fn take_watched(&mut self) -> BTreeSet<OrgId> {
        std::mem::take(&mut self.watched)
    }

    /// The realm that every statement of this transaction is bound to.
    #[must_use]
    pub fn realm(&self) -> RealmId {
        self.realm
    }

    /// Makes everything of this transaction true.
    ///
    /// # Errors
    /// [`StoreError`]; nothing happened then.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }

    pub(crate) async fn fetch_all<T>(
        &mut self,
        statement: Scoped,
        params: Vec<Param>,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let query = sqlx::query_with(statement.0, arguments(Some(self.realm), params)?);
        let rows = query.fetch_all(&mut *self.inner).await?;
        rows.into_iter().map(|row| read(&Row(row))).collect()
    }

    pub(crate) async fn fetch_optional<T>(
        &mut self,
        statement: Scoped,
        params: Vec<Param>,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.fetch_all(statement, params, read).await?.into_iter().next())
    }

    pub(crate) async fn fetch_one<T>(
        &mut self,
        what: &'static str,
        statement: Scoped,
        params: Vec<Param>,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.fetch_optional(statement, params, read).await?.ok_or(StoreError::NotFound(what))
    }

    /// Runs a statement and says how many rows it touched.
    pub(crate) async fn execute(&mut self, statement: Scoped, params: Vec<Param>) -> Result<u64, StoreError> {
        let query = sqlx::query_with(statement.0, arguments(Some(self.realm), params)?);
        Ok(query.execute(&mut *self.inner).await?.rows_affected())
    }

    pub(crate) async fn across<T>(
        &mut self,
        statement: Across,
        params: Vec<Param>,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let query = sqlx::query_with(statement.0, arguments(None, params)?);
        let rows = query.fetch_all(&mut *self.inner).await?;
        rows.into_iter().map(|row| read(&Row(row))).collect()
    }
}

fn arguments(realm: Option<RealmId>, params: Vec<Param>) -> Result<AnyArguments, StoreError> {
    let mut arguments = AnyArguments::default();
    let realm = realm.map(|realm| Param::Text(realm.to_string()));
    for param in realm.into_iter().chain(params) {
        match param {
            Param::Text(value) if value.contains('\0') => return Err(StoreError::Nul),
            Param::Text(value) => arguments.add(value),
            Param::Int(value) => arguments.add(value),
            Param::NullText => arguments.add(None::<String>),
            Param::NullInt => arguments.add(None::<i64>),
        }
        .map_err(|error| StoreError::Backend(sqlx::Error::Encode(error)))?;
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unscoped_statements_are_seen() {
        let good = ["select 1 from org where realm_id = $1", "insert into org (realm_id, a) values ($1, $2)"];
        let bad = ["select 1 from org", "select 1 from org where realm_id = $2", "insert into org (a) values ($1)"];
        for sql in good {
            assert_scoped(sql);
        }
        for sql in bad {
            assert!(std::panic::catch_unwind(|| assert_scoped(sql)).is_err(), "{sql}");
        }
    }
}
