//! `serve`: console, API, gateway and timers in one process.

use crate::Exit;
use crate::config::{Config, ConfigArgs, load};
use app::{App, MachineWorld};
use base::World;
use clap::Args;
use gateway::AppPort;
use lake::Lake;
use serving::connections::{Connections, Limits};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use web::Web;

/// Flags of `serve`.
#[derive(Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Sets up logging once for the process.
pub(crate) fn start_log(level: &str, json: bool) -> Result<(), Exit> {
    let filter = tracing_subscriber::EnvFilter::try_new(level)
        .map_err(|error| Exit::usage(format!("log.level: {level:?} is not a filter: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = if json { builder.json().try_init() } else { builder.try_init() };
    result.map_err(|error| Exit::failed(error.to_string()))
}

/// The key that seals secrets; made on first use, readable by its owner only.
fn vault_key(config: &Config, world: &dyn World) -> Result<[u8; 32], Exit> {
    let path = config.secrets.key_file.clone().unwrap_or_else(|| config.data_dir.join("key"));
    let named = config.secrets.key_file.is_some();
    if !named && !path.exists() {
        let mut fresh = [0_u8; 32];
        world.fill_random(&mut fresh);
        write_private(&path, &hex_text(&fresh))?;
        return Ok(fresh);
    }
    let wrong = |reason: &str| Exit::usage(format!("secrets.key_file: {}: {reason}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error.to_string()))?;
    let text = text.trim();
    let mut key = [0_u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong("must hold 64 hex digits"));
    }
    for (index, byte) in key.iter_mut().enumerate() {
        *byte =
            u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong("must hold 64 hex digits"))?;
    }
    Ok(key)
}

fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_private(path: &Path, text: &str) -> Result<(), Exit> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| Exit::failed(format!("{}: {error}", path.display())))
}

/// Held as long as the process lives: two processes on one data folder would number the inbox twice.
static FOLDER_LOCK: OnceLock<std::fs::File> = OnceLock::new();

pub(crate) fn lock_folder(folder: &Path) -> Result<(), Exit> {
    let path = folder.join("lock");
    let file = std::fs::File::create(&path).map_err(|error| Exit::failed(format!("{}: {error}", path.display())))?;
    file.try_lock().map_err(|_| {
        let text = format!("data_dir: {} is in use by another meterhouse process", folder.display());
        Exit { code: 5, ..Exit::failed(text) }
    })?;
    // A second call in one process keeps the first lock.
    let _ = FOLDER_LOCK.set(file);
    Ok(())
}

/// Opens the store of a configuration alone: several processes may.
pub(crate) async fn open_store(config: &Config) -> Result<Store, Exit> {
    let file = config.data_dir.join("store.db");
    let url = config.postgres_url()?.unwrap_or_else(|| format!("sqlite://{}", file.display()));
    let opened = Store::open(&url).await;
    opened.map_err(|error| Exit::failed(format!("database.url: cannot open the database: {error}")))
}

/// Opens store and lake of a configuration.
pub(crate) async fn open_app(config: &Config, world: Arc<dyn World>) -> Result<(Arc<App>, [u8; 32]), Exit> {
    let folder = &config.data_dir;
    std::fs::create_dir_all(folder).map_err(|error| Exit::usage(format!("data_dir: {}: {error}", folder.display())))?;
    lock_folder(folder)?;
    let key = vault_key(config, world.as_ref())?;
    let postgres = config.postgres_url()?;
    let store = open_store(config).await?;
    if !store.hold_alone().await.map_err(|error| Exit::failed(format!("database.url: {error}")))? {
        let text = "database.url: another meterhouse process works on this database; one installation has one process";
        return Err(Exit { code: 5, ..Exit::failed(text.to_owned()) });
    }
    let settings = lake::Settings { ack_before_commit: fault("ack-early"), ..lake::Settings::default() };
    let absolute = std::path::absolute(folder).map_err(|error| Exit::failed(error.to_string()))?;
    let opened = Lake::open(&absolute, postgres.as_deref(), world.clone(), settings).await;
    let lake = opened.map_err(|error| Exit::failed(error.to_string()))?;
    let outside = outside(config, &world)?;
    let app = App::new(store, lake, world, app::secrets::Vault::new(&key), outside)?;
    app.check_together().await?;
    Ok((app, key))
}

/// What the configuration opens, and the resolver it names.
fn outside(config: &Config, world: &Arc<dyn World>) -> Result<app::Outside, Exit> {
    let allowed = app::outside::allowed(&config.network.allow, &config.network.ports)?;
    if allowed.loopback {
        tracing::warn!(
            "network.allow opens this machine: whoever may link an S3 account or set a provider can reach its ports"
        );
    }
    let servers = match config.network.resolver.parse::<SocketAddr>() {
        Ok(server) => vec![server],
        Err(_) => system_resolvers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
    };
    let world = world.clone();
    let id = move || {
        let mut random = [0_u8; 2];
        world.fill_random(&mut random);
        u16::from_be_bytes(random)
    };
    Ok(app::Outside { allowed, txt: app::outside::txt_records(servers, id) })
}

fn system_resolvers(text: &str) -> Vec<SocketAddr> {
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    names.filter_map(|name| name.trim().parse().ok()).map(|ip| SocketAddr::new(ip, 53)).collect()
}

/// Faults for controls of tests: only in development builds, and only when asked for by name.
fn fault(name: &str) -> bool {
    cfg!(debug_assertions) && std::env::var("METERHOUSE_FAULT").is_ok_and(|fault| fault == name)
}

/// Everything that runs.
pub(crate) struct Running {
    /// Where console and API are.
    pub(crate) console: SocketAddr,
    /// Where the gateway is.
    pub(crate) gateway: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    app: Arc<App>,
}

async fn listen(key: &str, address: &str) -> Result<TcpListener, Exit> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Exit::failed(format!("{key}: cannot listen at {address}: {error}")))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which ends everything as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Starts console, gateway and timers.
pub(crate) async fn start(config: &Config, app: Arc<App>, key: [u8; 32], timers: bool) -> Result<Running, Exit> {
    let console = listen("console.listen", &config.console.listen).await?;
    let gateway = listen("gateway.listen", &config.gateway.listen).await?;
    let address = |listener: &TcpListener| listener.local_addr().map_err(|error| Exit::failed(error.to_string()));
    let (console_address, gateway_address) = (address(&console)?, address(&gateway)?);
    let or_else =
        |text: &str, address: SocketAddr| if text.is_empty() { format!("http://{address}") } else { text.to_owned() };
    let files = serving::files::raise_limit();
    let limits = Limits {
        connections_max: serving::files::connections_max(files),
        per_address_max: config.network.connections_per_address,
    };
    let proxies = app::Proxies::read(&config.network.trusted_proxies, &config.network.proxy_header)
        .map_err(|error| Exit::usage(format!("network.trusted_proxies: {error}")))?;
    // Behind a proxy everybody has its address.
    let port = || {
        let proxies = proxies.clone();
        Connections::new(limits, move |address| proxies.trusts(address.to_canonical()))
    };
    let (console_connections, gateway_connections) = (port(), port());
    let web = Web {
        proxies: proxies.clone(),
        app: app.clone(),
        s3_url: or_else(&config.gateway.public_url, gateway_address),
        https: config.console.public_url.starts_with("https://"),
        console_url: config.console.public_url.trim_end_matches('/').to_owned(),
    };
    let mut settings = gateway::Settings::new(key);
    settings.proxies = proxies;
    settings.domain = Some(config.gateway.domain.clone()).filter(|domain| !domain.is_empty());
    settings.region = Some(config.gateway.region.clone()).filter(|region| !region.is_empty());
    settings.public_url = Some(config.gateway.public_url.clone()).filter(|url| !url.is_empty());
    let public_host =
        config.gateway.public_url.split_once("://").map(|(_, host)| host.trim_end_matches('/').to_owned());
    settings.public_hosts = public_host.into_iter().collect();
    let s3 = Arc::new(gateway::Gateway::new(AppPort::new(app.clone()), app.s3_client(), app.world(), settings));
    let (stop, stop_seen) = watch::channel(false);
    let mut tasks = Vec::new();
    let end = stopped(stop_seen.clone());
    tasks.push(tokio::spawn(async move {
        if let Err(error) = web::serve(console, web, console_connections, end).await {
            tracing::error!(%error, "the console ended");
        }
    }));
    tasks.push(tokio::spawn(gateway::serve(gateway, s3, gateway_connections, stopped(stop_seen.clone()))));
    if timers {
        tasks.push(tokio::spawn(app::timers::run(app.clone(), stopped(stop_seen))));
    }
    Ok(Running { console: console_address, gateway: gateway_address, stop, tasks, app })
}

