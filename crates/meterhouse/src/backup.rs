//! `backup`, `verify`, `restore`: the data of one moment in a folder, and whether it is whole.
//!
//! The order of copying is what makes it one moment: the store first, since documents refer to usage; then the inbox, then
//! the catalog, so that an event stands in one of both at least, and is counted once by its id; then the files that the
//! copied catalog names.

use crate::Exit;
use crate::config::{Config, ConfigArgs, load};
use app::{App, MachineWorld, Operator};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Store;

const MANIFEST: &str = "manifest.json";

/// Flags of `backup`.
#[derive(Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The folder to make; it must not exist yet.
    folder: PathBuf,
}

/// Flags of `verify`.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// The folder of the backup.
    folder: PathBuf,
}

/// Flags of `restore`.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The folder of the backup.
    folder: PathBuf,
    /// The data folder to make; it must not exist yet.
    data_dir: PathBuf,
}

/// What a backup holds: each file with its BLAKE3 hash.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    made_at: String,
    version: String,
    files: BTreeMap<String, String>,
}

fn at<'a>(path: &'a Path) -> impl Fn(std::io::Error) -> Exit + 'a {
    move |error| Exit::failed(format!("{}: {error}", path.display()))
}

fn failed(error: impl std::fmt::Display) -> Exit {
    Exit::failed(error.to_string())
}

fn hash_of(path: &Path) -> Result<String, Exit> {
    let (mut file, mut hasher) = (std::fs::File::open(path).map_err(at(path))?, blake3::Hasher::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(at(path))? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            read => drop(hasher.update(&buffer[..read])),
        }
    }
}

