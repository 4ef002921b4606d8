//! Configuration: one TOML file < environment `METERHOUSE_*` < flags. Unknown keys are refused.

use crate::Exit;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the configuration comes from.
#[derive(Args, Clone, Default)]
pub(crate) struct ConfigArgs {
    /// The TOML file. Without it: meterhouse.toml in this folder if there is one, else defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the databases, the usage files and the key file.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl ConfigArgs {
    /// Whether a file was named.
    pub(crate) fn names_a_file(&self) -> bool {
        self.config.is_some()
    }
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) database: Database,
    pub(crate) console: Console,
    pub(crate) gateway: Gateway,
    pub(crate) secrets: Secrets,
    pub(crate) network: Network,
    pub(crate) log: Log,
}

/// What the program may speak to when people name an address: S3 endpoints, identity providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// Networks besides public addresses: `127.0.0.0/8`, `10.20.0.0/16`.
    pub(crate) allow: Vec<String>,
    /// Ports of public addresses besides 443 and 8443.
    pub(crate) ports: Vec<u16>,
    /// `192.0.2.53:53` of the resolver that is asked for TXT records; empty: those of /etc/resolv.conf.
    pub(crate) resolver: String,
    /// Reverse proxies whose word about a client's address is believed: `127.0.0.1/32`. None by default.
    pub(crate) trusted_proxies: Vec<String>,
    /// The header in which they say it: `x-forwarded-for` or `forwarded`; empty: the first.
    pub(crate) proxy_header: String,
    /// Connections of one port from one address at most; trusted proxies have no such limit.
    pub(crate) connections_per_address: usize,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            ports: Vec::new(),
            resolver: String::new(),
            trusted_proxies: Vec::new(),
            proxy_header: String::new(),
            connections_per_address: 512,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Database {
    /// `postgres://user@host/database`; empty for SQLite files in the data folder.
    pub(crate) url: String,
    /// A file that holds the URL, so that its password stands in no environment.
    pub(crate) url_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Console {
    pub(crate) listen: String,
    /// Address as people use it; `https://` makes cookies demand it.
    pub(crate) public_url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Gateway {
    pub(crate) listen: String,
    /// Address as S3 clients use it.
    pub(crate) public_url: String,
    /// Domain of virtual-host style requests; empty for path style only.
    pub(crate) domain: String,
    /// Only region accepted in signatures; empty for any.
    pub(crate) region: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Secrets {
    /// 64 hex digits that seal secrets at rest; made in the data folder when not named.
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `info`, `debug`, or a filter such as `gateway=debug,info`.
    pub(crate) level: String,
    /// `json` or `text`.
    pub(crate) format: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            database: Database::default(),
            console: Console::default(),
            gateway: Gateway::default(),
            secrets: Secrets::default(),
            network: Network::default(),
            log: Log::default(),
        }
    }
}

impl Default for Console {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".to_owned(), public_url: String::new() }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        let listen = "127.0.0.1:9000".to_owned();
        Self { listen, public_url: String::new(), domain: String::new(), region: String::new() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: "json".to_owned() }
    }
}

/// Environment variables and the keys they set.
const ENVIRONMENT: [(&str, &str); 16] = [
    ("METERHOUSE_DATA_DIR", "data_dir"),
    ("METERHOUSE_DATABASE_URL", "database.url"),
    ("METERHOUSE_DATABASE_URL_FILE", "database.url_file"),
    ("METERHOUSE_CONSOLE_LISTEN", "console.listen"),
    ("METERHOUSE_CONSOLE_PUBLIC_URL", "console.public_url"),
    ("METERHOUSE_GATEWAY_LISTEN", "gateway.listen"),
    ("METERHOUSE_GATEWAY_PUBLIC_URL", "gateway.public_url"),
    ("METERHOUSE_GATEWAY_DOMAIN", "gateway.domain"),
    ("METERHOUSE_GATEWAY_REGION", "gateway.region"),
    ("METERHOUSE_SECRETS_KEY_FILE", "secrets.key_file"),
    ("METERHOUSE_NETWORK_ALLOW", "network.allow"),
    ("METERHOUSE_NETWORK_PROXY_HEADER", "network.proxy_header"),
    ("METERHOUSE_NETWORK_RESOLVER", "network.resolver"),
    ("METERHOUSE_NETWORK_TRUSTED_PROXIES", "network.trusted_proxies"),
    ("METERHOUSE_LOG_LEVEL", "log.level"),
    ("METERHOUSE_LOG_FORMAT", "log.format"),
];

