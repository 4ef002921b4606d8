//! The faces with a real application behind them, without sockets: clients that leave.

mod bench;
mod retries;
