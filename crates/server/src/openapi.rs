//! The OpenAPI document, made of the table of calls.

use axum::http::Method;
use serde_json::{Map, Value, json};

use crate::routes::{Endpoint, TakesCredential, endpoints};

/// The OpenAPI 3.1 document of the API; a copy is checked in as `openapi/keyward.json`.
#[must_use]
pub fn openapi() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in endpoints() {
        let path = paths
            .entry(endpoint.path)
            .or_insert_with(|| json!({ "parameters": path_parameters(endpoint.path) }));
        if let Some(path) = path.as_object_mut() {
            path.insert(
                endpoint.method.as_str().to_lowercase(),
                operation(&endpoint),
            );
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Keyward",
            "version": "1",
            "description": "Identity and access management for Redis-compatible databases. An \
                entity's URL is `/v1/` and its full path. Every call is decided by the same engine \
                as every Redis command; what the caller may not see is 404.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "access_key": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "access_key": {
                    "type": "http", "scheme": "basic",
                    "description": "Access key id and secret.",
                },
                "session": {
                    "type": "http", "scheme": "bearer",
                    "description": "The session key of temporary credentials, or the session of a \
                        person who signed in. Signatures of AWS (version 4) and client \
                        certificates are taken, too.",
                },
                "operator": {
                    "type": "http", "scheme": "bearer",
                    "description": "The token in `operator.json`, on the machine itself.",
                },
            },
            "parameters": headers(),
            "schemas": { "Problem": problem(), "List": {
                "type": "object",
                "required": ["items"],
                "properties": {
                    "items": { "type": "array", "items": { "type": "object" } },
                    "next_cursor": {
                        "type": "string",
                        "description": "there is more: give it as `cursor`",
                    },
                },
            } },
            "responses": {
                "Problem": {
                    "description": "An error (RFC 9457).",
                    "content": {
                        "application/problem+json": {
                            "schema": { "$ref": "#/components/schemas/Problem" },
                        },
                    },
                },
            },
        },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": { "type": "string", "description": "stable, for programs" },
            "findings": {
                "type": "array",
                "description": "what is wrong with a policy",
                "items": {
                    "type": "object",
                    "properties": {
                        "policy": { "type": "integer" },
                        "line": { "type": "integer" },
                        "column": { "type": "integer" },
                        "path": { "type": "string" },
                        "message": { "type": "string" },
                        "code": { "type": "string" },
                    },
                },
            },
            "dependents": { "type": "array", "items": { "type": "string" } },
            "decision_id": { "type": "string", "description": "for `keyward why`" },
            "changed": {
                "type": "array", "items": { "type": "string" },
                "description": "412: the fields that have changed since the entity tag",
            },
            "current_etag": { "type": "string", "description": "412: the entity tag now" },
            "request_id": { "type": "string", "description": "the X-Request-Id of the answer" },
        },
    })
}

fn path_parameters(path: &str) -> Value {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect()
}

/// The schema of a type of the table.
fn schema(kind: &str, meaning: &str) -> Value {
    match kind.trim_end_matches('?') {
        "any" => json!({ "description": meaning }),
        kind if meaning.contains("null") => {
            json!({ "type": [kind, "null"], "description": meaning })
        }
        kind => json!({ "type": kind, "description": meaning }),
    }
}

/// Which credentials a call takes, where they are not those of all others.
fn security(endpoint: &Endpoint) -> Option<Value> {
    match endpoint.credential() {
        TakesCredential::None => Some(json!([])),
        TakesCredential::Operators => Some(json!([{ "operator": [] }])),
        TakesCredential::Any => None,
    }
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "description": format!("Decided on: {}.", endpoint.decided),
    });
    let Some(object) = operation.as_object_mut() else {
        return operation;
    };
    if let Some(security) = security(endpoint) {
        object.insert("security".to_owned(), security);
    }
    let parameters = parameters(endpoint);
    if !parameters.is_empty() {
        object.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = request_body(endpoint) {
        object.insert("requestBody".to_owned(), body);
    }
    let mut responses = Map::new();
    let content = if endpoint.list {
        json!({ "application/json": { "schema": { "$ref": "#/components/schemas/List" } } })
    } else if endpoint.path.starts_with("/v1/") || endpoint.path.ends_with(".json") {
        json!({ "application/json": { "schema": {} } })
    } else if endpoint.path.starts_with("/ui/") {
        let kind = if endpoint.path.ends_with(".css") {
            "text/css"
        } else {
            "text/html"
        };
        json!({ kind: { "schema": { "type": "string" } } })
    } else {
        json!({ "text/plain": { "schema": { "type": "string" } } })
    };
    responses.insert(
        endpoint.status.to_string(),
        json!({ "description": "Done.", "content": content }),
    );
    if endpoint.status == 201 && endpoint.changes() {
        let tried = json!({ "description": "What would be done (`dry_run`).", "content": {
            "application/json": { "schema": {} } } });
        responses.insert("200".to_owned(), tried);
    }
    if endpoint.path.starts_with("/v1/") && endpoint.method == Method::GET {
        let known = json!({ "description": "The caller has it already (`If-None-Match`)." });
        responses.insert("304".to_owned(), known);
    }
    if endpoint.path.starts_with("/v1/") {
        let problem = json!({ "$ref": "#/components/responses/Problem" });
        responses.insert("default".to_owned(), problem);
    }
    object.insert("responses".to_owned(), Value::Object(responses));
    operation
}

