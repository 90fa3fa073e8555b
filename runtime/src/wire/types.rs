//! Types of PostgreSQL in which DuckDB's values are answered.

/// A type with its number in `pg_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PgType {
    Bool,
    Bytea,
    Int8,
    Int2,
    Int4,
    Text,
    Json,
    Float4,
    Float8,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Numeric,
    Uuid,
}

/// Number, bytes (-1: it varies), name in `pg_type`, name in SQL.
type Facts = (u32, i16, &'static str, &'static str);

impl PgType {
    pub(super) const ALL: [Self; 16] = [
        Self::Bool,
        Self::Bytea,
        Self::Int8,
        Self::Int2,
        Self::Int4,
        Self::Text,
        Self::Json,
        Self::Float4,
        Self::Float8,
        Self::Date,
        Self::Time,
        Self::Timestamp,
        Self::Timestamptz,
        Self::Interval,
        Self::Numeric,
        Self::Uuid,
    ];

    /// Returns the type of a column by DuckDB's word. Lists, structs and the like are texts.
    pub(super) fn of_duckdb(kind: &str) -> Self {
        match kind {
            "BOOLEAN" => Self::Bool,
            "TINYINT" | "UTINYINT" | "SMALLINT" => Self::Int2,
            "USMALLINT" | "INTEGER" => Self::Int4,
            "UINTEGER" | "BIGINT" => Self::Int8,
            "UBIGINT" | "HUGEINT" | "UHUGEINT" => Self::Numeric,
            "FLOAT" => Self::Float4,
            "DOUBLE" => Self::Float8,
            "BLOB" => Self::Bytea,
            "UUID" => Self::Uuid,
            "JSON" => Self::Json,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "TIMESTAMP" | "TIMESTAMP_S" | "TIMESTAMP_MS" | "TIMESTAMP_NS" => Self::Timestamp,
            "TIMESTAMP WITH TIME ZONE" => Self::Timestamptz,
            "INTERVAL" => Self::Interval,
            decimal if decimal.starts_with("DECIMAL(") && !decimal.ends_with(']') => Self::Numeric,
            _ => Self::Text,
        }
    }

    /// Returns the type of a parameter. None: it is for us to find out.
    pub(super) fn of_oid(oid: u32) -> Option<Self> {
        match oid {
            0 | 705 => None,
            16 => Some(Self::Bool),
            17 => Some(Self::Bytea),
            20 | 26 => Some(Self::Int8),
            21 => Some(Self::Int2),
            23 => Some(Self::Int4),
            114 | 3802 => Some(Self::Json),
            700 => Some(Self::Float4),
            701 => Some(Self::Float8),
            1082 => Some(Self::Date),
            1083 => Some(Self::Time),
            1114 => Some(Self::Timestamp),
            1184 => Some(Self::Timestamptz),
            1186 => Some(Self::Interval),
            1700 => Some(Self::Numeric),
            2950 => Some(Self::Uuid),
            _ => Some(Self::Text),
        }
    }

    /// Returns the type of a name in SQL, e.g. after `::`.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "bool" | "boolean" => Self::Bool,
            "bytea" | "blob" => Self::Bytea,
            "int8" | "bigint" | "long" | "oid" => Self::Int8,
            "int2" | "smallint" | "short" => Self::Int2,
            "int4" | "int" | "integer" => Self::Int4,
            "text" | "varchar" | "char" | "bpchar" | "string" => Self::Text,
            "json" => Self::Json,
            "float4" | "real" | "float" => Self::Float4,
            "float8" | "double" => Self::Float8,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" | "datetime" => Self::Timestamp,
            "timestamptz" => Self::Timestamptz,
            "interval" => Self::Interval,
            "numeric" | "decimal" | "hugeint" => Self::Numeric,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    const fn facts(self) -> Facts {
        match self {
            Self::Bool => (16, 1, "bool", "boolean"),
            Self::Bytea => (17, -1, "bytea", "bytea"),
            Self::Int8 => (20, 8, "int8", "bigint"),
            Self::Int2 => (21, 2, "int2", "smallint"),
            Self::Int4 => (23, 4, "int4", "integer"),
            Self::Text => (25, -1, "text", "text"),
            Self::Json => (114, -1, "json", "json"),
            Self::Float4 => (700, 4, "float4", "real"),
            Self::Float8 => (701, 8, "float8", "double precision"),
            Self::Date => (1082, 4, "date", "date"),
            Self::Time => (1083, 8, "time", "time without time zone"),
            Self::Timestamp => (1114, 8, "timestamp", "timestamp without time zone"),
            Self::Timestamptz => (1184, 8, "timestamptz", "timestamp with time zone"),
            Self::Interval => (1186, 16, "interval", "interval"),
            Self::Numeric => (1700, -1, "numeric", "numeric"),
            Self::Uuid => (2950, 16, "uuid", "uuid"),
        }
    }

    pub(super) const fn oid(self) -> u32 {
        self.facts().0
    }

    /// Returns the bytes of a value, -1 where they vary.
    pub(super) const fn size(self) -> i16 {
        self.facts().1
    }

    /// Returns the name in `pg_type`.
    pub(super) const fn name(self) -> &'static str {
        self.facts().2
    }

    /// Returns the letter of its category in `pg_type`.
    pub(super) const fn category(self) -> &'static str {
        match self {
            Self::Bool => "B",
            Self::Int2 | Self::Int4 | Self::Int8 => "N",
            Self::Float4 | Self::Float8 | Self::Numeric => "N",
            Self::Text => "S",
            Self::Date | Self::Time | Self::Timestamp | Self::Timestamptz => "D",
            Self::Interval => "T",
            Self::Bytea | Self::Json | Self::Uuid => "U",
        }
    }

    /// Returns the name in SQL.
    pub(super) const fn sql_name(self) -> &'static str {
        self.facts().3
    }

    /// Returns DuckDB's word for values of this type.
    pub(super) const fn duckdb_name(self) -> &'static str {
        match self {
            Self::Bytea => "BLOB",
            Self::Text | Self::Interval => "VARCHAR",
            Self::Json => "JSON",
            Self::Numeric => "DECIMAL(38,6)",
            Self::Time => "TIME",
            Self::Timestamp => "TIMESTAMP",
            Self::Timestamptz => "TIMESTAMPTZ",
            other => other.facts().3,
        }
    }
}