/// Variables with our prefix that belong to the client commands, to tests and to faults.
const OTHERS: [&str; 4] = ["METERHOUSE_TEST_", "METERHOUSE_FAULT", "METERHOUSE_CONTEXT", "METERHOUSE_CONFIG_HOME"];

/// A configuration with the origin of each key that is not a default.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    origins: BTreeMap<String, String>,
}

/// Reads file, environment and flags.
pub(crate) fn load(args: &ConfigArgs) -> Result<Loaded, Exit> {
    let variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    load_from(args, Path::new("meterhouse.toml"), &variables)
}

fn load_from(args: &ConfigArgs, usual: &Path, variables: &[(String, String)]) -> Result<Loaded, Exit> {
    let path = args.config.clone().or_else(|| usual.exists().then(|| usual.to_owned()));
    let mut table = toml::Table::new();
    let mut origins = BTreeMap::new();
    if let Some(path) = path {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| Exit::usage(format!("{name}: {error}")))?;
        // Read once as a whole first: its errors name line and key.
        toml::from_str::<Config>(&text).map_err(|error| Exit::usage(format!("{name}: {error}")))?;
        table = toml::from_str(&text).map_err(|error| Exit::usage(format!("{name}: {error}")))?;
        note_origins(&table, "", &name, &mut origins);
    }
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("METERHOUSE_")) {
        if OTHERS.iter().any(|known| name.starts_with(known)) {
            continue;
        }
        let Some((_, key)) = ENVIRONMENT.iter().find(|(known, _)| known == name) else {
            let known: Vec<&str> = ENVIRONMENT.iter().map(|(name, _)| *name).collect();
            return Err(Exit::usage(format!("environment {name} is not a setting; there are {}", known.join(", "))));
        };
        put(&mut table, key, value);
        origins.insert((*key).to_owned(), format!("environment {name}"));
    }
    if let Some(folder) = &args.data_dir {
        put(&mut table, "data_dir", &folder.display().to_string());
        origins.insert("data_dir".to_owned(), "flag --data-dir".to_owned());
    }
    let config: Config = table.try_into().map_err(|error| Exit::usage(format!("configuration: {error}")))?;
    validate(&config)?;
    Ok(Loaded { config, origins })
}

fn note_origins(table: &toml::Table, prefix: &str, name: &str, origins: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => note_origins(inner, &full, name, origins),
            _ => {
                origins.insert(full, format!("file {name}"));
            }
        }
    }
}

fn put(table: &mut toml::Table, key: &str, value: &str) {
    let text = match key {
        "network.allow" | "network.trusted_proxies" => {
            let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
            toml::Value::Array(parts.map(|part| toml::Value::String(part.to_owned())).collect())
        }
        _ => toml::Value::String(value.to_owned()),
    };
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), text);
        }
        Some((outer, inner)) => {
            let entry = table.entry(outer).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(section) = entry {
                section.insert(inner.to_owned(), text);
            }
        }
    }
}

fn validate(config: &Config) -> Result<(), Exit> {
    let wrong = |key: &str, value: &str, reason: &str| Err(Exit::usage(format!("{key}: {value:?} {reason}")));
    for (key, value) in [("console.listen", &config.console.listen), ("gateway.listen", &config.gateway.listen)] {
        if value.parse::<std::net::SocketAddr>().is_err() {
            return wrong(key, value, "is not an address with port such as 127.0.0.1:8080");
        }
    }
    for (key, value) in
        [("console.public_url", &config.console.public_url), ("gateway.public_url", &config.gateway.public_url)]
    {
        if !value.is_empty() && !value.starts_with("http://") && !value.starts_with("https://") {
            return wrong(key, value, "is not an address that begins with http:// or https://");
        }
    }
    let url = &config.database.url;
    if !url.is_empty() && !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return wrong("database.url", url, "must begin with postgres://; leave it empty for SQLite in the data folder");
    }
    if !url.is_empty() && config.database.url_file.is_some() {
        return wrong("database.url_file", "", "and database.url exclude each other");
    }
    app::outside::allowed(&config.network.allow, &config.network.ports)?;
    let resolver = &config.network.resolver;
    if !resolver.is_empty() && resolver.parse::<std::net::SocketAddr>().is_err() {
        return wrong("network.resolver", resolver, "is not an address with port such as 192.0.2.53:53");
    }
    app::Proxies::read(&config.network.trusted_proxies, &config.network.proxy_header)
        .map_err(|error| Exit::usage(format!("network.trusted_proxies: {error}")))?;
    let per_address = config.network.connections_per_address;
    if !(8..=20_000).contains(&per_address) {
        return wrong("network.connections_per_address", &per_address.to_string(), "is not 8 to 20000");
    }
    if !["json", "text"].contains(&config.log.format.as_str()) {
        return wrong("log.format", &config.log.format, "is not one of json, text");
    }
    Ok(())
}

