//! What the handlers share: who may see and change what, and how an answer looks.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyward_auth::{HashKey, LoginThrottle, MasterKey, Verifier};
use keyward_iam::{
    Change, ChangeError, Decision, DecisionLog, DecisionRecord, Directory, Entity, Kind, PathParts,
    UnixMillis,
};
use keyward_net::BackendRules;
use keyward_policy::Touch;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::conditional::AnsweredFrom;
use crate::control::{Changed, Circumstances, ControlPlane, Refusal};
use crate::etag::{EntityTag, Precondition};
use crate::federation::Federation;
use crate::paging::Page;
use crate::people::People;
use crate::problem::Problem;
use crate::query::Query;
use crate::request_id::RequestId;
use crate::routes::databases::HealthSource;
use crate::snapshots::Snapshots;
use crate::{checking, show};

/// Adds lines in the Prometheus text format: what others than the API count.
pub type Exposition = Arc<dyn Fn(&mut String) + Send + Sync>;

/// What the handlers share.
#[derive(Clone)]
pub struct Api {
    /// Makes the changes.
    pub control: Arc<ControlPlane>,
    /// Key of the hashes of access-key secrets.
    pub hash_key: Arc<HashKey>,
    /// What every login is judged with.
    pub verifier: Arc<Verifier>,
    /// Key under which secrets are sealed that have to be read again.
    pub master_key: Arc<MasterKey>,
    /// Failed logins, by source.
    pub throttle: Arc<LoginThrottle>,
    /// Denials, and while somebody watches, every decision.
    pub log: Arc<DecisionLog>,
    /// Whether the operator permits administrative commands where a database turns them on.
    pub allow_administration: bool,
    /// Whether credentials are taken from other machines without TLS.
    pub allow_remote: bool,
    /// The time.
    pub clock: fn() -> UnixMillis,
    /// Which addresses may be backends, and for whom.
    pub backends: BackendRules,
    /// What is known of the servers behind databases.
    pub health: Option<HealthSource>,
    /// Where Redis clients connect.
    pub redis_address: Option<SocketAddr>,
    /// Whether they speak TLS there.
    pub redis_tls: bool,
    /// Where browsers and other machines reach the API: scheme, host and port, nothing behind.
    pub public_url: String,
    /// How people sign in.
    pub people: Arc<People>,
    /// Identity providers.
    pub federation: Federation,
    /// Snapshots that are being made or restored.
    pub snapshots: Arc<Snapshots>,
    /// What others add to `/metrics`.
    pub metrics: Option<Exposition>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

/// One call: who, when, on which directory.
pub(crate) struct Call {
    pub(crate) api: Arc<Api>,
    pub(crate) caller: Caller,
    pub(crate) directory: Arc<Directory>,
    pub(crate) now: UnixMillis,
    /// `?dry_run=true`: decide and check, store nothing.
    pub(crate) dry_run: bool,
    /// Which part of a list.
    page: Page,
    /// Path of the URL.
    url: String,
    /// Under which condition a change is to be made.
    condition: Option<Precondition>,
}

#[derive(serde::Deserialize)]
struct Asked {
    #[serde(default)]
    dry_run: bool,
    limit: Option<usize>,
    cursor: Option<String>,
}

impl FromRequestParts<Arc<Api>> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let Query(asked) = Query::<Asked>::from_request_parts(parts, api).await?;
        let url = parts.uri.path().to_owned();
        let page = Page::of(&api.hash_key, &url, asked.limit, asked.cursor.as_deref())?;
        let changes = !matches!(parts.method, Method::GET | Method::HEAD);
        let condition = match url.strip_prefix("/v1/").filter(|_| changes) {
            Some(path) => Precondition::of(&parts.headers, path)?,
            None => None,
        };
        let directory = api.control.directory();
        if let Some(AnsweredFrom(from)) = parts.extensions.get() {
            from.get_or_init(|| Arc::clone(&directory));
        }
        Ok(Self {
            directory,
            now: (api.clock)(),
            api: Arc::clone(api),
            caller,
            dry_run: asked.dry_run,
            page,
            url,
            condition,
        })
    }
}

