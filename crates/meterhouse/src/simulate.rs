//! `sim`: the outside world for trying out and for tests.

use crate::Exit;
use crate::init::read_secret;
use crate::serve::wait_for_end;
use app::MachineWorld;
use clap::{Args, Subcommand};
use sim::s3_store::S3Store;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What can be simulated.
#[derive(Subcommand)]
pub(crate) enum SimCommand {
    /// A small S3 store on 127.0.0.1. It forgets everything when it ends.
    S3(S3Args),
}

/// Flags of `sim s3`.
#[derive(Args)]
pub(crate) struct S3Args {
    /// Port on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// The one access key it knows.
    #[arg(long)]
    access_key: String,
    /// File with the key's secret; else it is read from standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Folder for the objects.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// Runs until it is told to end.
pub(crate) async fn run(command: SimCommand) -> Result<(), Exit> {
    let SimCommand::S3(args) = command;
    let secret = read_secret("secret of the access key", args.secret_file.as_ref())?;
    let address = format!("127.0.0.1:{}", args.port);
    let listener = TcpListener::bind(&address).await;
    let listener = listener.map_err(|error| Exit::failed(format!("--port: cannot listen at {address}: {error}")))?;
    let store =
        S3Store::start(listener, vec![(args.access_key, secret)], args.data_dir, Arc::new(MachineWorld::default()));
    println!("s3 http://{}", store.addr());
    wait_for_end().await?;
    store.stop().await;
    Ok(())
}
