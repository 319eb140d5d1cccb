//! `Idempotency-Key`: a `POST` that is sent again is answered as it was the first time.
//!
//! Answers are kept in the memory of this process only, never on disk, since one may hold a secret
//! that is shown once; they are wiped when they are forgotten. After a restart a key is new.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use keyward_iam::UnixMillis;
use zeroize::Zeroizing;

use crate::api::Api;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::{body, request_id};

/// The header.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key, in bytes.
const MAX_KEY: usize = 255;

/// How long an answer is kept, in milliseconds: 24 hours.
const KEPT: u64 = 24 * 60 * 60 * 1000;

/// Answers that are kept, in all and of one caller; the oldest go first.
const MAX_ANSWERS: usize = 10_000;
const MAX_OF_CALLER: usize = 1_000;

/// Bytes of all bodies that are kept, and of one.
const MAX_BYTES: usize = 32 * 1024 * 1024;
const MAX_ANSWER: usize = 256 * 1024;

/// Whose key, and which.
type Name = (Arc<str>, Arc<str>);

/// What tells one request from another: its target and its body.
type Fingerprint = [u8; 32];

/// An answer, as it was given.
#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// None: it was too long to be kept.
    body: Option<Arc<Zeroizing<Vec<u8>>>>,
}

struct Entry {
    fingerprint: Fingerprint,
    /// None: still being answered.
    answer: Option<Answer>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Name, Entry>,
    /// Those that were answered, oldest first.
    order: VecDeque<(UnixMillis, Name)>,
    bytes: usize,
    of_caller: HashMap<Arc<str>, usize>,
}

/// The answers that are kept.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

enum Begun {
    /// Nobody has asked yet: this ticket is to be given back.
    New(Ticket),
    Running,
    Other,
    Before(Answer),
}

/// The right to answer a request; without an answer the key is free again.
struct Ticket {
    answers: Arc<Answers>,
    name: Name,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut kept = self.answers.lock();
        let running = kept.entries.get(&self.name);
        if running.is_some_and(|entry| entry.answer.is_none()) {
            kept.entries.remove(&self.name);
        }
    }
}

impl Kept {
    fn forget(&mut self, at: usize) {
        let Some((_, name)) = self.order.remove(at) else {
            return;
        };
        if let Some(entry) = self.entries.remove(&name) {
            let body = entry.answer.and_then(|answer| answer.body);
            self.bytes = self.bytes.saturating_sub(body.map_or(0, |body| body.len()));
        }
        if let Some(count) = self.of_caller.get_mut(&name.0) {
            *count -= 1;
            if *count == 0 {
                self.of_caller.remove(&name.0);
            }
        }
    }

    fn forget_old(&mut self, now: UnixMillis) {
        while let Some((at, _)) = self.order.front()
            && now.0.saturating_sub(at.0) >= KEPT
        {
            self.forget(0);
        }
    }

    fn keep(&mut self, name: Name, answer: Answer, now: UnixMillis) {
        let Some(entry) = self.entries.get_mut(&name) else {
            return;
        };
        self.bytes += answer.body.as_ref().map_or(0, |body| body.len());
        entry.answer = Some(answer);
        *self.of_caller.entry(Arc::clone(&name.0)).or_default() += 1;
        let of_caller = self.of_caller.get(&name.0).copied().unwrap_or_default();
        if of_caller > MAX_OF_CALLER
            && let Some(at) = self.order.iter().position(|(_, old)| old.0 == name.0)
        {
            self.forget(at);
        }
        self.order.push_back((now, name));
        while self.order.len() > MAX_ANSWERS || self.bytes > MAX_BYTES {
            self.forget(0);
        }
    }
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, name: Name, fingerprint: Fingerprint, now: UnixMillis) -> Begun {
        let mut kept = self.lock();
        kept.forget_old(now);
        match kept.entries.get(&name) {
            Some(entry) if entry.fingerprint != fingerprint => Begun::Other,
            Some(Entry { answer: None, .. }) => Begun::Running,
            Some(Entry {
                answer: Some(answer),
                ..
            }) => Begun::Before(answer.clone()),
            None => {
                let entry = Entry {
                    fingerprint,
                    answer: None,
                };
                kept.entries.insert(name.clone(), entry);
                Begun::New(Ticket {
                    answers: Arc::clone(self),
                    name,
                })
            }
        }
    }
}

impl Ticket {
    /// Keeps the answer of a request that had an effect; the key of any other is free again.
    async fn finish(self, response: Response, now: UnixMillis) -> Response {
        if !response.status().is_success() {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(body) = body.collect().await else {
            return internal();
        };
        let body = body.to_bytes();
        let kept = (body.len() <= MAX_ANSWER).then(|| Arc::new(Zeroizing::new(body.to_vec())));
        let answer = Answer {
            status: parts.status,
            headers: parts.headers.clone(),
            body: kept,
        };
        self.answers.lock().keep(self.name.clone(), answer, now);
        Response::from_parts(parts, Body::from(body))
    }
}

fn internal() -> Response {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the request failed inside Keyward",
    )
    .into_response()
}

