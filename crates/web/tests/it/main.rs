//! The faces with a real application behind them, without sockets: who gets what where, clients that leave,
//! attacks.

mod attack;
mod bench;
mod contents;
mod landing;
mod matrix;
mod named;
mod pages;
mod planted;
mod retries;
mod routes;
mod scim;
mod scopes;
