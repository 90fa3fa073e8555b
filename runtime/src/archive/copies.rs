//! Copies of the files in an object store that speaks S3, so that the archive outlives the disk.
//! Local files are what is read; a copy is fetched when a local file is damaged or gone.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::buffered::BufWriter;
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use url::Url;

use super::ArchiveError;

/// Time that one request may take; a file is sent in parts.
const REQUEST: Duration = Duration::from_secs(120);
/// Time over which a request is repeated. What fails then is tried again by the next round.
const RETRIES: Duration = Duration::from_secs(60);

/// Where copies go.
#[derive(Debug, Clone)]
pub struct CopySettings {
    /// `s3://bucket/prefix`, without credentials.
    url: Url,
    options: Vec<(AmazonS3ConfigKey, SecretString)>,
}

impl CopySettings {
    /// Variables that say how the store is reached, as the tools of AWS know them.
    pub const VARIABLES: [&str; 8] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ALLOW_HTTP",
    ];

    /// Reads a URL, and the values of those variables that are set. The error is for people.
    pub fn parse(
        url: &str,
        variables: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, String> {
        let wanted = "must be `s3://bucket/prefix`; credentials go to `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, another server than AWS to `AWS_ENDPOINT_URL`";
        let url = Url::parse(url).map_err(|_| wanted.to_owned())?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        if url.scheme() != "s3" || !url.has_host() || !is_plain || url.query().is_some() {
            return Err(wanted.to_owned());
        }
        let options = variables
            .into_iter()
            .filter_map(|(name, value)| {
                let key = AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase()).ok()?;
                Some((key, SecretString::from(value)))
            })
            .collect();
        let settings = Self { url, options };
        settings
            .open()
            .map_err(|error| format!("does not lead to an object store: {error}"))?;
        Ok(settings)
    }

    fn open(&self) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let builder = AmazonS3Builder::new()
            .with_url(self.url.as_str())
            .with_checksum_algorithm(Checksum::SHA256)
            .with_client_options(ClientOptions::new().with_timeout(REQUEST))
            .with_retry(RetryConfig {
                retry_timeout: RETRIES,
                ..RetryConfig::default()
            });
        let builder = self.options.iter().fold(builder, |builder, (key, value)| {
            builder.with_config(*key, value.expose_secret())
        });
        Ok(Arc::new(builder.build()?))
    }
}

/// An object store with copies.
#[derive(Clone)]
pub(super) struct Copies {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    name: Arc<str>,
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Copies").field(&self.name).finish()
    }
}

impl Copies {
    pub(super) fn open(settings: &CopySettings) -> Result<Self, ArchiveError> {
        let name: Arc<str> = settings.url.as_str().into();
        let store = settings.open().map_err(failed("open", &name))?;
        let prefix = Key::from_url_path(settings.url.path().trim_matches('/'))
            .map_err(|error| ArchiveError::Refused(error.to_string()))?;
        Ok(Self {
            store,
            prefix,
            name,
        })
    }

    /// Copies in memory.
    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        Self {
            store: Arc::new(object_store::memory::InMemory::new()),
            prefix: Key::from("extrack"),
            name: "memory".into(),
        }
    }

    /// Sends a file. It is there as a whole, or not at all.
    pub(super) async fn put(&self, path: &str, from: &Path) -> Result<(), ArchiveError> {
        let mut file = tokio::fs::File::open(from)
            .await
            .map_err(ArchiveError::io("read", from))?;
        let mut writer = BufWriter::new(Arc::clone(&self.store), self.key(path));
        let sent = tokio::io::copy(&mut file, &mut writer).await;
        let sent = match sent {
            Ok(_) => writer.shutdown().await,
            Err(error) => {
                // Else its parts would stay; the error counts.
                let _ = writer.abort().await;
                Err(error)
            }
        };
        sent.map_err(|error| ArchiveError::Copy {
            doing: "write",
            path: self.name_of(path),
            source: error.into(),
        })
    }

    /// Fetches a file to a path at which nothing is.
    pub(super) async fn get(&self, path: &str, to: &Path) -> Result<(), ArchiveError> {
        let reading = failed("read", &self.name_of(path));
        let found = self.store.get(&self.key(path)).await.map_err(reading)?;
        let mut parts = found.into_stream();
        let mut file = tokio::fs::File::create(to)
            .await
            .map_err(ArchiveError::io("write", to))?;
        loop {
            let part = parts.try_next().await;
            match part.map_err(failed("read", &self.name_of(path)))? {
                Some(part) => file.write_all(&part).await,
                None => break,
            }
            .map_err(ArchiveError::io("write", to))?;
        }
        file.sync_all().await.map_err(ArchiveError::io("write", to))
    }

    /// Deletes a copy; one that is not there is nothing to do.
    pub(super) async fn delete(&self, path: &str) -> Result<(), ArchiveError> {
        match self.store.delete(&self.key(path)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(failed("delete", &self.name_of(path))),
        }
    }

    /// Returns the paths of all copies, as they are in the archive.
    pub(super) async fn list(&self) -> Result<Vec<String>, ArchiveError> {
        let found = self.store.list(Some(&self.prefix)).map_ok(|found| {
            let parts = found.location.prefix_match(&self.prefix);
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            let texts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            texts.join("/")
        });
        found
            .try_collect()
            .await
            .map_err(failed("list", &self.name))
    }

    fn key(&self, path: &str) -> Key {
        path.split('/')
            .fold(self.prefix.clone(), |key, part| key.join(part))
    }

    fn name_of(&self, path: &str) -> Arc<str> {
        format!("{}/{path}", self.name.trim_end_matches('/')).into()
    }
}

fn failed(
    doing: &'static str,
    path: &Arc<str>,
) -> impl FnOnce(object_store::Error) -> ArchiveError + use<> {
    let path = Arc::clone(path);
    move |source| ArchiveError::Copy {
        doing,
        path,
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_bucket_or_with_secrets_is_rejected() {
        for url in [
            "s3:///prefix",
            "https://bucket.s3.amazonaws.com/",
            "s3://key:secret@bucket/",
            "bucket",
        ] {
            let rejected = CopySettings::parse(url, []).unwrap_err();
            assert!(rejected.starts_with("must be `s3://"), "{url}: {rejected}");
            assert!(!rejected.contains("secret@"));
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let region = ("AWS_REGION", "eu-central-1".to_owned());
        let key = ("AWS_SECRET_ACCESS_KEY", "hush".to_owned());
        let incomplete = CopySettings::parse("s3://bucket/", [region.clone(), key.clone()]);
        let reason = incomplete.unwrap_err();
        assert!(reason.contains("AccessKeyId"), "{reason}");
        let id = ("AWS_ACCESS_KEY_ID", "us".to_owned());
        let settings = CopySettings::parse("s3://bucket/a/b/", [region, key, id]).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        let copies = Copies::open(&settings).unwrap();
        assert_eq!(
            copies.key("c/day=2026-11-23/d").as_ref(),
            "a/b/c/day=2026-11-23/d"
        );
    }
}
