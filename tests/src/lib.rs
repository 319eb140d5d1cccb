//! Harness of the end-to-end tests: real servers, the program as it is shipped, real clients.
//!
//! Everything that a test starts listens on a free loopback port and ends with the value that
//! stands for it, also when the test panics. Helpers panic with what a person needs to know; a
//! program that is not installed fails the test with the command that installs it.
//!
//! ```no_run
//! use keyward_e2e::{Backend, Client, ok};
//!
//! for backend in Backend::all() {
//!     let keyward = backend.start();
//!     let mut client = Client::connect(&keyward.redis_url);
//!     assert_eq!(client.call(&["SET", "k", "v"]), ok(), "{backend}");
//! }
//! ```

mod api;
mod client;
mod files;
mod keyward;
mod oidc_provider;
mod process;
mod programs;
mod secrets;
mod server;

pub use api::{Api, Response, text};
pub use client::{Client, RedisUrl, assert_error, bulk, error_text, ok, simple};
pub use files::Files;
pub use keyward::{AccessKey, Backend, Keyward};
pub use keyward_resp::Value;
pub use oidc_provider::OidcProvider;
pub use process::{Process, free_port, wait_until};
pub use programs::{
    Output, chromium, node, node_program, plain_node_program, python, redis_benchmark, redis_cli,
    simulate,
};
pub use secrets::find_secret;
pub use server::{RedisServer, Server, ServerKind, ValkeyServer};
