//! Opening a lake: databases, schema, the committer.

use crate::error::LakeError;
use crate::inbox::Inbox;
use crate::ingest::Settings;
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
        let catalog = pool(&catalog_url, engine, 6).await?;
        let key = catalog::fingerprint_key(&catalog, world.as_ref()).await?;
        let sealed_seq = catalog::sealed_seq(&catalog).await?;
        let inbox = match postgres_url {
            Some(url) => inbox::start_table(pool(url, engine, 3).await?, sealed_seq, settings).await?,
            None => inbox::start_log(open_log(folder, sealed_seq, settings).await?, settings)?,
        };
        let sealing = tokio::sync::Mutex::new(());
        let inner = Inner { catalog, engine, files, world, settings, key, inbox, sealing };
        Ok(Self { inner: Arc::new(inner) })
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

fn sqlite_url(folder: &Path, name: &str) -> String {
    format!("sqlite://{}?mode=rwc", folder.join(name).display())
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
        .acquire_timeout(Duration::from_secs(30))
        .after_connect(move |connection, _| Box::pin(async move { connection.execute(set_up).await.map(drop) }))
        .connect(url)
        .await?;
    Ok(pool)
}

impl Inner {
    /// A transaction that writes. On PostgreSQL it may see every realm: the sealer serves all of them.
    pub(crate) async fn begin_write(&self) -> Result<sqlx::Transaction<'static, sqlx::Any>, LakeError> {
        let begin = if self.engine == Engine::Sqlite { "begin immediate" } else { "begin" };
        let mut tx = self.catalog.begin_with(begin).await?;
        self.bind(&mut tx, "*").await?;
        Ok(tx)
    }

    /// A transaction that reads one realm.
    pub(crate) async fn begin_read(
        &self,
        realm: base::RealmId,
    ) -> Result<sqlx::Transaction<'static, sqlx::Any>, LakeError> {
        let mut tx = self.catalog.begin().await?;
        self.bind(&mut tx, &realm.to_string()).await?;
        Ok(tx)
    }

    async fn bind(&self, tx: &mut sqlx::Transaction<'static, sqlx::Any>, realm: &str) -> Result<(), LakeError> {
        if self.engine == Engine::Postgres {
            let query = sqlx::query("select set_config('meterhouse.realm_id', $1, true)").bind(realm.to_owned());
            query.execute(&mut **tx).await?;
        }
        Ok(())
    }
}
