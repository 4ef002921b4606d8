//! `admin`: what an operator does at the machine itself, without signing in. Each act is in the audit log.

use crate::Exit;
use crate::config::{Config, ConfigArgs, load};
use crate::serve::{lock_folder, open_store};
use app::{MachineWorld, Operator, domains, resets, restore, unattached};
use base::{OrgId, UserId};
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
    /// Make somebody an admin again who can run an organisation, and remove what keeps them from it. A server on the same
    /// store may run meanwhile.
    RestoreAdmin(ResetLinkArgs),
    /// List people who belong to no organisation any more.
    Unattached(UnattachedArgs),
    /// Erase what names somebody who belongs to no organisation: name, address, identities, invitations. A server on the
    /// same store may run meanwhile.
    EraseUser(EraseUserArgs),
    /// Go on with an inbox that was cut: what it lost is lost. The server must not run.
    AcceptInbox(AcceptInboxArgs),
}

/// Flags of `admin unattached`.
#[derive(Args)]
pub(crate) struct UnattachedArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Flags of `admin erase-user`.
#[derive(Args)]
pub(crate) struct EraseUserArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Their id, as `admin unattached` says it.
    user: UserId,
}

/// Flags of `admin accept-inbox`.
#[derive(Args)]
pub(crate) struct AcceptInboxArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Flags of `admin reset-link` and `admin restore-admin`.
#[derive(Args)]
pub(crate) struct ResetLinkArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Their address.
    address: String,
    /// The organisation: for a link, the one that they belong to; for an admin, the one to run, the highest if left out.
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
        AdminCommand::RestoreAdmin(args) => restore_admin(&args).await,
        AdminCommand::Unattached(args) => list_unattached(&args).await,
        AdminCommand::EraseUser(args) => erase_user(&args).await,
        AdminCommand::AcceptInbox(args) => accept_inbox(&args).await,
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

async fn restore_admin(args: &ResetLinkArgs) -> Result<(), Exit> {
    let (_, store) = known_store(&args.config).await?;
    let operator = Operator::at(store, Arc::new(MachineWorld::default()));
    let made = restore::admin_by_operator(&operator, &args.address, args.org).await?;
    println!("admin   {} of {}", made.user, made.org);
    for what in &made.removed {
        println!("removed {what}");
    }
    if made.needs_link {
        println!("next    meterhouse admin reset-link {}: they have no password yet", args.address);
    }
    Ok(())
}

async fn list_unattached(args: &UnattachedArgs) -> Result<(), Exit> {
    let (_, store) = known_store(&args.config).await?;
    let operator = Operator::at(store, Arc::new(MachineWorld::default()));
    for (realm, user) in unattached::list_by_operator(&operator).await? {
        let state = if user.state == "deprovisioned" { "shut" } else { &user.state };
        println!("{} {} ({}) {state} {realm}", user.id, user.email, user.display_name);
    }
    Ok(())
}

async fn erase_user(args: &EraseUserArgs) -> Result<(), Exit> {
    let (_, store) = known_store(&args.config).await?;
    let operator = Operator::at(store, Arc::new(MachineWorld::default()));
    let erased = unattached::erase_by_operator(&operator, args.user).await?;
    println!("erased  {} ({})", erased.id, erased.email);
    Ok(())
}

async fn accept_inbox(args: &AcceptInboxArgs) -> Result<(), Exit> {
    let (config, store) = known_store(&args.config).await?;
    lock_folder(&config.data_dir)?;
    let folder = std::path::absolute(&config.data_dir).map_err(|error| Exit::failed(error.to_string()))?;
    let (world, settings) =
        (Arc::new(MachineWorld::default()), lake::Settings { accept_cut_inbox: true, ..lake::Settings::default() });
    let postgres = config.postgres_url()?;
    let opened = lake::Lake::open(&folder, postgres.as_deref(), world.clone(), settings).await;
    opened.map_err(|error| Exit::failed(error.to_string()))?.close().await;
    restore::note_cut_inbox(&Operator::at(store, world)).await?;
    println!("the inbox goes on where it ends; what it lost is not counted");
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
