//! Opening a lake: databases, schema, the committer.

use crate::error::LakeError;
use crate::inbox::Inbox;
use crate::ingest::Settings;
use crate::verified::Verified;
use crate::{catalog, inbox, inbox_log};
use base::World;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Executor, Row as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Which database holds the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// The usage lake. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) catalog: AnyPool,
    pub(crate) engine: Engine,
    pub(crate) files: PathBuf,
    pub(crate) world: Arc<dyn World>,
    pub(crate) settings: Settings,
    pub(crate) key: [u8; 32],
    pub(crate) inbox: Inbox,
    /// One sealer at a time in this process; the catalog's lock row keeps others out.
    pub(crate) sealing: tokio::sync::Mutex<()>,
    /// One merge at a time; sealing goes on beside it.
    pub(crate) compacting: tokio::sync::Mutex<()>,
    pub(crate) verified: Verified,
}

/// Connections to the catalog.
const CONNECTIONS_MAX: u32 = 6;

/// Closes the connections that hang in a transaction of somebody who is gone.
async fn drop_stuck(pool: &AnyPool) -> Result<(), LakeError> {
    while let Some(mut connection) = pool.try_acquire() {
        if is_free(&mut connection).await {
            return Ok(());
        }
        connection.close_on_drop();
    }
    Ok(())
}

async fn is_free(connection: &mut sqlx::AnyConnection) -> bool {
    match sqlx::Connection::begin_with(connection, "begin").await {
        Ok(tx) => tx.rollback().await.is_ok(),
        Err(_) => false,
    }
}

const SQLITE_SET_UP: &str = "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; \
                             pragma busy_timeout = 20000; pragma cache_size = -16000";
const POSTGRES_SET_UP: &str = "set role meterhouse_app; set search_path to lake";

impl Lake {
    /// Opens the lake in `folder`. The catalog is `lake.db` there, or schema `lake` of the PostgreSQL
    /// database at `postgres_url` (whose role `meterhouse_app` the store has made).
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn open(
        folder: &Path,
        postgres_url: Option<&str>,
        world: Arc<dyn World>,
        settings: Settings,
    ) -> Result<Self, LakeError> {
        sqlx::any::install_default_drivers();
        let files = folder.join("files");
        std::fs::create_dir_all(&files)
            .map_err(|source| LakeError::Io { path: files.display().to_string(), source })?;
        let engine = if postgres_url.is_some() { Engine::Postgres } else { Engine::Sqlite };
        let catalog_url = postgres_url.map_or_else(|| sqlite_url(folder, "lake.db"), str::to_owned);
        catalog::migrate(&catalog_url, engine, &files, world.now_us()).await?;
        let catalog = pool(&catalog_url, engine, CONNECTIONS_MAX).await?;
        let key = catalog::fingerprint_key(&catalog, world.as_ref()).await?;
        let sealed_seq = catalog::sealed_seq(&catalog).await?;
        let inbox = match postgres_url {
            Some(url) => inbox::start_table(pool(url, engine, 3).await?, sealed_seq, settings).await?,
            None => inbox::start_log(open_log(folder, sealed_seq, settings).await?, settings)?,
        };
        let sealing = tokio::sync::Mutex::new(());
        let (compacting, verified) = (tokio::sync::Mutex::new(()), Verified::default());
        let inner = Inner { catalog, engine, files, world, settings, key, inbox, sealing, compacting, verified };
        let lake = Self { inner: Arc::new(inner) };
        lake.check_inbox().await?;
        lake.sweep_orphans().await?;
        Ok(lake)
    }

    /// An inbox that ends before what was seen of it has lost events that were acknowledged.
    async fn check_inbox(&self) -> Result<(), LakeError> {
        let (seen, sealed) =
            (catalog::inbox_seq(&self.inner.catalog).await?, catalog::sealed_seq(&self.inner.catalog).await?);
        let newest = self.inner.inbox.newest().await?.max(sealed);
        if newest >= seen {
            return Ok(());
        }
        if self.inner.settings.accept_cut_inbox {
            tracing::warn!(newest, seen, "the inbox was cut, and the operator accepts it");
            return catalog::set_inbox_seq(&self.inner.catalog, newest).await;
        }
        Err(LakeError::Corrupt(format!(
            "the inbox ends at group {newest}, but reached group {seen} before: events that were acknowledged are \
             missing. Restore the folder inbox from a backup of the same moment as the catalog's; if they are lost, \
             `meterhouse admin accept-inbox` goes on without them"
        )))
    }

    /// Removes usage files that no catalog knows: what a crash left between writing and registering. Nobody writes
    /// while the lake is being opened.
    async fn sweep_orphans(&self) -> Result<(), LakeError> {
        let known = catalog::known_paths(&self.inner.catalog).await?;
        let table = self.inner.table_folder();
        let work = move || {
            for path in files_below(&table) {
                let Ok(name) = path.strip_prefix(&table) else { continue };
                if !known.contains(&name.display().to_string())
                    && name.extension().is_some_and(|kind| kind == "parquet")
                {
                    tracing::info!(path = %name.display(), "a usage file of an interrupted batch is removed");
                    if let Err(error) = std::fs::remove_file(&path) {
                        tracing::warn!(path = %path.display(), %error, "it stays on the disk");
                    }
                }
            }
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| LakeError::Closed)
    }

    /// Bytes of events that wait to be sealed.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.inner.inbox.waiting_bytes()
    }

    /// Where the Parquet files are.
    #[must_use]
    pub fn files(&self) -> &Path {
        &self.inner.files
    }

    /// Stops taking events in; what was acknowledged is on disk already.
    pub async fn close(&self) {
        self.inner.inbox.close().await;
        self.inner.catalog.close().await;
    }
}