/// A path out of segments of the URL; what cannot be an id is no path of anything.
pub(crate) fn path(segments: &[&str]) -> Result<String, Problem> {
    let path = segments.join("/");
    let is_id = |segment: &&str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !segment.is_empty() && segment.len() <= 64 && segment.bytes().all(fits)
    };
    if segments.iter().all(is_id) {
        Ok(path)
    } else {
        let shown: String = path.chars().take(200).collect();
        Err(Problem::not_found(&shown))
    }
}

/// Ends of URLs that are no things, but what is done to one or kept of it.
const DONE_TO: [&str; 13] = [
    "accept",
    "administration",
    "aliases",
    "attach",
    "backend",
    "decline",
    "default_database",
    "default_version",
    "detach",
    "invite",
    "key_limits",
    "owner",
    "revoke_sessions",
];

/// The action that shows what is at a path, and the resource on which it is decided.
fn describe_requirements(directory: &Directory, path: &str) -> Vec<(&'static str, String)> {
    if let Some(of) = path.strip_suffix("/resource_policy") {
        return vec![("iam:GetResourcePolicy", of.to_owned())];
    }
    let Some(parts) = PathParts::of(path) else {
        return Vec::new();
    };
    let action = match parts.kind {
        Kind::Organisation => "org:Describe",
        Kind::User => "iam:DescribeUser",
        Kind::ProgrammaticIdentity => "iam:DescribeProgrammaticIdentity",
        Kind::Group => "iam:DescribeGroup",
        Kind::Role => "iam:DescribeRole",
        Kind::OrganisationUser => "iam:DescribeOrgUser",
        Kind::IdentityProvider => "iam:DescribeIdentityProvider",
        Kind::AccessKey => "iam:DescribeAccessKey",
        Kind::Database => "kvdb:Describe",
        Kind::Snapshot => "kvdb:DescribeSnapshot",
        Kind::Policy => "iam:DescribePolicy",
        // Both sides of a trust may look at it.
        Kind::Trust => {
            let trust = directory.trust_at(path).and_then(|ix| directory.trust(ix));
            let sides = trust.map(|trust| [trust.trustor, trust.trustee]);
            let paths = sides.into_iter().flatten();
            return paths
                .filter_map(|ix| directory.identity(ix))
                .map(|identity| ("iam:DescribeTrust", identity.path.to_string()))
                .collect();
        }
    };
    vec![(action, path.to_owned())]
}

impl Call {
    /// Decides an action of the control plane.
    pub(crate) fn decide(&self, action: &str, resource: &str) -> Option<Decision> {
        let action = keyward_commands::action(action)?;
        let session = &self.caller.session;
        Some(
            self.directory
                .decide(session, action, resource, &Touch::None, self.now),
        )
    }

    pub(crate) fn allows(&self, action: &str, resource: &str) -> bool {
        self.decide(action, resource)
            .is_some_and(|decision| decision.is_allow())
    }

    /// Whether the caller may know what is at a path.
    pub(crate) fn sees(&self, path: &str) -> bool {
        describe_requirements(&self.directory, path)
            .iter()
            .any(|(action, resource)| self.allows(action, resource))
    }

    /// Refuses what the caller may not read: there is no such thing.
    pub(crate) fn read(&self, action: &str, path: &str) -> Result<(), Problem> {
        let exists = !matches!(self.directory.entity(path), None | Some(Entity::Tombstone));
        if exists && self.allows(action, path) {
            Ok(())
        } else {
            Err(Problem::not_found(path))
        }
    }

    /// The path that the URL names, if it names one. What a change is decided on may lie elsewhere,
    /// which a refusal does not tell.
    fn named(&self) -> Option<&str> {
        let path = self.url.strip_prefix("/v1/")?;
        let path = match path.rsplit_once('/') {
            Some((of, last)) if DONE_TO.contains(&last) => of,
            _ => path,
        };
        ["org/", "user/"]
            .iter()
            .any(|start| path.starts_with(start))
            .then_some(path)
    }

