//! Envelope encryption: each row has a data key of its own, wrapped by the one key that the
//! operator keeps. What is sealed opens only in its place (table, row, revision), so rows can't be
//! swapped or rolled back behind our back.
//!
//! A sealed value is `version 1 (1 byte) | nonce (24) | wrapped data key (32 + 16) | nonce (24) |
//! ciphertext (n + 16)`, both by XChaCha20-Poly1305.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};

const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 1 + NONCE_BYTES + KEY_BYTES + TAG_BYTES + NONCE_BYTES;
const MIN_KEY_CHARACTERS: usize = 16;
const KEY_FILE: &str = "secret.key";
/// The new key while rows are sealed anew.
const NEXT_KEY_FILE: &str = "secret.key.next";
/// Bytes of a fingerprint that people compare.
const ID_BYTES: usize = 6;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "`ENCRYPTION_KEY` has {0} characters, and needs at least {MIN_KEY_CHARACTERS}; `openssl rand -hex 32` makes a good one"
    )]
    TooShort(usize),
    #[error("`{}` is not a key: it should hold 64 hexadecimal digits; restore it from a backup", .0.display())]
    Malformed(PathBuf),
    #[error("could not read or make the key file `{}`", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the data was written under another key than the one in {key}{ids}; start with the former key"
    )]
    Wrong { key: String, ids: String },
    #[error(
        "could not put the new key `{}` in its place; the next start or rotation tries it again",
        path.display()
    )]
    Place {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{table} `{identity}` does not decrypt: the row was damaged, or changed by something else"
    )]
    Damaged {
        table: &'static str,
        identity: String,
    },
}

/// Where a sealed value belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) table: &'static str,
    pub(super) identity: &'a str,
    pub(super) revision: i64,
}

impl Place<'_> {
    fn associated_data(&self, part: &str) -> Vec<u8> {
        let mut data = Vec::with_capacity(64);
        for text in [part, self.table, self.identity] {
            data.extend_from_slice(&(text.len() as u64).to_le_bytes());
            data.extend_from_slice(text.as_bytes());
        }
        data.extend_from_slice(&self.revision.to_le_bytes());
        data
    }

    fn damaged(&self) -> KeyError {
        KeyError::Damaged {
            table: self.table,
            identity: self.identity.to_owned(),
        }
    }
}

/// The operator's key.
pub struct Keyring {
    key: SecretBox<[u8; KEY_BYTES]>,
    source: String,
    /// Folder of the key file; none: the key comes from elsewhere.
    folder: Option<PathBuf>,
    /// Key of a rotation that was cut off: the data decides which of the two is the right one.
    next: Option<SecretBox<[u8; KEY_BYTES]>>,
}

impl Keyring {
    /// Loads the key from `ENCRYPTION_KEY` (any text of 16 characters or more), else from
    /// `secret.key` in the data folder, which is made at the first start.
    pub fn load(encryption_key: Option<SecretString>, data_dir: &Path) -> Result<Self, KeyError> {
        match encryption_key {
            Some(text) => {
                let characters = text.expose_secret().chars().count();
                if characters < MIN_KEY_CHARACTERS {
                    return Err(KeyError::TooShort(characters));
                }
                let key: [u8; KEY_BYTES] = Sha256::digest(text.expose_secret().as_bytes()).into();
                Ok(Self {
                    key: SecretBox::new(Box::new(key)),
                    source: "`ENCRYPTION_KEY`".to_owned(),
                    folder: None,
                    next: None,
                })
            }
            None => {
                let path = data_dir.join(KEY_FILE);
                let key = match read_key_file(&path)? {
                    Some(key) => key,
                    None => made(&path)?,
                };
                Ok(Self {
                    key,
                    source: format!("`{}`", path.display()),
                    folder: Some(data_dir.to_owned()),
                    next: read_key_file(&data_dir.join(NEXT_KEY_FILE))?,
                })
            }
        }
    }

