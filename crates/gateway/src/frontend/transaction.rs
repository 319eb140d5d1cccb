//! `MULTI`, `EXEC`, `DISCARD`: decided when queued and again, whole, when run.

use keyward_commands::{CommandId, Touched, resolve};
use keyward_iam::{Call, DecisionTable, Permit, Request};
use keyward_resp::{Decoded, RequestDecoder, RequestLimits, Words, encode};

use super::allowed::{draws, item, number as selected};
use super::client::{Access, Client, Flow, Turn};
use super::words::RequestWords;
use crate::backend::Backend;
use crate::reply_queue::Mark;
use crate::sieve::{DRAWS, Item, Sieve};

/// The server's words for a transaction in which something was refused.
const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";

/// What `MULTI` has queued.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// The requests as they were forwarded, one after the other.
    requests: Vec<u8>,
    /// Something was refused: `EXEC` runs nothing.
    refused: bool,
    /// How many requests are queued.
    count: usize,
    /// Which of them were sent several times, to draw again.
    drawn: Vec<usize>,
    /// The keyspace that the last `SELECT` in it names.
    pub(crate) select: Option<u8>,
}

impl Transaction {
    /// Something was refused: `EXEC` runs nothing.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
        self.requests = Vec::new();
        self.drawn = Vec::new();
    }

    /// Keeps a request to be decided again; false if there would be too much.
    pub(crate) fn queue(&mut self, request: &[u8], draws: u32, limit: usize) -> bool {
        let more = request.len() * draws as usize;
        if self.requests.len() + more > limit {
            return false;
        }
        if !self.refused {
            self.requests.extend_from_slice(request);
            if draws > 1 {
                self.drawn.push(self.count);
            }
            self.count += 1;
        }
        true
    }

    /// How often the request at `at` was sent.
    fn draws(&self, at: usize) -> u32 {
        match self.drawn.binary_search(&at) {
            Ok(_) => DRAWS,
            Err(_) => 1,
        }
    }
}

/// One queued request, read again.
struct Queued<'a> {
    words: Words,
    bytes: &'a [u8],
}

/// The requests of a transaction; `None` if they cannot be read, which cannot happen.
fn read(requests: &[u8]) -> Option<Vec<Queued<'_>>> {
    let mut queued = Vec::new();
    let mut decoder = RequestDecoder::new();
    let mut at = 0;
    while at < requests.len() {
        let mut words = Words::default();
        let rest = &requests[at..];
        match decoder.decode(rest, &RequestLimits::AFTER_LOGIN, &mut words) {
            Ok(Decoded::Complete { len, .. }) => {
                queued.push(Queued {
                    words,
                    bytes: &rest[..len],
                });
                at += len;
            }
            _ => return None,
        }
    }
    Some(queued)
}

/// Decides one queued request again.
fn permit<'a>(
    words: &'a RequestWords<'a>,
    bytes: &'a [u8],
    table: &DecisionTable,
    call: Call<'_>,
    touched: &mut Touched,
) -> Result<Permit<'a>, Option<CommandId>> {
    let command = resolve(words).map_err(|_| None)?;
    let request = Request {
        command,
        words,
        bytes,
        call,
    };
    table
        .authorize(&request, touched)
        .map_err(|_| Some(command))
}

impl Client {
    /// `MULTI`, which is allowed.
    pub(crate) fn multi(&mut self, permit: &Permit<'_>, turn: &mut Turn<'_>) -> Flow {
        match &self.backend {
            Backend::Server(_) => self.forward(permit),
            _ if self.transaction.is_some() => {
                self.answer(turn, |out| {
                    encode::error(out, "ERR MULTI calls can not be nested")
                });
            }
            _ => self.answer(turn, |out| encode::simple(out, "OK")),
        }
        if self.transaction.is_none() {
            self.transaction = Some(Box::default());
        }
        Flow::Done
    }

    /// `DISCARD`, which is allowed.
    pub(crate) fn discard(&mut self, permit: &Permit<'_>, turn: &mut Turn<'_>) -> Flow {
        let open = self.transaction.take().is_some();
        match &mut self.backend {
            Backend::Server(_) => self.forward(permit),
            Backend::Embedded(embedded) if open => {
                embedded.unwatch();
                self.answer(turn, |out| encode::simple(out, "OK"));
            }
            _ => self.answer(turn, |out| encode::error(out, "ERR DISCARD without MULTI")),
        }
        Flow::Done
    }