/// Gives an answer again.
fn replay(answer: &Answer) -> Response {
    let Some(body) = &answer.body else {
        return Problem::new(
            StatusCode::CONFLICT,
            "answer_not_kept",
            "this request was carried out before, and its answer was too long to be kept",
        )
        .into_response();
    };
    let mut response = Response::new(Body::from(body.to_vec()));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers.clone();
    let headers = response.headers_mut();
    headers.remove(request_id::REQUEST_ID);
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The key of a request.
fn key_of(headers: &HeaderMap) -> Result<Option<Arc<str>>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let fits = (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits && values.next().is_none() {
        return Ok(Some(text.into()));
    }
    Err(Problem::malformed(format!(
        "`Idempotency-Key` is given once and has 1 to {MAX_KEY} visible ASCII characters"
    )))
}

/// Whether answers to this path are kept: what makes credentials that last minutes is asked for
/// again instead.
fn applies(request: &Request) -> bool {
    let uri = request.uri();
    let path = uri.path();
    let asked = uri.query().unwrap_or_default().split('&');
    request.method() == Method::POST
        && (path.starts_with("/v1/org") || path.starts_with("/v1/user"))
        && !asked.into_iter().any(|pair| pair == "dry_run=true")
}

/// Answers a request that was answered before as it was then.
pub(crate) async fn layer(
    State((api, answers)): State<(Arc<Api>, Arc<Answers>)>,
    request: Request,
    next: Next,
) -> Response {
    if !applies(&request) {
        return next.run(request).await;
    }
    match key_of(request.headers()) {
        Ok(None) => next.run(request).await,
        Ok(Some(key)) => match once(&api, &answers, key, request, next).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        },
        Err(problem) => problem.into_response(),
    }
}

async fn once(
    api: &Arc<Api>,
    answers: &Arc<Answers>,
    key: Arc<str>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, api).await?;
    let name: Name = (caller.idempotency_name().into(), key);
    let body = Zeroizing::new(body::read(body).await?);
    let target = parts
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    let fingerprint = api.hash_key.keyed(
        "idempotency 1",
        &[target.as_bytes(), b"\0", body.as_slice()],
    );
    parts.extensions.insert(caller);
    match answers.begin(name, fingerprint, (api.clock)()) {
        Begun::New(ticket) => {
            let request = Request::from_parts(parts, Body::from(body.to_vec()));
            let clock = api.clock;
            // In a task of its own: a caller that goes away still finds its answer later.
            let answered = request_id::spawn(async move {
                let response = next.run(request).await;
                ticket.finish(response, clock()).await
            });
            Ok(answered.await.unwrap_or_else(|_| internal()))
        }
        Begun::Before(answer) => Ok(replay(&answer)),
        Begun::Running => Err(Problem::new(
            StatusCode::CONFLICT,
            "in_progress",
            "a request with this `Idempotency-Key` is being answered",
        )),
        Begun::Other => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "this `Idempotency-Key` was used for another request",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(caller: &str, key: &str) -> Name {
        (caller.into(), key.into())
    }

    fn answer(bytes: usize) -> Answer {
        Answer {
            status: StatusCode::CREATED,
            headers: HeaderMap::new(),
            body: Some(Arc::new(Zeroizing::new(vec![b'x'; bytes]))),
        }
    }

    fn kept(answers: &Arc<Answers>, name: Name, bytes: usize, now: u64) {
        let now = UnixMillis(now);
        if let Begun::New(ticket) = answers.begin(name.clone(), [0; 32], now) {
            answers.lock().keep(name, answer(bytes), now);
            drop(ticket);
        }
    }

    #[test]
    fn what_becomes_of_a_key() {
        let answers = Arc::new(Answers::default());
        let begin = |caller: &str, print: u8, now: u64| {
            answers.begin(name(caller, "k"), [print; 32], UnixMillis(now))
        };
        let ticket = begin("a", 1, 0);
        assert!(matches!(ticket, Begun::New(_)));
        assert!(matches!(begin("a", 1, 0), Begun::Running));
        assert!(matches!(begin("a", 2, 0), Begun::Other));
        assert!(matches!(begin("b", 2, 0), Begun::New(_)));
        drop(ticket);
        // Nothing came of it: the key is free.
        let ticket = begin("a", 2, 0);
        assert!(matches!(ticket, Begun::New(_)));
        answers
            .lock()
            .keep(name("a", "k"), answer(1), UnixMillis(5));
        drop(ticket);
        assert!(matches!(begin("a", 2, KEPT), Begun::Before(_)));
        assert!(matches!(begin("a", 1, KEPT), Begun::Other));
        assert!(matches!(begin("a", 1, KEPT + 5), Begun::New(_)));
    }

    #[test]
    fn memory_is_bounded() {
        let answers = Arc::new(Answers::default());
        for i in 0..=MAX_OF_CALLER {
            kept(&answers, name("a", &i.to_string()), 1, 1);
        }
        kept(&answers, name("b", "k"), 1, 1);
        let count = |caller: &str| answers.lock().of_caller.get(caller).copied();
        assert_eq!((count("a"), count("b")), (Some(MAX_OF_CALLER), Some(1)));
        for i in 0..400 {
            kept(&answers, name("c", &i.to_string()), MAX_ANSWER, 1);
        }
        let state = answers.lock();
        assert!(state.bytes <= MAX_BYTES);
        assert_eq!(state.order.len(), state.entries.len());
        assert_eq!(state.of_caller.values().sum::<usize>(), state.order.len());
    }
}