impl Config {
    /// The URL of PostgreSQL, if one is set.
    pub(crate) fn postgres_url(&self) -> Result<Option<String>, Exit> {
        if let Some(path) = &self.database.url_file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Exit::usage(format!("database.url_file: {}: {error}", path.display())))?;
            return Ok(Some(text.trim().to_owned()));
        }
        Ok(Some(self.database.url.clone()).filter(|url| !url.is_empty()))
    }
}

/// `check-config`: prints the values in force and where they come from.
pub(crate) fn check(args: &ConfigArgs) -> Result<(), Exit> {
    let loaded = load(args)?;
    let table = toml::Table::try_from(&loaded.config).map_err(|error| Exit::failed(error.to_string()))?;
    for (key, value) in flatten(&table, "") {
        let origin = loaded.origins.get(&key).map_or("default", String::as_str);
        // A URL may carry a password.
        let shown = if key == "database.url" && !value.is_empty() { "(set)".to_owned() } else { value };
        println!("{key} = {shown:?}  # {origin}");
    }
    Ok(())
}

fn flatten(table: &toml::Table, prefix: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for (key, value) in table {
        let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => rows.extend(flatten(inner, &full)),
            toml::Value::String(text) => rows.push((full, text.clone())),
            other => rows.push((full, format!("{other:?}"))),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Exit> {
        let folder = testkit::TempFolder::new("config");
        let path = folder.path().join("m.toml");
        std::fs::write(&path, text).unwrap();
        let args = ConfigArgs { config: Some(path), data_dir: None };
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load_from(&args, Path::new("/nowhere"), &variables)
    }

    fn refused(text: &str, variables: &[(&str, &str)], parts: &[&str]) {
        let exit = load_text(text, variables).err().expect("it must be refused");
        assert_eq!(exit.code, 2);
        for part in parts {
            assert!(exit.text.contains(part), "{:?} lacks {part:?}", exit.text);
        }
    }

    #[test]
    fn wrong_settings_name_key_value_and_reason() {
        refused("[gateway]\nlisen = \"x\"", &[], &["lisen", "listen"]);
        refused("colour = 1", &[], &["colour"]);
        refused("[console]\nlisten = \"8080\"", &[], &["console.listen", "8080", "127.0.0.1:8080"]);
        refused("[database]\nurl = \"mysql://x\"", &[], &["database.url", "mysql", "postgres"]);
        refused("[log]\nformat = \"xml\"", &[], &["log.format", "xml", "json"]);
        refused("[network]\nallow = [\"10.0.0.1\"]", &[], &["network.allow", "10.0.0.1", "10.20.0.0/16"]);
        refused("[network]\nresolver = \"dns\"", &[], &["network.resolver", "dns", "192.0.2.53:53"]);
        refused("", &[("METERHOUSE_NETWORK_ALLOW", "127.0.0.0/8, x")], &["network.allow", "x"]);
        refused("", &[("METERHOUSE_GATEWAY_LISEN", "x")], &["METERHOUSE_GATEWAY_LISEN", "METERHOUSE_GATEWAY_LISTEN"]);
        refused("", &[("METERHOUSE_CONSOLE_PUBLIC_URL", "ftp://x")], &["console.public_url", "ftp"]);
    }

    #[test]
    fn networks_are_a_list() {
        let loaded = load_text("", &[("METERHOUSE_NETWORK_ALLOW", "127.0.0.0/8, fd00:1::/32")]).unwrap();
        assert_eq!(loaded.config.network.allow, ["127.0.0.0/8", "fd00:1::/32"]);
    }

    #[test]
    fn environment_beats_the_file() {
        let loaded =
            load_text("[console]\nlisten = \"127.0.0.1:1\"", &[("METERHOUSE_CONSOLE_LISTEN", "127.0.0.1:2")]).unwrap();
        assert_eq!(loaded.config.console.listen, "127.0.0.1:2");
        assert_eq!(loaded.origins["console.listen"], "environment METERHOUSE_CONSOLE_LISTEN");
        assert_eq!(loaded.config.gateway, Gateway::default());
    }
}
