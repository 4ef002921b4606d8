//! Opening a lake: databases, schema, the committer.

use crate::error::LakeError;
use crate::inbox::Inbox;
use crate::ingest::Settings;
use crate::{catalog, inbox};
use base::World;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Executor};
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
        let sqlite_url = |name: &str| format!("sqlite://{}?mode=rwc", folder.join(name).display());
        let catalog_url = postgres_url.map_or_else(|| sqlite_url("lake.db"), str::to_owned);
        let inbox_url = postgres_url.map_or_else(|| sqlite_url("inbox.db"), str::to_owned);
        catalog::migrate(&catalog_url, engine, &files, world.now_us()).await?;
        let catalog = pool(&catalog_url, engine, 6).await?;
        let inbox_pool = pool(&inbox_url, engine, 3).await?;
        let key = catalog::fingerprint_key(&catalog, world.as_ref()).await?;
        let sealed_seq = catalog::sealed_seq(&catalog).await?;
        let inbox = inbox::start(inbox_pool, engine, sealed_seq, settings).await?;
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
