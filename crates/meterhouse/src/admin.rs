//! `admin`: what an operator does at the machine itself, without signing in. Each act is in the audit log.

use crate::Exit;
use crate::config::{Config, ConfigArgs, load};
use crate::serve::open_store;
use app::{MachineWorld, Operator, domains, resets};
use base::OrgId;
use clap::{Args, Subcommand};
use std::sync::Arc;
use store::Store;

/// Verbs of `admin`.
#[derive(Subcommand)]
pub(crate) enum AdminCommand {
    /// Take a claimed domain as verified, without asking DNS. A server on the same store may run meanwhile.
    VerifyDomain(VerifyDomainArgs),
    /// Make a link for somebody who lost his password or second factors, also for the last admin. A server on the
    /// same store may run meanwhile.
    ResetLink(ResetLinkArgs),
}

/// Flags of `admin reset-link`.
#[derive(Args)]
pub(crate) struct ResetLinkArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// His address.
    address: String,
    /// The organisation that he belongs to, if the address is known in several trees.
    #[arg(long)]
    org: Option<OrgId>,
}

/// Flags of `admin verify-domain`.
#[derive(Args)]
pub(crate) struct VerifyDomainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The domain, such as example.com; an organisation has claimed it before.
    domain: String,
    /// The organisation that claims it, if several do.
    #[arg(long)]
    org: Option<OrgId>,
}

/// Does what was asked.
pub(crate) async fn run(command: AdminCommand) -> Result<(), Exit> {
    match command {
        AdminCommand::VerifyDomain(args) => verify_domain(&args).await,
        AdminCommand::ResetLink(args) => reset_link(&args).await,
    }
}

async fn reset_link(args: &ResetLinkArgs) -> Result<(), Exit> {
    let (config, store) = known_store(&args.config).await?;
    let operator = Operator::at(store, Arc::new(MachineWorld::default()));
    let made = resets::begin_by_operator(&operator, &args.address, args.org).await?;
    let console = if config.console.public_url.is_empty() {
        format!("http://{}", config.console.listen)
    } else {
        config.console.public_url.trim_end_matches('/').to_owned()
    };
    println!("link    {console}/reset?secret={}", made.secret);
    println!("for     {} ({})", made.email, made.user);
    println!("until   {}", base::period::format_instant(made.expires_us));
    Ok(())
}

/// The configured store, if there is one: an act on it must not make one.
async fn known_store(args: &ConfigArgs) -> Result<(Config, Store), Exit> {
    let config = load(args)?.config;
    if config.postgres_url()?.is_none() && !config.data_dir.join("store.db").exists() {
        return Err(Exit::usage(format!("data_dir: {} holds no store", config.data_dir.display())));
    }
    let store = open_store(&config).await?;
    Ok((config, store))
}

async fn verify_domain(args: &VerifyDomainArgs) -> Result<(), Exit> {
    let (_, store) = known_store(&args.config).await?;
    let operator = Operator::at(store, Arc::new(MachineWorld::default()));
    let claim = domains::verify_by_operator(&operator, &args.domain, args.org).await?;
    println!("domain {} of {} is verified", claim.domain, claim.org);
    Ok(())
}