    /// `EXEC`, which is allowed: its commands are decided again, all of them.
    pub(crate) fn exec(&mut self, exec: &Permit<'_>, turn: &mut Turn<'_>) -> Flow {
        let Some(transaction) = self.transaction.take() else {
            match &self.backend {
                Backend::Server(_) => self.forward(exec),
                _ => self.answer(turn, |out| encode::error(out, "ERR EXEC without MULTI")),
            }
            return Flow::Done;
        };
        let queued = match read(&transaction.requests) {
            Some(queued) if !transaction.refused => queued,
            _ => return self.abort(turn),
        };
        let Access::Open(open) = &self.access else {
            return self.not_logged_in(turn);
        };
        let views: Vec<_> = queued
            .iter()
            .map(|request| (RequestWords(request.words.of(request.bytes)), request.bytes))
            .collect();
        let call = self.call(turn.now);
        // A SELECT among them may fail: what follows must be allowed on every number that may then
        // be selected.
        let number = match &self.backend {
            Backend::Embedded(embedded) => embedded.number(),
            _ => self.number,
        };
        let mut numbers = vec![u32::from(number)];
        let mut permits = Vec::with_capacity(views.len());
        let mut items = Vec::with_capacity(views.len());
        let mut refused = None;
        'all: for (words, bytes) in &views {
            let on = |database_index: u32, touched: &mut Touched| {
                let call = Call {
                    database_index,
                    ..call
                };
                permit(words, bytes, &open.table, call, touched)
            };
            let mut last = None;
            let mut filters = Vec::new();
            for number in &numbers {
                match on(*number, turn.touched) {
                    Ok(permit) => {
                        filters.extend(permit.filter().cloned());
                        last = Some(permit);
                    }
                    Err(command) => {
                        refused = Some((*words, command));
                        break 'all;
                    }
                }
            }
            if let Some(permit) = last {
                let draws = transaction.draws(permits.len());
                items.push(item(permit.command(), filters, draws));
                permits.push((permit, *words, draws));
            }
            if open.table.reads_database_index()
                && words.is(0, "SELECT")
                && let Some(number) = selected(*words)
                && !numbers.contains(&u32::from(number))
            {
                numbers.push(u32::from(number));
            }
        }
        if let Some((words, command)) = refused {
            self.record_denied(words, command, turn);
            return self.abort(turn);
        }
        let plain = items.iter().all(|item| matches!(item, Item::Plain));
        let limit = turn.settings.limits.unsent;
        let sieve = || Sieve::of_transaction(items, self.protocol, limit);
        match &mut self.backend {
            Backend::Embedded(embedded) => {
                let mut reply = Vec::new();
                embedded.transaction(permits, turn.now, &mut reply);
                if plain {
                    self.answer(turn, |out| out.extend_from_slice(&reply));
                } else {
                    let sieve = sieve();
                    self.answer(turn, |out| sieve.whole(&reply, out));
                }
            }
            _ => {
                let mark = Mark::Exec {
                    select: transaction.select,
                };
                if plain || self.quiet {
                    self.forward_marked(exec, mark);
                } else {
                    let sieve = sieve();
                    self.send(exec);
                    self.queue
                        .sieved(sieve, Some(mark), transaction.requests.len());
                }
            }
        }
        Flow::Done
    }

    /// Runs nothing of the transaction.
    fn abort(&mut self, turn: &mut Turn<'_>) -> Flow {
        match &mut self.backend {
            Backend::Server(upstream) => {
                upstream.discard();
                self.queue.marked(Mark::Line, false);
            }
            Backend::Embedded(embedded) => embedded.unwatch(),
            Backend::None => {}
        }
        self.answer(turn, |out| encode::error(out, ABORTED));
        Flow::Done
    }

    /// Queues an allowed command of a transaction.
    pub(crate) fn queue_command(&mut self, permit: &Permit<'_>, turn: &mut Turn<'_>) -> Flow {
        let Some(transaction) = &mut self.transaction else {
            return Flow::Done;
        };
        let draws = draws(permit);
        if !transaction.queue(permit.bytes(), draws, turn.settings.limits.transaction) {
            return self.refuse("ERR keyward: too many bytes queued by MULTI", turn);
        }
        match &self.backend {
            Backend::Server(_) => {
                self.forward(permit);
                for _ in 1..draws {
                    self.send(permit);
                    self.queue.drop_one();
                }
            }
            _ => self.answer(turn, |out| encode::simple(out, "QUEUED")),
        }
        Flow::Done
    }
}
