//! The binary: flags, configuration, wiring. Everything it does is a use case of `app`.

mod admin;
mod backup;
mod client;
mod config;
mod demo;
mod init;
mod serve;
mod simulate;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// The allocator of the system keeps what each of many threads once needed: 369 MiB after twenty minutes of load, of which
/// 114 were in use. This one gives it back.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Multi-tenant cloud metering and billing.
#[derive(Parser)]
#[command(name = "meterhouse", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show everything at once: sample tenants, real S3 traffic, metered, priced and billed.
    Demo(demo::DemoArgs),
    /// Make the first realm and its admin.
    Init(init::InitArgs),
    /// Run console, API, S3 gateway and background work.
    Serve(serve::ServeArgs),
    /// Read the configuration, say what is wrong with it, and show where each value came from.
    CheckConfig(config::ConfigArgs),
    /// What an operator does at the machine itself, without signing in.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Copy all data of this moment into a new folder. A server may run meanwhile.
    Backup(backup::BackupArgs),
    /// Look whether a backup is whole: restore it into a scratch folder and check everything.
    Verify(backup::VerifyArgs),
    /// Make a data folder of a backup.
    Restore(backup::RestoreArgs),
    /// Simulate a part of the outside world.
    #[command(subcommand)]
    Sim(simulate::SimCommand),
    #[command(flatten)]
    Client(client::ClientCommand),
}

/// A failure with the exit code it ends the program with.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) code: u8,
    pub(crate) text: String,
}

impl Exit {
    /// 2: wrong flags or configuration.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }

    /// 1: it did not work.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }
}

impl From<app::Failure> for Exit {
    fn from(failure: app::Failure) -> Self {
        use app::Kind;
        let code = match failure.kind {
            Kind::Invalid => 2,
            Kind::NotFound | Kind::Gone => 3,
            Kind::Unauthenticated | Kind::StepUp | Kind::Forbidden => 4,
            Kind::Conflict => 5,
            Kind::TooMany | Kind::Busy => 6,
            Kind::Upstream | Kind::Internal => 1,
        };
        let cause = std::error::Error::source(&failure).map(|cause| format!(" ({cause})")).unwrap_or_default();
        Self { code, text: format!("{failure}{cause}") }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(Exit::failed(format!("cannot start: {error}")))),
    };
    match cli.command {
        Command::Demo(args) => end(runtime.block_on(demo::run(args))),
        Command::Init(args) => end(runtime.block_on(init::run(args))),
        Command::Serve(args) => end(runtime.block_on(serve::run(args))),
        Command::CheckConfig(args) => end(config::check(&args)),
        Command::Admin(command) => end(runtime.block_on(admin::run(command))),
        Command::Backup(args) => end(runtime.block_on(backup::back_up(args))),
        Command::Verify(args) => end(runtime.block_on(backup::verify(args))),
        Command::Restore(args) => end(runtime.block_on(backup::restore(args))),
        Command::Sim(command) => end(runtime.block_on(simulate::run(command))),
        Command::Client(command) => runtime.block_on(client::run(command)),
    }
}

fn end(result: Result<(), Exit>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            eprintln!("meterhouse: {}", exit.text);
            ExitCode::from(exit.code)
        }
    }
}
