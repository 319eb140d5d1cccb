//! Snapshots of databases: made, shown, put back and deleted.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use keyward_iam::{Change, Existing, SnapshotState, UnixMillis, full_path};
use serde::Deserialize;
use serde_json::Value;

use super::roles::{check_description, given};
use super::{Endpoint, Target, delete, get, patch, post};
use crate::api::Call;
use crate::body::Body;
use crate::conditional::Moving;
use crate::problem::Problem;
use crate::show;
use crate::snapshots::{Snapshots, What};

const ALL: &str = "/v1/org/{organisation}/kvdb/{id}/snapshot";
const ONE: &str = "/v1/org/{organisation}/kvdb/{id}/snapshot/{snapshot}";
const RESTORES: &str = "/v1/org/{organisation}/kvdb/{id}/snapshot/{snapshot}/restore";
const RESTORE: &str = "/v1/org/{organisation}/kvdb/{id}/snapshot/{snapshot}/restore/{job}";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(ALL, list)
            .tells(
                "Lists the snapshots of a database.",
                "kvdb:ListSnapshot on the database",
            )
            .lists(),
        post(ALL, create)
            .tells(
                "Begins a snapshot of all keys of a database; its state tells when it is ready.",
                "kvdb:CreateSnapshot on the database, as a read of all of it",
            )
            .takes(&[
                (
                    "id",
                    "string?",
                    "its id, unique in the database for ever; left out: made of the time",
                ),
                ("description", "string?", "what it is for"),
            ])
            .creates(),
        get(ONE, describe).tells(
            "Shows a snapshot, and how far it is.",
            "kvdb:DescribeSnapshot on it",
        ),
        patch(ONE, update)
            .tells("Changes what a snapshot is for.", "kvdb:Update on the database")
            .takes(&[(
                "description",
                "string?",
                "what it is for; null takes it away",
            )]),
        delete(ONE, remove).tells(
            "Deletes a snapshot and what is in it; one that is being made is given up.",
            "kvdb:DeleteSnapshot on it",
        ),
        get(RESTORES, restores)
            .tells(
                "Lists the restores of a snapshot that run, or have ended lately.",
                "kvdb:DescribeSnapshot on it",
            )
            .lists(),
        post(RESTORES, restore)
            .tells(
                "Begins to put the keys of a snapshot into a database.",
                "kvdb:RestoreSnapshot on it, as a read of all of it, and on the target, as a write of all of it; to flush also kvdb:ExecuteFlushall on the target",
            )
            .takes(&[
                (
                    "existing",
                    "string?",
                    "keys in the target: `refuse`, it must be empty (if left out); `replace`, the snapshot's replace those of the same name; `flush`, all are removed first",
                ),
                (
                    "target",
                    "string?",
                    "path of the database to put them into; left out: the one that the snapshot is of",
                ),
            ])
            .creates(),
        get(RESTORE, restore_job).tells(
            "Shows a restore, and how far it is.",
            "kvdb:DescribeSnapshot on the snapshot",
        ),
        delete(RESTORE, cancel).tells(
            "Asks a restore to stop; what it has written by then stays.",
            "kvdb:RestoreSnapshot on the snapshot",
        ),
    ]
}

/// `org/…/kvdb/…/snapshot` without its end.
fn database_of(path: &str) -> &str {
    path.split_once("/snapshot").map_or(path, |(path, _)| path)
}

/// `org/…/kvdb/…/snapshot/<id>`, and what follows it.
fn snapshot_of(path: &str) -> (&str, &str) {
    let end = path.match_indices('/').nth(5).map(|(at, _)| at);
    end.map_or((path, ""), |end| (&path[..end], &path[end + 1..]))
}

/// A snapshot as it is now, if the caller may see it.
fn shown(call: &Call, path: &str) -> Result<Value, Problem> {
    let mut shown = call.describe(path)?;
    let snapshots = &call.api.snapshots;
    match shown["state"].as_str() {
        Some("creating") => {
            if let Some(progress) = snapshots.progress(path) {
                show::insert(&mut shown, "progress", progress);
            }
        }
        Some("ready") if !snapshots.has_file(path) => {
            show::insert(&mut shown, "state", "failed");
            show::insert(&mut shown, "reason", "its file is missing");
        }
        _ => {}
    }
    Ok(shown)
}

