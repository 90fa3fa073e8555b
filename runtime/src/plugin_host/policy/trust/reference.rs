//! `oci://registry/repository:tag` and `oci://registry/repository@sha256:…`

use std::fmt;

/// Where a component lies in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin_host) struct Reference {
    /// `host` or `host:port`, in lower case.
    pub(in crate::plugin_host) registry: String,
    pub(in crate::plugin_host) repository: String,
    pub(in crate::plugin_host) version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin_host) enum Version {
    Tag(String),
    /// sha256 of the manifest, lower case hex.
    Digest(String),
}

/// Checks a reference; the error names what is wrong with it.
pub fn check_reference(text: &str) -> Result<(), String> {
    Reference::parse(text).map(drop)
}

impl Reference {
    /// Parses a reference by the distribution specification 1.1; a digest beside a tag decides.
    pub(in crate::plugin_host) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "`{text}` {what}; write `oci://REGISTRY/REPOSITORY:TAG` or `oci://REGISTRY/REPOSITORY@sha256:DIGEST`"
            )
        };
        let rest = text
            .strip_prefix("oci://")
            .ok_or_else(|| wrong("does not begin with `oci://`"))?;
        let (registry, path) = rest
            .split_once('/')
            .ok_or_else(|| wrong("names no repository"))?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if registry.is_empty()
            || !registry.chars().all(is_host)
            || url::Url::parse(&format!("https://{registry}/")).is_err()
        {
            return Err(wrong("names no registry"));
        }
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => (path, Some(digest)),
            None => (path, None),
        };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let is_part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
        };
        if repository.len() > 255 || !repository.split('/').all(is_part) {
            return Err(wrong(
                "has no repository in lower case letters, digits, `.`, `_`, `-` and `/`",
            ));
        }
        let is_tag = |tag: &str| {
            tag.len() <= 128
                && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                && tag
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("has a tag that is none"));
        }
        let version = match (tag, digest) {
            (_, Some(digest)) => Version::Digest(
                sha256_of(digest).ok_or_else(|| wrong("has a digest that is none"))?,
            ),
            (Some(tag), None) => Version::Tag(tag.to_owned()),
            (None, None) => return Err(wrong("names no version")),
        };
        Ok(Self {
            registry: registry.to_ascii_lowercase(),
            repository: repository.to_owned(),
            version,
        })
    }
}

/// The hex of `sha256:…`; nothing else is a digest here.
pub(in crate::plugin_host) fn sha256_of(digest: &str) -> Option<String> {
    let hex = digest.strip_prefix("sha256:")?;
    let is_hex = hex.len() == 64
        && hex
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    is_hex.then(|| hex.to_owned())
}

/// Formats the version as a part of a path.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Tag(tag) => f.write_str(tag),
            Version::Digest(hex) => write!(f, "sha256:{hex}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joint = if matches!(self.version, Version::Tag(_)) {
            ':'
        } else {
            '@'
        };
        write!(
            f,
            "oci://{}/{}{joint}{}",
            self.registry, self.repository, self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_shown() {
        let hex = "a".repeat(64);
        for (text, shown) in [
            ("oci://ghcr.io/acme/shop-probe:1.2.3", None),
            (
                "oci://GHCR.io/acme/shop-probe:1",
                Some("oci://ghcr.io/acme/shop-probe:1"),
            ),
            ("oci://127.0.0.1:5000/a:b", None),
            ("oci://[::1]:5000/a/b_c/d-e:V1", None),
            (&format!("oci://r.example/a@sha256:{hex}"), None),
            (
                &format!("oci://r.example/a:tag@sha256:{hex}"),
                Some(&format!("oci://r.example/a@sha256:{hex}")),
            ),
        ] {
            assert_eq!(
                Reference::parse(text).unwrap().to_string(),
                shown.unwrap_or(text)
            );
        }
        for text in [
            "ghcr.io/acme/x:1",
            "https://ghcr.io/acme/x:1",
            "oci://ghcr.io",
            "oci://ghcr.io/",
            "oci:///a:1",
            "oci://ghcr.io/acme",
            "oci://ghcr.io/Acme:1",
            "oci://ghcr.io/a//b:1",
            "oci://ghcr.io/../b:1",
            "oci://ghcr.io/a b:1",
            "oci://ghcr.io/a:",
            "oci://ghcr.io/a:1/../../x",
            "oci://ghcr.io/a:1?x",
            "oci://ghcr.io/a@sha256:abc",
            "oci://ghcr.io/a@md5:abc",
            "oci://user@ghcr.io/a:1",
            "oci://ghcr.io:port/a:1",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
