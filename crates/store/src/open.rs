//! Opening the store: engines, migrations, row security, transactions.

use crate::sql::{StoreError, Tx, params, scoped};
use access::Grant;
use base::RealmId;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Connection, Executor};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Which database is underneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file, one writer at a time.
    Sqlite,
    /// A server, with row security.
    Postgres,
}

/// The role that the program works as on PostgreSQL: neither owner nor superuser.
pub const APP_ROLE: &str = "meterhouse_app";

const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("../migrations/0001_foundation.sql")),
    (2, include_str!("../migrations/0002_tenancy.sql")),
    (3, include_str!("../migrations/0003_indexes.sql")),
    (4, include_str!("../migrations/0004_repairs.sql")),
    (5, include_str!("../migrations/0005_sign_in.sql")),
    (6, include_str!("../migrations/0006_former_mappings.sql")),
    (7, include_str!("../migrations/0007_former_mappings_whole.sql")),
    (8, include_str!("../migrations/0008_favourites.sql")),
];

/// Migrations after which keys are computed anew: those that bring one, or a new version of Unicode's tables.
const REKEYED_BY: [i64; 1] = [5];

/// The relational store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    engine: Engine,
    /// The connection whose lock keeps other processes out, while there is one.
    alone: Arc<Mutex<Option<sqlx::AnyConnection>>>,
    url: Arc<str>,
}

fn engine_of(url: &str) -> Result<Engine, StoreError> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => Ok(Engine::Sqlite),
        Some("postgres" | "postgresql") => Ok(Engine::Postgres),
        _ => Err(StoreError::Backend(sqlx::Error::Configuration(
            "database.url must begin with sqlite: or postgres:".into(),
        ))),
    }
}

impl Store {
    /// Copies a SQLite database as it is at one instant, beside whoever writes it. The copy must not exist yet.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read or written.
    pub async fn copy_sqlite(from: &std::path::Path, to: &std::path::Path) -> Result<(), StoreError> {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}?mode=ro", from.display());
        let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await?;
        let copied = sqlx::query("vacuum into $1").bind(to.display().to_string()).execute(&pool).await;
        pool.close().await;
        copied?;
        Ok(())
    }

    /// Opens the database at `url` and brings its schema up to date. `sqlite:///path/file.db` is made
    /// when missing; `postgres://` must name an existing database whose user may create tables.
    ///
    /// # Errors
    /// [`StoreError::Backend`] with what the database says.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let engine = engine_of(url)?;
        let url = match engine {
            Engine::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
            _ => url.to_owned(),
        };
        migrate(&url, engine).await?;
        let pool = AnyPoolOptions::new()
            .max_connections(if engine == Engine::Sqlite { SQLITE_CONNECTIONS } else { POSTGRES_CONNECTIONS })
            .acquire_timeout(Duration::from_secs(if engine == Engine::Postgres { 2 } else { 30 }))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let set_up = match engine {
                        Engine::Sqlite => SQLITE_SET_UP,
                        Engine::Postgres => "set role meterhouse_app",
                    };
                    connection.execute(set_up).await.map(drop)
                })
            })
            .connect(&url)
            .await?;
        Ok(Self { pool, engine, alone: Arc::default(), url: url.into() })
    }

    /// The engine underneath.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Keeps other processes off this database as long as this one lives; says whether it could. On SQLite a lock of
    /// the data folder does so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold_alone(&self) -> Result<bool, StoreError> {
        if self.engine == Engine::Sqlite {
            return Ok(true);
        }
        let mut connection = sqlx::AnyConnection::connect(&self.url).await?;
        let sql = "select cast(pg_try_advisory_lock(7215002) as int)";
        let held = sqlx::query_scalar::<_, i32>(sql).fetch_one(&mut connection).await? == 1;
        if held && let Ok(mut alone) = self.alone.lock() {
            *alone = Some(connection);
        }
        Ok(held)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        let alone = self.alone.lock().ok().and_then(|mut alone| alone.take());
        if let Some(connection) = alone {
            // It ends with the process in any case.
            let _ = connection.close().await;
        }
        self.pool.close().await;
    }

    /// A transaction that only reads, in the realm of the grant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(&self, grant: &Grant) -> Result<Tx, StoreError> {
        self.begin(grant.realm(), "begin").await
    }

    /// A transaction that writes, in the realm of the grant. Takes the lock row of the grant's
    /// organisation first, so that what is read afterwards cannot change underneath.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self, grant: &Grant) -> Result<Tx, StoreError> {
        let mut tx = self.begin(grant.realm(), self.begin_write()).await?.writing();
        tx.execute(
            scoped!(
                "insert into org_lock (realm_id, org_id, version)
                 values ($1, $2, 1)
                 on conflict (realm_id, org_id) do update set version = org_lock.version + 1"
            ),
            params![grant.org()],
        )
        .await?;
        Ok(tx)
    }

    fn begin_write(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "begin immediate",
            Engine::Postgres => "begin",
        }
    }

    async fn begin(&self, realm: RealmId, begin: &'static str) -> Result<Tx, StoreError> {
        self.begin_as(realm, realm.to_string(), begin).await
    }

    /// A transaction that reads across realms; only `crate::across` opens one. On SQLite it takes no lock: whoever
    /// floods the sign-in page keeps nobody from writing.
    pub(crate) async fn look_across(&self) -> Result<Tx, StoreError> {
        self.begin_as(RealmId(0), "*".to_owned(), "begin").await
    }

    /// A transaction that may change something across realms; only `crate::across` opens one.
    pub(crate) async fn begin_across(&self) -> Result<Tx, StoreError> {
        self.begin_as(RealmId(0), "*".to_owned(), self.begin_write()).await
    }

    async fn begin_as(&self, realm: RealmId, setting: String, begin: &'static str) -> Result<Tx, StoreError> {
        let mut inner = self.begin_free(begin).await?;
        if self.engine == Engine::Postgres {
            let query = sqlx::query("select set_config('meterhouse.realm_id', $1, true)").bind(setting);
            query.execute(&mut *inner).await?;
        }
        Ok(Tx::new(inner, realm))
    }

    /// A connection whose transaction could not be ended, since the disk was full, cannot begin another one: it is
    /// thrown away, and a fresh one is taken.
    async fn begin_free(&self, begin: &'static str) -> Result<sqlx::Transaction<'static, sqlx::Any>, StoreError> {
        for _ in 0..POSTGRES_CONNECTIONS {
            match self.pool.begin_with(begin).await {
                Err(sqlx::Error::InvalidSavePointStatement) => drop_stuck(&self.pool).await,
                other => return Ok(other?),
            }
        }
        Ok(self.pool.begin_with(begin).await?)
    }

    /// Asks the engine to prepare a statement: the test of every statement on both engines.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn prepare(&self, sql: &str) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        let sql = sqlx::SqlStr::from_static(Box::leak(sql.to_owned().into_boxed_str()));
        connection.prepare(sql).await?;
        Ok(())
    }

    /// Runs one statement outside every scope and gives its first column as text. For tests that look
    /// at the engine itself; nothing else may call it (tidy).
    ///
    /// # Errors
    /// What the engine says.
    pub async fn inspect(&self, sql: &'static str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar::<_, String>(sql).fetch_all(&self.pool).await?)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.pool.execute("select 1").await?;
        Ok(())
    }
}

