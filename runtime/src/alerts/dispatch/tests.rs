//! Groups under virtual time.