impl Running {
    /// Starts the timers if they were left out at first.
    pub(crate) fn start_timers(&mut self) {
        let stop = self.stop.subscribe();
        self.tasks.push(tokio::spawn(app::timers::run(self.app.clone(), stopped(stop))));
    }

    /// Lets running requests end, then closes the databases.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        let all = async {
            for task in self.tasks {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(std::time::Duration::from_secs(30), all).await.is_err() {
            tracing::warn!("some requests did not end within 30 s");
        }
        self.app.close().await;
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn wait_for_end() -> Result<(), Exit> {
    let failed = |error: std::io::Error| Exit::failed(error.to_string());
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.map_err(failed),
        _ = term.recv() => Ok(()),
    }
}

/// Runs until it is told to end.
pub(crate) async fn run(args: ServeArgs) -> Result<(), Exit> {
    let config = load(&args.config)?.config;
    start_log(&config.log.level, config.log.format == "json")?;
    let world: Arc<dyn World> = Arc::new(MachineWorld::default());
    let (app, key) = open_app(&config, world).await?;
    if app::realms::all(&app).await?.is_empty() {
        return Err(Exit::usage("there is no realm yet: run `meterhouse init` first"));
    }
    let running = start(&config, app, key, true).await?;
    tracing::info!(console = %running.console, gateway = %running.gateway, "serving");
    println!("console http://{}", running.console);
    println!("s3      http://{}", running.gateway);
    wait_for_end().await?;
    running.stop().await;
    Ok(())
}