/// Connections at once.
const SQLITE_CONNECTIONS: u32 = 8;
const POSTGRES_CONNECTIONS: u32 = 16;

/// Closes the connections that hang in a transaction of somebody who is gone.
async fn drop_stuck(pool: &AnyPool) {
    while let Some(mut connection) = pool.try_acquire() {
        if is_free(&mut connection).await {
            return;
        }
        connection.close_on_drop();
    }
}

async fn is_free(connection: &mut sqlx::AnyConnection) -> bool {
    match sqlx::Connection::begin_with(connection, "begin").await {
        Ok(tx) => tx.rollback().await.is_ok(),
        Err(_) => false,
    }
}

const SQLITE_SET_UP: &str = "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; \
                             pragma busy_timeout = 20000";

async fn migrate(url: &str, engine: Engine) -> Result<(), StoreError> {
    let pool = AnyPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(15)).connect(url).await?;
    let result = migrate_with(&pool, engine).await;
    pool.close().await;
    result
}

async fn migrate_with(pool: &AnyPool, engine: Engine) -> Result<(), StoreError> {
    if engine == Engine::Sqlite {
        pool.execute(SQLITE_SET_UP).await?;
    }
    pool.execute("create table if not exists schema_migration (version bigint not null primary key)").await?;
    let begin = if engine == Engine::Sqlite { "begin immediate" } else { "begin" };
    let mut tx = pool.begin_with(begin).await?;
    if engine == Engine::Postgres {
        tx.execute("lock table schema_migration in exclusive mode").await?;
        // The owner is bound by row security too; a migration changes the rows of every realm.
        tx.execute("select set_config('meterhouse.realm_id', '*', true)").await?;
    }
    let done = sqlx::query_scalar::<_, i64>("select version from schema_migration").fetch_all(&mut *tx).await?;
    for (version, text) in MIGRATIONS.iter().filter(|(version, _)| !done.contains(version)) {
        tracing::info!(version, "migrating the store");
        for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let statement: &'static str = statement;
            tx.execute(statement).await?;
        }
        if REKEYED_BY.contains(version) {
            crate::rekey::all(&mut tx).await?;
        }
        let record = sqlx::query("insert into schema_migration (version) values ($1)").bind(*version);
        record.execute(&mut *tx).await?;
        if engine == Engine::Postgres {
            tx.execute(POSTGRES_LOCKS).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Row security for every table that has a realm, and the role that must live with it. `*` is set only
/// by the transactions of the module `across`.
const POSTGRES_LOCKS: &str = "
do $$
declare place record;
begin
  if not exists (select 1 from pg_roles where rolname = 'meterhouse_app') then
    begin
      create role meterhouse_app nologin;
    exception when duplicate_object or unique_violation then null;
    end;
  end if;
  execute format('grant meterhouse_app to %I', current_user);
  execute format('grant usage on schema %I to meterhouse_app', current_schema());
  for place in
    select table_name from information_schema.columns
     where table_schema = current_schema() and column_name = 'realm_id'
  loop
    execute format('alter table %I enable row level security', place.table_name);
    execute format('alter table %I force row level security', place.table_name);
    execute format('drop policy if exists realm_only on %I', place.table_name);
    execute format('create policy realm_only on %I using (realm_id = current_setting(''meterhouse.realm_id'', true)
      or current_setting(''meterhouse.realm_id'', true) = ''*'')', place.table_name);
    execute format('grant select, insert, update, delete on %I to meterhouse_app', place.table_name);
  end loop;
  execute 'grant select on schema_migration to meterhouse_app';
  if to_regclass('heartbeat') is not null then
    execute 'grant select, update on heartbeat to meterhouse_app';
  end if;
end $$";
