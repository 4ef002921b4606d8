//! The client commands: `noun verb` over the JSON API of a server, wherever it runs.
//!
//! Data goes to standard output, messages to standard error. Secrets come from a prompt, standard input or
//! a file, never from a flag or an environment variable. The commands decide nothing: they send what was
//! asked and show what was answered.

mod args;
mod commands;
mod context;
mod http;
mod money;
mod output;
mod rights;
mod session;
mod tree;

pub(crate) use args::ClientCommand;

use std::process::ExitCode;

/// Runs a client command. Exit codes: 0 done, 1 failed, 2 wrong use, 3 not found, 4 not signed in or not
/// allowed, 5 conflict, 6 too many requests, 7 done in part, 8 no answer in time, 9 not whole.
pub(crate) async fn run(command: ClientCommand) -> ExitCode {
    match commands::dispatch(command).await {
        Ok(code) => ExitCode::from(code),
        Err(exit) => {
            eprintln!("meterhouse: {}", exit.text);
            ExitCode::from(exit.code)
        }
    }
}
