//! Identities, trusts and decisions.
//!
//! The [`Directory`] is an immutable value that holds every entity; [`Directory::apply`] makes the
//! next one. A [`Decision`] comes from one function for every principal and both planes; a
//! [`DecisionTable`] is the same decision compiled for one session and database, and the only
//! source of a [`Permit`]. Nothing here does I/O or knows a clock or randomness: they come in as
//! arguments.

mod aliases;
mod analysis;
mod apply;
mod assume;
mod authorise;
mod bits;
mod certificates;
mod change;
mod choose;
mod conditions;
mod decide;
mod decision;
mod decision_log;
mod directory;
mod documents;
mod entities;
mod evaluate;
mod facts;
mod graph;
mod grounds;
mod ids;
mod keyspace;
mod miss;
mod origins;
mod paged;
mod people;
mod providers;
mod row;
mod session;
mod simulate;
mod snapshots;
mod system;
mod table;
mod tags;
mod temporary;
mod terms;

pub use aliases::{AliasError, AlibabaAlias, AwsAlias, TencentAlias, VendorAddress, VendorAliases};
pub use analysis::{
    Access, AccessGroup, AclLoss, AclRules, Asked, AskedAbout, Assumer, Circumstances, Escalation,
    EscalationStep, Escalations, Exception, Gain, Holder, Means, OpenCondition, ResourceAccess,
    Risk, Way, WhoCan,
};
pub use apply::{
    ACTIVE_KEYS, Applied, ChangeContext, ChangeError, MAX_ACTIVE_KEYS, MAX_CHAIN, MAX_KEYS,
    MAX_POLICIES, MAX_VERSIONS,
};
pub use assume::{
    AssumeRole, AssumeRoleError, AssumedRole, MAX_CHAINED_SECONDS, SessionTokenError,
};
pub use authorise::{ChangeApproval, Requirement};
pub use certificates::{CertificateClaim, CertificateSession};
pub use change::{Change, PolicyInput};
pub use choose::{AskedDatabase, ChooseDatabaseError};
pub use decision::{Decision, Outcome, StatementRef, Subject};
pub use decision_log::{DecisionLog, DecisionRecord, KEPT_DECISIONS};
pub use directory::{Directory, Entity};
pub use documents::PolicyText;
pub use entities::{
    AccessKey, Attachment, Backend, DEFAULT_SESSION_SECONDS, Database, Identity, Invitation,
    KeyStatus, NamedPolicy, OrganisationDetails, PolicyVersion, Revocations, RoleDetails, Stamp,
    Trust, TrustKind,
};
pub use facts::Call;
pub use graph::PolicyCarrier;
pub use grounds::PolicySource;
pub use ids::{
    AccessKeyIx, DatabaseIx, IdentityIx, Kind, MAX_ID_LEN, PathParts, PolicyIx, RESERVED_IDS, Slug,
    SlugError, SnapshotIx, TrustIx, UnixMillis, full_path,
};
pub use people::{
    FRESH_LOGIN, Hash, LONGEST_LOGIN, LinkedLogin, LoginSession, MAX_LINKED, MAX_LOGINS,
    MAX_PASSKEYS, MAX_SIGN_IN_NAME, Passkey, Person, PersonChange, SetupLink, Totp, UsedFactor,
};
pub use providers::{
    CertificateAuthority, CertificateMapping, CertificateNameKind, ClaimMapping, IssuerUrl,
    IssuerUrlError, MAX_AUDIENCES, MAX_BUNDLE_LEN, MAX_ISSUER_LEN, MAX_MAPPING_VALUES,
    MAX_MAPPINGS, MappingMiss, OidcProvider, Provider, SignInMapping, SignatureAlgorithm,
    TrustRuleError, check_audience, check_token_conditions, is_shared_issuer,
    organisation_of_audience,
};
pub use row::{LoadError, Row};
pub use session::{Principal, Session, SessionEnded};
pub use simulate::{
    Case, CaseDocument, CaseError, CaseRequest, ContextNames, KnownValue, TEST_ORGANISATION,
};
pub use snapshots::{
    Existing, MAX_SNAPSHOT_TEXT, MAX_SNAPSHOTS, Restore, RestoreState, Snapshot, SnapshotAction,
    SnapshotPermit, SnapshotState,
};
pub use system::{SYSTEM_POLICIES, SystemPolicy};
pub use table::{Connect, DecisionTable, KeyFilter, Permit, Refused, Request, TableCache};
pub use tags::{MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS, TagError, Tags};
pub use temporary::{Origin, OriginCertificate, SessionPolicy, TemporarySession, TokenFacts};
