//! An authority that signs certificates on the spot, good and bad ones.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A server's certificate with its key, as PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Identity {
    /// Files for a server: the certificate and the key.
    pub fn write_to(&self, folder: &Path) -> [PathBuf; 2] {
        let files = [
            ("certificate.pem", &self.certificate),
            ("key.pem", &self.key),
        ];
        files.map(|(name, pem)| {
            let path = folder.join(name);
            std::fs::write(&path, pem).expect("the folder is ours");
            path
        })
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params
            .self_signed(&key)
            .expect("a certificate can be signed")
            .pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Returns the certificate of the authority, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Makes a certificate for these names and addresses, from `from_days` to `until_days` from
    /// now, at midnight UTC.
    pub fn sign(&self, names: &[&str], from_days: i64, until_days: i64) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the names are good");
        params
            .distinguished_name
            .push(DnType::CommonName, "Test Server");
        let (from, until) = (date(from_days), date(until_days));
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a certificate can be signed")
            .pem();
        Identity {
            certificate,
            key: key.serialize_pem(),
        }
    }
}

/// Year, month and day: what rcgen takes.
fn date(days_from_now: i64) -> (i32, u8, u8) {
    let moment = jiff::Timestamp::now().as_second() + days_from_now * 86_400;
    let date = jiff::Timestamp::from_second(moment)
        .expect("a moment near now")
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    (
        date.year().into(),
        date.month().unsigned_abs(),
        date.day().unsigned_abs(),
    )
}
