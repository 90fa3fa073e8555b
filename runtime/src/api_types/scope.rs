//! Scopes of tokens.

use schemars::JsonSchema;

/// Right that a token grants. Each route needs one; `admin` includes all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Scope {
    /// See everything that is not secret.
    Read,
    /// Change services, run checks.
    Write,
    /// Ask in SQL.
    Sql,
    /// Install plugins and go back to earlier versions.
    Deploy,
    Admin,
}

impl Scope {
    pub const ALL: [Scope; 5] = [
        Scope::Read,
        Scope::Write,
        Scope::Sql,
        Scope::Deploy,
        Scope::Admin,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Sql => "sql",
            Scope::Deploy => "deploy",
            Scope::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}