    /// Makes a new key beside the one in the key file, on the disk before anything is sealed under
    /// it. None: the key does not come from a file.
    pub(super) fn make_next(&self) -> Result<Option<Self>, KeyError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.join(NEXT_KEY_FILE);
        Ok(Some(Self {
            key: made(&path)?,
            source: format!("`{}`", path.display()),
            folder: Some(folder.clone()),
            next: None,
        }))
    }

    /// Puts the key of a rotation in the place of the one before: everything is sealed under it.
    pub(super) fn place_next(folder: &Path) -> Result<(), KeyError> {
        let path = folder.join(NEXT_KEY_FILE);
        let placed = std::fs::rename(&path, folder.join(KEY_FILE)).and_then(|()| sync(folder));
        placed.map_err(|source| KeyError::Place { path, source })
    }

    /// Removes the key of a rotation that sealed nothing.
    fn drop_next(folder: &Path) {
        if let Err(error) = std::fs::remove_file(folder.join(NEXT_KEY_FILE)) {
            tracing::warn!(%error, "the key of a rotation that was cut off can't be removed");
        }
    }

    /// Ends a rotation that was cut off: the key that opens the value is the right one.
    pub(super) fn settle(mut self, place: Place<'_>, sealed: &[u8]) -> Result<Self, KeyError> {
        let (Some(next), Some(folder)) = (self.next.take(), self.folder.clone()) else {
            return Ok(self);
        };
        if self.open(place, sealed).is_ok() {
            Self::drop_next(&folder);
            tracing::warn!("a rotation of the key was cut off before it changed anything");
            return Ok(self);
        }
        let next = Self { key: next, ..self };
        if next.open(place, sealed).is_ok() {
            Self::place_next(&folder)?;
            tracing::info!("a rotation of the key that was cut off is complete now");
        }
        Ok(next)
    }

    /// Fingerprint of the key, by which people tell two of them apart.
    pub fn id(&self) -> String {
        let hash = Sha256::new_with_prefix("extrack master key")
            .chain_update(self.key.expose_secret())
            .finalize();
        hex::encode(&hash[..ID_BYTES])
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Writes the key where it is kept for backups that were made under it. Nothing is overwritten.
    pub(super) fn write_copy(&self, path: &Path) -> Result<(), KeyError> {
        write_key_file(path, self.key.expose_secret()).map_err(|source| KeyError::File {
            path: path.to_owned(),
            source,
        })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let data_key = SecretBox::new(Box::new(<[u8; KEY_BYTES]>::from(
            XChaCha20Poly1305::generate_key(&mut OsRng),
        )));
        let key_nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let wrapped = cipher(&self.key)
            .encrypt(
                &key_nonce,
                Payload {
                    msg: data_key.expose_secret(),
                    aad: &place.associated_data("key"),
                },
            )
            .map_err(|_| place.damaged())?;
        let sealed = cipher(&data_key)
            .encrypt(
                &nonce,
                Payload {
                    msg: plain,
                    aad: &place.associated_data("data"),
                },
            )
            .map_err(|_| place.damaged())?;
        let mut out = Vec::with_capacity(HEADER_BYTES + sealed.len());
        out.push(FORMAT);
        out.extend_from_slice(&key_nonce);
        out.extend_from_slice(&wrapped);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    pub(super) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        if sealed.len() < HEADER_BYTES || sealed[0] != FORMAT {
            return Err(place.damaged());
        }
        let (key_nonce, rest) = sealed[1..].split_at(NONCE_BYTES);
        let (wrapped, rest) = rest.split_at(KEY_BYTES + TAG_BYTES);
        let (nonce, text) = rest.split_at(NONCE_BYTES);
        let data_key = cipher(&self.key)
            .decrypt(
                XNonce::from_slice(key_nonce),
                Payload {
                    msg: wrapped,
                    aad: &place.associated_data("key"),
                },
            )
            .ok()
            .and_then(|key| <[u8; KEY_BYTES]>::try_from(key).ok())
            .ok_or_else(|| place.damaged())?;
        cipher(&SecretBox::new(Box::new(data_key)))
            .decrypt(
                XNonce::from_slice(nonce),
                Payload {
                    msg: text,
                    aad: &place.associated_data("data"),
                },
            )
            .map_err(|_| place.damaged())
    }
}

