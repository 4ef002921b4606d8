//! `init`: the first realm and its admin.

use crate::Exit;
use crate::config::{Config, ConfigArgs, load};
use crate::serve::{open_app, start_log};
use app::MachineWorld;
use app::realms::{NewRealm, create};
use clap::Args;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Flags of `init`.
#[derive(Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Name of the provider: the root of the tree.
    #[arg(long)]
    name: String,
    /// E-mail address of the first admin.
    #[arg(long)]
    admin_email: String,
    /// His name.
    #[arg(long, default_value = "Administrator")]
    admin_name: String,
    /// Currency of the provider's papers.
    #[arg(long, default_value = "EUR")]
    currency: String,
    /// Time zone of the provider's months.
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// File with the admin's password; else it is asked for, or read from standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Reads a secret from a file or from standard input. Never from a flag: those show in process lists.
pub(crate) fn read_secret(what: &str, file: Option<&PathBuf>) -> Result<String, Exit> {
    let text = match file {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|error| Exit::usage(format!("{}: {error}", path.display())))?
        }
        None => {
            if std::io::stdin().is_terminal() {
                eprint!("{what}: ");
                let _ = std::io::stderr().flush();
            }
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map_err(|error| Exit::failed(error.to_string()))?;
            line
        }
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// What a first configuration says.
const FIRST_CONFIG: &str = r#"# S3 accounts and identity providers may stand at public https addresses, and in these networks.
# This machine is here so that a store on it can be tried out; take it away when none is.
[network]
allow = ["127.0.0.0/8"]
"#;

/// Without any configuration a first one is written that opens this machine.
fn with_network(args: &ConfigArgs, config: Config) -> Result<Config, Exit> {
    let path = Path::new("meterhouse.toml");
    if args.names_a_file() || path.exists() || !config.network.allow.is_empty() {
        return Ok(config);
    }
    if let Err(error) = std::fs::write(path, FIRST_CONFIG) {
        // A server's folder may be closed to it: then nothing is opened.
        eprintln!("meterhouse.toml: {error}; S3 accounts must stand at public addresses until network.allow is set");
        return Ok(config);
    }
    println!("configuration meterhouse.toml");
    Ok(load(args)?.config)
}

/// Makes the realm.
pub(crate) async fn run(args: InitArgs) -> Result<(), Exit> {
    let config = with_network(&args.config, load(&args.config)?.config)?;
    start_log("warn", false)?;
    let currency = args.currency.parse().map_err(|error| Exit::usage(format!("--currency: {error}")))?;
    let zone = args.zone.parse().map_err(|error| Exit::usage(format!("--zone: {error}")))?;
    let admin_password = read_secret("password of the admin (12 characters or more)", args.password_file.as_ref())?;
    let (app, _) = open_app(&config, Arc::new(MachineWorld::default())).await?;
    let new = NewRealm {
        name: args.name,
        currency,
        zone,
        admin_email: args.admin_email.clone(),
        admin_name: args.admin_name,
        admin_password,
    };
    let (realm, _) = create(&app, new).await?;
    println!("realm {realm}");
    println!("organisation {}", realm.root());
    println!("admin {}", args.admin_email);
    println!("next: meterhouse serve, then sign in at http://{}", config.console.listen);
    app.close().await;
    Ok(())
}
