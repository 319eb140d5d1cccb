//! The operator's token: for `keyward admin user` on this machine, made anew at every start.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_store::DataDir;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ApiAddress;
use crate::failure::Failure;

/// Name of the file in the data directory.
pub(crate) const OPERATOR_FILE: &str = "operator.json";

/// What the file holds.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OperatorFile {
    /// Where the API is.
    pub(crate) url: String,
    /// Authorities that its certificate is of, where they are our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The token that it takes.
    pub(crate) token: Zeroizing<String>,
}

/// A new token, kept in the data directory for its owner alone.
pub(super) fn token(directory: &DataDir, api: &ApiAddress) -> Result<String, Failure> {
    let secret = keyward_auth::random_secret_bytes::<32>();
    let token = Zeroizing::new(format!("kwo_{}", URL_SAFE_NO_PAD.encode(*secret)));
    let file = OperatorFile {
        url: api.url.clone(),
        ca_file: api.ca_file.clone(),
        token: token.clone(),
    };
    let text = serde_json::to_vec_pretty(&file).map_err(|error| Failure::of(&error))?;
    let text = Zeroizing::new(text);
    directory
        .write_private(OPERATOR_FILE, &text)
        .map_err(|error| Failure::of(&error))?;
    Ok(token.to_string())
}