fn cipher(key: &SecretBox<[u8; KEY_BYTES]>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(Key::from_slice(key.expose_secret()))
}

fn parse_key(text: &str) -> Option<[u8; KEY_BYTES]> {
    hex::decode(text.trim()).ok()?.try_into().ok()
}

fn read_key_file(path: &Path) -> Result<Option<SecretBox<[u8; KEY_BYTES]>>, KeyError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let key = parse_key(&text).ok_or_else(|| KeyError::Malformed(path.to_owned()))?;
            Ok(Some(SecretBox::new(Box::new(key))))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

fn made(path: &Path) -> Result<SecretBox<[u8; KEY_BYTES]>, KeyError> {
    let key = <[u8; KEY_BYTES]>::from(XChaCha20Poly1305::generate_key(&mut OsRng));
    write_key_file(path, &key).map_err(|source| KeyError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(SecretBox::new(Box::new(key)))
}

/// Writes a key, readable by its owner only, and on the disk before anything is sealed under it. The
/// file appears whole: half a key would be taken for a broken one.
fn write_key_file(path: &Path, key: &[u8; KEY_BYTES]) -> std::io::Result<()> {
    if path.exists() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let draft = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", hex::encode(key))?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), sync)
}

/// Has the names in a folder on the disk.
fn sync(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(text: &str) -> Keyring {
        Keyring::load(Some(text.to_owned().into()), Path::new("/nonexistent")).unwrap()
    }

    const PLACE: Place<'static> = Place {
        table: "services",
        identity: "shop-api",
        revision: 3,
    };

    #[test]
    fn opens_what_it_sealed_and_only_in_its_place() {
        let ring = keyring("correct horse battery staple");
        let sealed = ring.seal(PLACE, b"token").unwrap();
        assert_eq!(ring.open(PLACE, &sealed).unwrap(), b"token");
        for other in [
            Place {
                table: "channels",
                ..PLACE
            },
            Place {
                identity: "shop-ap",
                ..PLACE
            },
            Place {
                revision: 2,
                ..PLACE
            },
        ] {
            assert!(ring.open(other, &sealed).is_err(), "{other:?}");
        }
        assert!(
            keyring("correct horse battery stapler")
                .open(PLACE, &sealed)
                .is_err()
        );
    }

    #[test]
    fn refuses_every_changed_byte_and_every_cut() {
        let ring = keyring("correct horse battery staple");
        let sealed = ring.seal(PLACE, b"token").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(ring.open(PLACE, &changed).is_err(), "byte {index}");
            assert!(
                ring.open(PLACE, &sealed[..index]).is_err(),
                "cut at {index}"
            );
        }
    }

    #[test]
    fn seals_the_same_text_differently_each_time() {
        let ring = keyring("correct horse battery staple");
        assert_ne!(
            ring.seal(PLACE, b"token").unwrap(),
            ring.seal(PLACE, b"token").unwrap()
        );
    }

    #[test]
    fn makes_a_key_file_for_its_owner_only_and_reads_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = Keyring::load(None, dir.path())
            .unwrap()
            .seal(PLACE, b"token")
            .unwrap();
        assert_eq!(
            Keyring::load(None, dir.path())
                .unwrap()
                .open(PLACE, &sealed)
                .unwrap(),
            b"token"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.path().join(KEY_FILE))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn refuses_a_short_key_and_a_broken_file() {
        let dir = tempfile::tempdir().unwrap();
        let short = Keyring::load(Some("fifteen letters".to_owned().into()), dir.path())
            .err()
            .unwrap()
            .to_string();
        assert!(
            short.contains("`ENCRYPTION_KEY` has 15 characters"),
            "{short}"
        );
        std::fs::write(dir.path().join(KEY_FILE), "not hex").unwrap();
        assert!(
            Keyring::load(None, dir.path())
                .err()
                .unwrap()
                .to_string()
                .contains(KEY_FILE)
        );
    }
}