async fn list(call: Call, target: Target) -> Result<Response, Problem> {
    let database = target.of("snapshot");
    call.list_at("kvdb:ListSnapshot", database)?;
    let directory = Arc::clone(&call.directory);
    let known = directory
        .database_at(database)
        .and_then(|ix| directory.database(ix));
    let paths = known
        .iter()
        .flat_map(|database| &database.snapshots)
        .filter_map(|ix| directory.snapshot(*ix))
        .map(|snapshot| snapshot.path.to_string())
        .collect();
    Ok(call.list_of_paths(paths, |path| shown(&call, path).ok()))
}

/// An id made of the time, which sorts like it.
fn id_of_time(now: UnixMillis) -> String {
    let at = i64::try_from(now.0).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{}-{:03}", at.strftime("%Y%m%d-%H%M%S"), now.0 % 1000)
}

/// Makes the change that begins a piece of work, and begins it.
async fn begin(call: &Call, change: Change, what: What, path: &str) -> Result<Value, Problem> {
    // Only who may ask for it learns what else runs.
    let session = call.caller.session.clone();
    if let Err(decision) = call.directory.authorise_change(&session, &change, call.now) {
        return Err(call.denied(&decision));
    }
    if call.dry_run {
        let changed = call.change(change).await?;
        let mut shown = show::entity(&changed.directory, path).unwrap_or_default();
        show::insert(&mut shown, "dry_run", true);
        return Ok(shown);
    }
    let place = call.api.snapshots.place(what)?;
    let (control, clock, made) = (
        Arc::clone(&call.api.control),
        call.api.clock,
        change.clone(),
    );
    let changed = call
        .change_and(change, move |changed| {
            Snapshots::start(place, &control, &session, &made, &changed.directory, clock);
        })
        .await?;
    Ok(show::entity(&changed.directory, path).unwrap_or_default())
}

