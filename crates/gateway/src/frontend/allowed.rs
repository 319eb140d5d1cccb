//! What is done with a command that is allowed.

use std::sync::Arc;

use keyward_commands::{CommandId, Words as _};
use keyward_iam::{KeyFilter, Permit};
use keyward_resp::{Protocol, encode};

use super::catalogue;
use super::client::{Access, Client, Flow, Hold, Turn};
use super::handling::{Handling, Namespace};
use super::notifications::{self, may_hear};
use super::secrets;
use super::subscriptions::Subscriptions;
use super::words::RequestWords;
use crate::backend::Backend;
use crate::reply_queue::Mark;
use crate::sieve::{DRAWS, Item, Listing, Sieve};

impl Client {
    /// A command that is allowed.
    pub(crate) fn allowed(
        &mut self,
        permit: &Permit<'_>,
        words: RequestWords<'_>,
        handling: Handling,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let name = permit.command().command().name;
        match handling {
            Handling::Multi => return self.multi(permit, turn),
            Handling::Exec => return self.exec(permit, turn),
            Handling::Discard => return self.discard(permit, turn),
            Handling::Refused => {
                let text = format!("ERR keyward: '{name}' is not available through the gateway");
                return self.refuse(&text, turn);
            }
            Handling::Own(_)
            | Handling::Subscribe(_)
            | Handling::Unsubscribe(_)
            | Handling::ConfigGet
                if self.transaction.is_some() =>
            {
                let text = format!("ERR keyward: '{name}' is not available inside MULTI");
                return self.refuse(&text, turn);
            }
            Handling::Own(own) => return self.own(own, words, turn),
            _ => {}
        }
        match &self.backend {
            Backend::Server(_) => self.allowed_on_server(permit, words, handling, turn),
            Backend::Embedded(_) => self.allowed_on_engine(permit, words, handling, turn),
            Backend::None => self.refuse("ERR keyward: the database was deleted", turn),
        }
    }

    fn allowed_on_server(
        &mut self,
        permit: &Permit<'_>,
        words: RequestWords<'_>,
        handling: Handling,
        turn: &mut Turn<'_>,
    ) -> Flow {
        if matches!(
            handling,
            Handling::Sticky | Handling::Watch | Handling::Unwatch
        ) && let Backend::Server(upstream) = &mut self.backend
        {
            if redirects_elsewhere(permit, words) {
                let text = "ERR keyward: CLIENT TRACKING REDIRECT is not available";
                return self.refuse(text, turn);
            }
            upstream.open(self.protocol, self.number, &mut self.queue);
            upstream.stick();
            if permit.command().command().name == "client|tracking" {
                upstream.track(words.is(2, "ON").then_some(permit.bytes()));
            }
        }
        if self.transaction.is_some() {
            // The server refuses WATCH by itself.
            if handling == Handling::Watch {
                self.forward(permit);
                return Flow::Done;
            }
            if handling == Handling::Select
                && let Some(transaction) = &mut self.transaction
            {
                transaction.select = number(words).or(transaction.select);
            }
            return self.queue_command(permit, turn);
        }
        match handling {
            Handling::Select => match number(words) {
                Some(number) => {
                    self.forward_marked(permit, Mark::Select(number));
                    // Whether it was selected decides what comes next.
                    if let Access::Open(open) = &self.access
                        && open.table.reads_database_index()
                    {
                        self.hold = Hold::UntilIdle;
                    }
                }
                None => self.forward(permit),
            },
            Handling::Blocking => {
                self.send(permit);
                if let Backend::Server(upstream) = &mut self.backend {
                    upstream.block(permit.bytes());
                }
                self.queue.marked(Mark::Blocking, !self.quiet);
            }
            Handling::Subscribe(namespace) => {
                return self.subscribe(permit, words, namespace, turn);
            }
            Handling::Unsubscribe(namespace) => self.unsubscribe(permit, words, namespace),
            Handling::ConfigGet if !self.quiet => {
                self.send(permit);
                self.queue.filtered(match self.protocol {
                    Protocol::Resp2 => secrets::without_secrets_resp2,
                    Protocol::Resp3 => secrets::without_secrets_resp3,
                });
            }
            Handling::Enumeration(_) => self.enumerate(permit, turn),
            _ => self.forward(permit),
        }
        Flow::Done
    }

    /// A command that tells the names of keys.
    fn enumerate(&mut self, permit: &Permit<'_>, turn: &Turn<'_>) {
        let draws = draws(permit);
        match item(permit.command(), filters(permit), draws) {
            Item::Plain => self.forward(permit),
            item => {
                (0..draws).for_each(|_| self.send(permit));
                if self.quiet {
                    (0..draws).for_each(|_| self.queue.drop_one());
                } else {
                    let limit = turn.settings.limits.unsent;
                    let sieve = Sieve::of_command(item, self.protocol, limit);
                    self.queue.sieved(sieve, None, permit.bytes().len());
                }
            }
        }
    }