    /// Refuses a list of what an organisation has. In the caller's own organisation the refusal
    /// says so.
    pub(crate) fn list(&self, action: &str, organisation: &str) -> Result<(), Problem> {
        self.list_at(action, organisation)
    }

    /// As [`Self::list`], of what lies below any thing.
    pub(crate) fn list_at(&self, action: &str, path: &str) -> Result<(), Problem> {
        let exists = !matches!(self.directory.entity(path), None | Some(Entity::Tombstone));
        match self.decide(action, path) {
            Some(decision) if decision.is_allow() && exists => Ok(()),
            Some(decision) if !decision.is_allow() => Err(self.denied(&decision)),
            _ => Err(Problem::not_found(path)),
        }
    }

    /// An entity, if the caller may see it.
    pub(crate) fn describe(&self, path: &str) -> Result<Value, Problem> {
        let shown = show::entity(&self.directory, path);
        match shown.filter(|_| self.sees(path)) {
            Some(entity) => Ok(entity),
            None => Err(Problem::not_found(path)),
        }
    }

    /// A denial, kept for `why`. What is not the caller's organisation's and cannot be seen does
    /// not exist.
    pub(crate) fn denied(&self, decision: &Decision) -> Problem {
        let own = self
            .directory
            .is_own_resource(self.caller.session.principal, &decision.resource);
        if !own && !self.sees(&decision.resource) {
            return Problem::not_found(self.named().unwrap_or(&decision.resource));
        }
        let id = keyward_auth::decision_id();
        self.api.log.record(DecisionRecord {
            id: id.clone(),
            at: self.now,
            principal: self.caller.path.clone(),
            source: self.caller.session.source,
            database: decision.resource.to_string(),
            command: decision.action.to_owned(),
            keys: Vec::new(),
            decision: decision.clone(),
        });
        let detail = format!(
            "{} on {}: {} (keyward why {id})",
            decision.action, decision.resource, decision.public_message
        );
        Problem {
            decision_id: Some(id),
            ..Problem::new(StatusCode::FORBIDDEN, "denied", detail)
        }
    }

    /// Makes a change, or with `dry_run` only tells what would become of it.
    pub(crate) async fn change(&self, change: Change) -> Result<Changed, Problem> {
        self.change_and(change, |_| ()).await
    }

