//! The side of the client: who it is, what it asks for, and what the gateway answers itself.

pub(crate) mod allowed;
pub(crate) mod catalogue;
pub(crate) mod client;
pub(crate) mod denial;
pub(crate) mod handling;
pub(crate) mod login;
pub(crate) mod notifications;
pub(crate) mod own;
pub(crate) mod secrets;
pub(crate) mod subscriptions;
pub(crate) mod transaction;
pub(crate) mod words;

#[cfg(test)]
mod tests;