/// Query parameters, and the headers that calls of this kind take.
fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let query = endpoint.parameters();
    let query = query.iter().map(|(name, kind, meaning)| {
        let mut schema = schema(kind, meaning);
        if *name == "limit" {
            schema = json!({ "type": "integer", "minimum": 1, "maximum": 1000,
                             "description": meaning });
        }
        json!({ "name": name, "in": "query", "required": false, "schema": schema })
    });
    let mut headers = Vec::new();
    if endpoint.path.starts_with("/v1/") {
        headers.push("RequestId");
        match endpoint.method {
            Method::GET => headers.push("IfNoneMatch"),
            Method::POST => headers.push("IdempotencyKey"),
            _ => {}
        }
        if endpoint.changes() {
            headers.push("IfMatch");
        }
    }
    let headers = headers
        .into_iter()
        .map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
    query.chain(headers).collect()
}

/// The headers that calls take.
fn headers() -> Value {
    let header = |name: &str, pattern: &str, meaning: &str| {
        json!({ "name": name, "in": "header", "required": false, "description": meaning,
                "schema": { "type": "string", "pattern": pattern } })
    };
    let tags = r#"^(\*|(W/)?"[!#-~]*"(, (W/)?"[!#-~]*")*)$"#;
    json!({
        "RequestId": header("X-Request-Id", "^[A-Za-z0-9._~:/+=-]{1,128}$",
            "an id of the caller's for the request: comes back, and stands in log and audit"),
        "IfNoneMatch": header("If-None-Match", tags,
            "entity tags that the caller has: answered with 304 if one of them holds"),
        "IfMatch": header("If-Match", tags,
            "entity tags: the change is made only if one of them holds, else 412 tells what changed"),
        "IdempotencyKey": header("Idempotency-Key", "^[!-~]{1,255}$",
            "the same key with the same request within 24 hours is answered as before, and done once"),
    })
}

fn request_body(endpoint: &Endpoint) -> Option<Value> {
    let schema = match endpoint.body {
        [] => return None,
        [("", kind, meaning)] => schema(kind, meaning),
        fields => {
            let properties: Map<String, Value> = fields
                .iter()
                .map(|(name, kind, meaning)| ((*name).to_owned(), schema(kind, meaning)))
                .collect();
            let required: Vec<&str> = fields
                .iter()
                .filter(|(_, kind, _)| !kind.ends_with('?'))
                .map(|(name, ..)| *name)
                .collect();
            json!({ "type": "object", "additionalProperties": false,
                    "properties": properties, "required": required })
        }
    };
    Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }))
}

/// Unique: the method and the fixed segments.
fn operation_id(endpoint: &Endpoint) -> String {
    let mut words = vec![endpoint.method.as_str().to_lowercase()];
    let segments: Vec<&str> = endpoint.path.split('/').skip(1).collect();
    let fixed = segments
        .iter()
        .filter(|segment| !segment.starts_with('{') && **segment != "v1");
    words.extend(fixed.map(|segment| segment.replace('.', "_")));
    if segments.last().is_some_and(|last| last.starts_with('{')) {
        words.push("one".to_owned());
    } else if endpoint.method == Method::GET && segments.len() > 2 {
        words.push("all".to_owned());
    }
    words.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/keyward.json");

    #[test]
    fn the_copy_is_fresh() {
        let text = format!("{:#}\n", openapi());
        if std::env::var_os("KEYWARD_WRITE_OPENAPI").is_some() {
            std::fs::write(CHECKED_IN, &text).unwrap();
        }
        let found = std::fs::read_to_string(CHECKED_IN).unwrap_or_default();
        assert!(
            found == text,
            "openapi/keyward.json is out of date: run this test with KEYWARD_WRITE_OPENAPI=1"
        );
    }

    #[test]
    fn operation_ids_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for endpoint in endpoints() {
            let id = operation_id(&endpoint);
            assert!(seen.insert(id.clone()), "{id}");
        }
    }

    #[test]
    fn every_action_named_exists() {
        for endpoint in endpoints() {
            for word in endpoint.decided.split([' ', ',', ';']) {
                if word.contains(':') {
                    assert!(
                        keyward_commands::action(word).is_some(),
                        "{word}: {}",
                        endpoint.path
                    );
                }
            }
        }
    }
}