    /// Makes a change and does what follows from it, also if the caller goes away meanwhile. What
    /// follows may block; it is not done with `dry_run`.
    pub(crate) async fn change_and(
        &self,
        change: Change,
        then: impl FnOnce(&Changed) + Send + 'static,
    ) -> Result<Changed, Problem> {
        let control = Arc::clone(&self.api.control);
        let (session, dry_run) = (self.caller.session.clone(), self.dry_run);
        let condition = self.condition.clone();
        let circumstances = Circumstances {
            now: self.now,
            request_id: RequestId::current(),
            condition: condition.map(|condition| (Arc::clone(&self.api.hash_key), condition)),
        };
        let made = tokio::task::spawn_blocking(move || {
            if dry_run {
                control.dry_run_under(&circumstances, &session, &change)
            } else {
                let changed = control.change_under(&circumstances, &session, &change)?;
                then(&changed);
                Ok(changed)
            }
        });
        match made.await {
            Ok(Ok(changed)) => Ok(changed),
            Ok(Err(Refusal::Denied(decision))) => Err(self.denied(&decision)),
            Ok(Err(Refusal::Change(ChangeError::Conflict { path, dependents }))) => {
                Err(self.in_use(path, dependents))
            }
            Ok(Err(Refusal::Condition(mut mismatch))) => {
                // What has changed is told to whom may see it.
                if !mismatch
                    .entity
                    .as_deref()
                    .is_some_and(|path| self.sees(path))
                {
                    mismatch.changed.clear();
                    mismatch.current = None;
                }
                Err(Problem::mismatch(*mismatch))
            }
            Ok(Err(refusal)) => Err(refusal.into()),
            Err(_) => Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the change failed inside Keyward, and has no effect",
            )),
        }
    }

    /// What depends on a thing, as far as the caller may see it.
    fn in_use(&self, path: String, dependents: Vec<String>) -> Problem {
        let all = dependents.len();
        let mut seen: Vec<String> = dependents;
        seen.retain(|path| self.sees(path));
        if seen.len() == all {
            return ChangeError::Conflict {
                path,
                dependents: seen,
            }
            .into();
        }
        let mut problem: Problem = ChangeError::Conflict {
            path: path.clone(),
            dependents: seen.clone(),
        }
        .into();
        seen.push("what you may not see".to_owned());
        problem.detail = format!("`{path}` is in use by {}", seen.join(", "));
        problem
    }

    /// Answers a list, a page at a time: `names` are sorted and differ; `show` leaves out what the
    /// caller may not see.
    pub(crate) fn list_of<T>(
        &self,
        entries: impl IntoIterator<Item = (String, T)>,
        show: impl FnMut(&str, T) -> Option<Value>,
    ) -> Response {
        self.list_with(entries, show, serde_json::Map::new())
    }

    /// As [`Call::list_of`], with what the answer holds beside the items.
    pub(crate) fn list_with<T>(
        &self,
        entries: impl IntoIterator<Item = (String, T)>,
        show: impl FnMut(&str, T) -> Option<Value>,
        more: serde_json::Map<String, Value>,
    ) -> Response {
        let key = &self.api.hash_key;
        self.page.answer(key, &self.url, entries, show, more)
    }

    /// Answers a list of entities, by their paths.
    pub(crate) fn list_of_paths(
        &self,
        mut paths: Vec<String>,
        mut show: impl FnMut(&str) -> Option<Value>,
    ) -> Response {
        paths.sort_unstable();
        self.list_of(paths.into_iter().map(|path| (path, ())), |path, ()| {
            show(path)
        })
    }

    /// Makes a change and shows what is at a path afterwards.
    pub(crate) async fn change_and_show(
        &self,
        change: Change,
        path: &str,
        status: StatusCode,
    ) -> Result<Response, Problem> {
        self.change_and_show_then(change, path, status, |_| ())
            .await
    }

    /// As [`Self::change_and_show`], with what follows: see [`Self::change_and`].
    pub(crate) async fn change_and_show_then(
        &self,
        change: Change,
        path: &str,
        status: StatusCode,
        then: impl FnOnce(&Changed) + Send + 'static,
    ) -> Result<Response, Problem> {
        let own = [&*self.api.public_url, self.api.people.origin()];
        let warnings = checking::warnings(&change, self.now, &own);
        let changed = self.change_and(change, then).await?;
        let mut shown = show::entity(&changed.directory, path)
            .unwrap_or_else(|| json!({ "path": path, "deleted": true }));
        if !warnings.is_empty() {
            show::insert(&mut shown, "warnings", warnings);
        }
        let status = if self.dry_run {
            show::insert(&mut shown, "dry_run", true);
            StatusCode::OK
        } else {
            status
        };
        let mut response = (status, axum::Json(shown)).into_response();
        if self.dry_run {
            return Ok(response);
        }
        self.tag(&mut response, &changed.directory, path);
        let headers = response.headers_mut();
        if status == StatusCode::CREATED
            && let Ok(location) = HeaderValue::from_str(&format!("/v1/{path}"))
        {
            headers.insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// Tells the entity tag of what a change left, but not of what it only would.
    pub(crate) fn tag(&self, response: &mut Response, directory: &Directory, path: &str) {
        let tag = EntityTag::of(&self.api.hash_key, directory, path);
        if let Some(Ok(tag)) = tag.map(|tag| HeaderValue::from_str(&tag.quoted()))
            && !self.dry_run
        {
            response.headers_mut().insert(header::ETAG, tag);
        }
    }

    /// The organisation of the caller, by id: what its shorthand is of.
    pub(crate) fn own_organisation(&self) -> Option<String> {
        let parts = PathParts::of(&self.caller.path)?;
        parts.organisation.map(str::to_owned)
    }
}