/// Makes a copy of a lake one of its own: it lies where it is now, and its inbox ends where it ends. What came between the
/// copy of the inbox and that of the catalog is not in it.
///
/// # Errors
/// [`LakeError`].
pub async fn settle_copy(folder: &Path, world: Arc<dyn World>) -> Result<(), LakeError> {
    let settings = Settings { accept_cut_inbox: true, ..Settings::default() };
    let lake = Lake::open(folder, None, world, settings).await?;
    let sql = "update ducklake_metadata set value = $1 where key = 'data_path'";
    let path = format!("{}/", lake.files().display());
    sqlx::query(sql).bind(path).execute(&lake.inner.catalog).await?;
    lake.close().await;
    Ok(())
}

/// The usage files that a catalog on SQLite names, below the folder of the usage files.
///
/// # Errors
/// [`LakeError`].
pub async fn known_files(catalog: &Path) -> Result<Vec<String>, LakeError> {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}?mode=ro", catalog.display());
    let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await?;
    let known = catalog::known_paths(&pool).await;
    pool.close().await;
    Ok(known?.into_iter().collect())
}

fn sqlite_url(folder: &Path, name: &str) -> String {
    format!("sqlite://{}?mode=rwc", folder.join(name).display())
}

/// Every file below a folder; what cannot be read is left out.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    found
}

async fn open_log(folder: &Path, sealed_seq: i64, settings: Settings) -> Result<inbox_log::Opened, LakeError> {
    let files = folder.join("inbox");
    let opened = inbox_log::open(&files, sealed_seq, settings.segment_bytes_max)?;
    let old = folder.join("inbox.db");
    if !old.exists() {
        return Ok(opened);
    }
    take_over(folder, sealed_seq, opened).await?;
    for name in ["inbox.db-wal", "inbox.db-shm", "inbox.db"] {
        match std::fs::remove_file(folder.join(name)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(LakeError::Io { path: folder.join(name).display().to_string(), source });
            }
            _ => {}
        }
    }
    inbox_log::open(&files, sealed_seq, settings.segment_bytes_max)
}

/// Copies the groups of an older version's `inbox.db`. Cut off and begun again, it copies some twice: what
/// they hold is known by its ids.
async fn take_over(folder: &Path, sealed_seq: i64, mut opened: inbox_log::Opened) -> Result<(), LakeError> {
    let pool = pool(&sqlite_url(folder, "inbox.db"), Engine::Sqlite, 1).await?;
    let there = "select count(*) from sqlite_master where name = 'inbox'";
    if sqlx::query_scalar::<_, i64>(there).fetch_one(&pool).await? > 0 {
        let sql = "select events, body from inbox where seq > $1 order by seq";
        for row in sqlx::query(sql).bind(sealed_seq).fetch_all(&pool).await? {
            let events = u32::try_from(row.try_get::<i64, _>("events")?).unwrap_or(0);
            let body: Vec<u8> = row.try_get("body")?;
            opened.writer.append(events, &body).map_err(|source| {
                let path = folder.join("inbox").display().to_string();
                LakeError::Io { path, source }
            })?;
        }
    }
    pool.close().await;
    Ok(())
}

async fn pool(url: &str, engine: Engine, size: u32) -> Result<AnyPool, LakeError> {
    let set_up = if engine == Engine::Sqlite { SQLITE_SET_UP } else { POSTGRES_SET_UP };
    let pool = AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(Duration::from_secs(if engine == Engine::Postgres { 2 } else { 30 }))
        .after_connect(move |connection, _| Box::pin(async move { connection.execute(set_up).await.map(drop) }))
        .connect(url)
        .await?;
    Ok(pool)
}

impl Inner {
    /// A transaction that writes. On PostgreSQL it may see every realm: the sealer serves all of them.
    pub(crate) async fn begin_write(&self) -> Result<sqlx::Transaction<'static, sqlx::Any>, LakeError> {
        let begin = if self.engine == Engine::Sqlite { "begin immediate" } else { "begin" };
        let mut tx = self.begin_with(begin).await?;
        self.bind(&mut tx, "*").await?;
        Ok(tx)
    }

    /// A transaction that reads one realm.
    pub(crate) async fn begin_read(
        &self,
        realm: base::RealmId,
    ) -> Result<sqlx::Transaction<'static, sqlx::Any>, LakeError> {
        let mut tx = self.begin_with("begin").await?;
        self.bind(&mut tx, &realm.to_string()).await?;
        Ok(tx)
    }

    /// A connection whose transaction could not be ended, since the disk was full, cannot begin another one: it is
    /// thrown away, and a fresh one is taken.
    async fn begin_with(&self, begin: &'static str) -> Result<sqlx::Transaction<'static, sqlx::Any>, LakeError> {
        for _ in 0..CONNECTIONS_MAX {
            match self.catalog.begin_with(begin).await {
                Err(sqlx::Error::InvalidSavePointStatement) => drop_stuck(&self.catalog).await?,
                other => return Ok(other?),
            }
        }
        Ok(self.catalog.begin_with(begin).await?)
    }

    async fn bind(&self, tx: &mut sqlx::Transaction<'static, sqlx::Any>, realm: &str) -> Result<(), LakeError> {
        if self.engine == Engine::Postgres {
            let query = sqlx::query("select set_config('meterhouse.realm_id', $1, true)").bind(realm.to_owned());
            query.execute(&mut **tx).await?;
        }
        Ok(())
    }
}