/// Files below a folder, by their path in it.
fn files_below(folder: &Path) -> Result<Vec<String>, Exit> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(at_folder) = folders.pop() {
        for entry in std::fs::read_dir(&at_folder).map_err(at(&at_folder))? {
            let entry = entry.map_err(at(&at_folder))?;
            if entry.file_type().map_err(at(&at_folder))?.is_dir() {
                folders.push(entry.path());
            } else if let Ok(name) = entry.path().strip_prefix(folder) {
                found.push(name.display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Exit> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(at(folder))?;
    }
    std::fs::copy(from, to).map(drop).map_err(at(from))
}

/// Makes a backup, beside a running server or not.
pub(crate) async fn back_up(args: BackupArgs) -> Result<(), Exit> {
    let config = load(&args.config)?.config;
    check_sqlite(&config)?;
    let (data, folder) = (&config.data_dir, &args.folder);
    if !data.join("store.db").exists() {
        return Err(Exit::usage(format!("data_dir: {} holds no store", data.display())));
    }
    std::fs::create_dir(folder).map_err(|error| Exit::usage(format!("folder: {}: {error}", folder.display())))?;
    let made = copy_all(data, folder).await;
    if made.is_err() {
        // Half a backup is none.
        let _ = std::fs::remove_dir_all(folder);
    }
    let manifest = made?;
    println!("backup  {} ({} files)", folder.display(), manifest.files.len());
    println!("next    meterhouse verify {}", folder.display());
    println!("and     keep the key file, without which no secret in it can be read, apart from it");
    Ok(())
}

fn check_sqlite(config: &Config) -> Result<(), Exit> {
    if config.postgres_url()?.is_none() {
        return Ok(());
    }
    let text = "database.url: with PostgreSQL, take one pg_dump of the database and then copy the folder files/";
    Err(Exit::usage(text))
}

async fn copy_all(data: &Path, folder: &Path) -> Result<Manifest, Exit> {
    let made_at = base::period::format_instant(base::World::now_us(&MachineWorld::default()));
    Store::copy_sqlite(&data.join("store.db"), &folder.join("store.db")).await.map_err(failed)?;
    let inbox = data.join("inbox");
    std::fs::create_dir_all(folder.join("inbox")).map_err(at(folder))?;
    for name in files_below(&inbox)? {
        // A file that was sealed meanwhile is gone: its events are in the catalog that is copied next.
        match copy_file(&inbox.join(&name), &folder.join("inbox").join(&name)) {
            Err(_) if !inbox.join(&name).exists() => {}
            copied => copied?,
        }
    }
    Store::copy_sqlite(&data.join("lake.db"), &folder.join("lake.db")).await.map_err(failed)?;
    let table = Path::new("files").join("main").join("usage");
    for name in lake::known_files(&folder.join("lake.db")).await.map_err(failed)? {
        copy_file(&data.join(&table).join(&name), &folder.join(&table).join(&name))?;
    }
    let mut files = BTreeMap::new();
    for name in files_below(folder)? {
        files.insert(name.clone(), hash_of(&folder.join(&name))?);
    }
    let manifest = Manifest { made_at, version: env!("CARGO_PKG_VERSION").to_owned(), files };
    let text = serde_json::to_string_pretty(&manifest).map_err(failed)?;
    std::fs::write(folder.join(MANIFEST), text).map_err(at(folder))?;
    Ok(manifest)
}

/// The manifest, after every file was compared with it.
fn checked_manifest(folder: &Path) -> Result<Manifest, Exit> {
    let path = folder.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(at(&path))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| Exit::failed(format!("{}: {error}", path.display())))?;
    let mut wrong = Vec::new();
    for (name, hash) in &manifest.files {
        match hash_of(&folder.join(name)) {
            Ok(found) if found == *hash => {}
            Ok(_) => wrong.push(format!("{name} is not what was written")),
            Err(exit) => wrong.push(exit.text),
        }
    }
    if wrong.is_empty() { Ok(manifest) } else { Err(Exit::failed(wrong.join("\n"))) }
}

fn copy_backup(folder: &Path, manifest: &Manifest, to: &Path) -> Result<(), Exit> {
    std::fs::create_dir(to).map_err(|error| Exit::usage(format!("{}: {error}", to.display())))?;
    manifest.files.keys().try_for_each(|name| copy_file(&folder.join(name), &to.join(name)))
}

/// Restores into a scratch folder and looks at everything.
pub(crate) async fn verify(args: VerifyArgs) -> Result<(), Exit> {
    let manifest = checked_manifest(&args.folder)?;
    println!("files    {} are what was written at {}", manifest.files.len(), manifest.made_at);
    let world = MachineWorld::default();
    let scratch = std::env::temp_dir().join(format!("meterhouse-verify-{:x}", base::World::fresh_id(&world)));
    let looked = match copy_backup(&args.folder, &manifest, &scratch) {
        Ok(()) => look(&scratch).await,
        failed => failed,
    };
    let _ = std::fs::remove_dir_all(&scratch);
    looked?;
    println!("verified {}", args.folder.display());
    Ok(())
}

async fn look(folder: &Path) -> Result<(), Exit> {
    let world = Arc::new(MachineWorld::default());
    lake::settle_copy(folder, world.clone()).await.map_err(failed)?;
    let store = Store::open(&format!("sqlite://{}", folder.join("store.db").display())).await.map_err(failed)?;
    let opened = lake::Lake::open(folder, None, world.clone(), lake::Settings::default()).await;
    let lake = opened.map_err(failed)?;
    let bytes = lake.check_all().await.map_err(failed)?;
    let damaged = lake.damaged();
    if let Some(first) = damaged.first() {
        return Err(Exit::failed(format!("{} usage files are damaged, {:?} first", damaged.len(), first)));
    }
    println!("usage    {bytes} bytes of files match their hashes");
    let operator = Operator::at(store.clone(), world.clone());
    let app = App::new(store, lake, world, app::secrets::Vault::new(&[0; 32]), app::Outside::default())?;
    app.check_together().await?;
    println!("together documents and usage are of one time");
    let found = app::audit::verify_by_operator(&operator).await?;
    println!("log      {} entries of {} trees are an unbroken chain", found.entries, found.trees);
    println!("ledger   {} entries are balanced", found.ledger_entries);
    let made_again = app::recomputed::last_months(&app, &operator).await?;
    if let Some(first) = made_again.differing.first() {
        return Err(Exit::failed(format!("{} documents differ: {first}", made_again.differing.len())));
    }
    println!("figures  {} documents of the last closed months come out the same again", made_again.same);
    app.close().await;
    Ok(())
}

/// Makes a data folder of a backup.
pub(crate) async fn restore(args: RestoreArgs) -> Result<(), Exit> {
    let manifest = checked_manifest(&args.folder)?;
    copy_backup(&args.folder, &manifest, &args.data_dir)?;
    let folder = std::path::absolute(&args.data_dir).map_err(failed)?;
    lake::settle_copy(&folder, Arc::new(MachineWorld::default())).await.map_err(failed)?;
    println!("restored {} as of {}", folder.display(), manifest.made_at);
    println!("next     put the key file there as `key`, or name it in secrets.key_file, and start the server");
    Ok(())
}