    fn allowed_on_engine(
        &mut self,
        permit: &Permit<'_>,
        words: RequestWords<'_>,
        handling: Handling,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let Backend::Embedded(embedded) = &mut self.backend else {
            return Flow::Done;
        };
        if self.transaction.is_some() {
            return match handling {
                Handling::Watch => {
                    let text = "ERR WATCH inside MULTI is not allowed";
                    self.answer(turn, |out| encode::error(out, text));
                    Flow::Done
                }
                Handling::Subscribe(_) | Handling::Catalogue => {
                    let name = permit.command().command().name;
                    let text = format!("ERR keyward: '{name}' is not available inside MULTI");
                    self.refuse(&text, turn)
                }
                _ => self.queue_command(permit, turn),
            };
        }
        match handling {
            Handling::Watch => {
                words.from(1).for_each(|key| embedded.watch(key, turn.now));
                self.answer(turn, |out| encode::simple(out, "OK"));
            }
            Handling::Unwatch => {
                embedded.unwatch();
                self.answer(turn, |out| encode::simple(out, "OK"));
            }
            Handling::Catalogue => {
                let protocol = self.protocol;
                self.answer(turn, |out| catalogue::answer(words, protocol, out));
            }
            // The engine evicts nothing and keeps no time of last use: there is nothing to turn off.
            Handling::Sticky
                if matches!(
                    permit.command().command().name,
                    "client|no-evict" | "client|no-touch"
                ) =>
            {
                self.answer(turn, |out| encode::simple(out, "OK"));
            }
            Handling::Enumeration(_) if !self.quiet && permit.filter().is_some() => {
                let draws = draws(permit);
                let mut replies = Vec::new();
                for _ in 0..draws {
                    embedded.run(permit, &words, turn.now, &mut replies);
                }
                let limit = turn.settings.limits.unsent;
                let item = item(permit.command(), filters(permit), draws);
                let sieve = Sieve::of_command(item, self.protocol, limit);
                self.answer(turn, |out| sieve.whole(&replies, out));
            }
            _ if self.quiet => embedded.run(permit, &words, turn.now, &mut Vec::new()),
            _ => {
                let now = turn.now;
                self.queue
                    .local(turn.out, |out| embedded.run(permit, &words, now, out));
            }
        }
        Flow::Done
    }

    fn subscribe(
        &mut self,
        permit: &Permit<'_>,
        words: RequestWords<'_>,
        namespace: Namespace,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let Access::Open(open) = &self.access else {
            return self.not_logged_in(turn);
        };
        let mut names = words.from(1);
        let call = self.call(turn.now);
        if !names.all(|name| may_hear(namespace, name, &open.table, &call, turn.touched)) {
            self.deny_channel(words, permit.command(), notifications::REFUSED, turn);
            return Flow::Done;
        }
        let subscriptions = self.subscriptions.get_or_insert_default();
        let more: usize = words.from(1).map(<[u8]>::len).sum();
        if subscriptions.bytes() + more > turn.settings.limits.subscriptions {
            if subscriptions.is_empty() {
                self.subscriptions = None;
            }
            return self.refuse(
                "ERR keyward: too many subscriptions on one connection",
                turn,
            );
        }
        words
            .from(1)
            .for_each(|name| subscriptions.add(namespace, name));
        self.send(permit);
        self.queue.confirmations(words.len() - 1, true);
        Flow::Done
    }

    fn unsubscribe(&mut self, permit: &Permit<'_>, words: RequestWords<'_>, namespace: Namespace) {
        let mut none = Subscriptions::default();
        let subscriptions = self.subscriptions.as_deref_mut().unwrap_or(&mut none);
        let confirmations = match words.len() {
            1 => subscriptions.remove_all(namespace),
            count => {
                words
                    .from(1)
                    .for_each(|name| subscriptions.remove(namespace, name));
                count - 1
            }
        };
        let active = !subscriptions.is_empty();
        if !active {
            self.subscriptions = None;
        }
        self.send(permit);
        self.queue.confirmations(confirmations, active);
    }
}

/// How often an allowed command is run: a random key that may not be shown is drawn again.
pub(crate) fn draws(permit: &Permit<'_>) -> u32 {
    match Handling::of(permit.command()) {
        Handling::Enumeration(Listing::One) if permit.filter().is_some() => DRAWS,
        _ => 1,
    }
}

/// What becomes of the replies to an allowed command that is run so often: what every filter shows.
pub(crate) fn item(command: CommandId, filters: Vec<Arc<KeyFilter>>, draws: u32) -> Item {
    match Handling::of(command) {
        // Of a random key that was drawn when less was allowed, there are several replies anyway.
        Handling::Enumeration(listing) if draws > 1 || !filters.is_empty() => {
            let shows = move |key: &[u8]| filters.iter().all(|filter| filter.shows(key));
            Item::new(listing, draws, Box::new(shows))
        }
        _ => Item::Plain,
    }
}

/// The filter of a permit as a list.
fn filters(permit: &Permit<'_>) -> Vec<Arc<KeyFilter>> {
    permit.filter().cloned().into_iter().collect()
}

/// The database number that `SELECT` names.
pub(crate) fn number(words: RequestWords<'_>) -> Option<u8> {
    std::str::from_utf8(words.get(1)?).ok()?.parse().ok()
}

/// Whether a call of `CLIENT TRACKING` would send invalidations to a connection that is not the
/// caller's: ids are the server's, and name other clients.
fn redirects_elsewhere(permit: &Permit<'_>, words: RequestWords<'_>) -> bool {
    permit.command().command().name == "client|tracking"
        && (3..words.len()).any(|at| words.is(at, "REDIRECT"))
}
