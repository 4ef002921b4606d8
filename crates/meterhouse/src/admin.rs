//! `admin`: what an operator does at the machine itself, without signing in. Each act is in the audit log.

use crate::Exit;
use crate::config::{ConfigArgs, load};
use crate::serve::open_store;
use app::{MachineWorld, domains};
use base::{OrgId, World};
use clap::{Args, Subcommand};

/// Verbs of `admin`.
#[derive(Subcommand)]
pub(crate) enum AdminCommand {
    /// Take a claimed domain as verified, without asking DNS. A server on the same store may run meanwhile.
    VerifyDomain(VerifyDomainArgs),
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
    }
}

async fn verify_domain(args: &VerifyDomainArgs) -> Result<(), Exit> {
    let config = load(&args.config)?.config;
    if config.postgres_url()?.is_none() && !config.data_dir.join("store.db").exists() {
        return Err(Exit::usage(format!("data_dir: {} holds no store", config.data_dir.display())));
    }
    let store = open_store(&config).await?;
    let now_us = MachineWorld::default().now_us();
    let claim = domains::verify_by_operator(&store, now_us, &args.domain, args.org).await?;
    println!("domain {} of {} is verified", claim.domain, claim.org);
    Ok(())
}