/// The answer to what was begun, which is at a path of its own.
fn begun(call: &Call, shown: Value) -> Response {
    if call.dry_run {
        return axum::Json(shown).into_response();
    }
    let location = format!("/v1/{}", shown["path"].as_str().unwrap_or_default());
    let headers = [(axum::http::header::LOCATION, location)];
    (StatusCode::CREATED, headers, axum::Json(shown)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: Option<String>,
    description: Option<String>,
}

async fn create(call: Call, target: Target, Body(body): Body<Create>) -> Result<Response, Problem> {
    check_description(body.description.as_deref())?;
    let database = target.of("snapshot").to_owned();
    let id = body.id.unwrap_or_else(|| id_of_time(call.now));
    if let Err(error) = id.parse::<keyward_iam::Slug>() {
        return Err(Problem::invalid(error.to_string()));
    }
    let path = format!("{database}/snapshot/{id}");
    let what = What {
        snapshot: path.clone(),
        database: database.clone(),
        restore: None,
        by: call.caller.path.clone(),
        at: call.now,
    };
    let change = Change::CreateSnapshot {
        database,
        id,
        description: body.description,
    };
    let shown = begin(&call, change, what, &path).await?;
    Ok(begun(&call, shown))
}

async fn describe(call: Call, target: Target) -> Result<Response, Problem> {
    let shown = shown(&call, &target.0)?;
    let moving = shown["state"] != "ready";
    let mut response = axum::Json(shown).into_response();
    if moving {
        response.extensions_mut().insert(Moving);
    }
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
}

async fn update(call: Call, target: Target, Body(body): Body<Update>) -> Result<Response, Problem> {
    let Some(description) = body.description else {
        let text = "what is to change? give `description`";
        return Err(Problem::invalid(text));
    };
    check_description(description.as_deref())?;
    let path = target.0;
    let change = Change::UpdateSnapshot {
        path: path.clone(),
        description,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn remove(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::DeleteSnapshot { path: path.clone() };
    let (snapshots, gone) = (Arc::clone(&call.api.snapshots), path.clone());
    call.change_and_show_then(change, &path, StatusCode::OK, move |_| {
        snapshots.discard(&gone);
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restore {
    existing: Option<Existing>,
    target: Option<String>,
}

async fn restore(
    call: Call,
    target: Target,
    Body(body): Body<Restore>,
) -> Result<Response, Problem> {
    let path = target.of("restore").to_owned();
    let into = match &body.target {
        None => database_of(&path).to_owned(),
        Some(target) => full_path(target, target_organisation(&path)),
    };
    let existing = body.existing.unwrap_or_default();
    let what = What {
        snapshot: path.clone(),
        database: into.clone(),
        restore: Some(existing),
        by: call.caller.path.clone(),
        at: call.now,
    };
    let snapshot = call.directory.snapshot_at(&path);
    let state = snapshot.and_then(|ix| call.directory.snapshot(ix));
    let ready = state.is_some_and(|known| matches!(known.state, SnapshotState::Ready { .. }));
    let change = Change::RestoreSnapshot {
        path: path.clone(),
        target: into,
        existing,
    };
    if ready && !call.api.snapshots.has_file(&path) && call.sees(&path) {
        let text = format!("`{path}` cannot be restored: its file is missing");
        return Err(Problem::invalid(text));
    }
    let mut shown = begin(&call, change, what, &path).await?;
    if !call.dry_run {
        // The last is the one that was begun.
        let restores = call.api.snapshots.restores(&path);
        let newest = restores.into_iter().max_by_key(|(id, _)| {
            id.strip_prefix('r')
                .and_then(|revision| revision.parse::<u64>().ok())
        });
        shown = newest.map_or(shown, |(_, job)| job);
    }
    Ok(begun(&call, shown))
}

fn target_organisation(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

async fn restores(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("restore");
    call.list_at("kvdb:DescribeSnapshot", path)?;
    let all = call.api.snapshots.restores(path);
    let mut response = call.list_of(all, |_, job| Some(job));
    response.extensions_mut().insert(Moving);
    Ok(response)
}

async fn restore_job(call: Call, target: Target) -> Result<Response, Problem> {
    let (path, rest) = snapshot_of(&target.0);
    call.read("kvdb:DescribeSnapshot", path)?;
    let id = rest.strip_prefix("restore/").unwrap_or_default();
    let all = call.api.snapshots.restores(path);
    let found = all.into_iter().find(|(known, _)| known == id);
    match found {
        Some((_, job)) => Ok(axum::Json(job).into_response()),
        None => Err(Problem::not_found(&target.0)),
    }
}

async fn cancel(call: Call, target: Target) -> Result<Response, Problem> {
    let (path, rest) = snapshot_of(&target.0);
    if let Some(decision) = call.decide("kvdb:RestoreSnapshot", path)
        && !decision.is_allow()
    {
        return Err(call.denied(&decision));
    }
    let id = rest.strip_prefix("restore/").unwrap_or_default();
    let snapshots = &call.api.snapshots;
    let known = snapshots.restores(path);
    let known = known.into_iter().find(|(known, _)| known == id);
    let Some((_, mut shown)) = known else {
        return Err(Problem::not_found(&target.0));
    };
    if call.dry_run {
        show::insert(&mut shown, "dry_run", true);
        return Ok(axum::Json(shown).into_response());
    }
    match snapshots.cancel(path, id, &call.caller.path) {
        Some(shown) => Ok(axum::Json(shown).into_response()),
        None => Err(Problem::new(
            StatusCode::CONFLICT,
            "ended",
            "the restore has ended already",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_url() {
        let one = "org/dev/kvdb/main/snapshot/s";
        let job = "org/dev/kvdb/main/snapshot/s/restore/r7";
        assert_eq!(snapshot_of(one), (one, ""));
        assert_eq!(snapshot_of(job), (one, "restore/r7"));
        assert_eq!(database_of(job), "org/dev/kvdb/main");
    }

    #[test]
    fn an_id_of_the_time_is_one() {
        let id = id_of_time(UnixMillis(1_767_225_600_007));
        assert_eq!(id, "20260101-000000-007");
        assert!(id.parse::<keyward_iam::Slug>().is_ok());
    }
}
