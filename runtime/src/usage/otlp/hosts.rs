//! Which service a host belongs to, by the base URLs and the further hosts of the services.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use crate::domain::Catalog;

/// A service at a host.
#[derive(Debug, Clone)]
struct Place {
    service: Arc<str>,
    /// None: any.
    port: Option<u16>,
    /// Path of the base URL, without a slash at its end.
    path: String,
}

/// Services by host.
#[derive(Debug, Default)]
pub struct Hosts {
    places: HashMap<String, Vec<Place>>,
    slugs: HashMap<String, Arc<str>>,
    /// Of the catalog that they are from.
    version: u64,
}

impl Hosts {
    pub fn of(catalog: &Catalog) -> Self {
        let mut hosts = Self {
            version: catalog.version,
            ..Self::default()
        };
        for (slug, service) in &catalog.services {
            let name: Arc<str> = slug.as_str().into();
            hosts.slugs.insert(slug.clone(), Arc::clone(&name));
            hosts.add_url(&name, &service.base_url);
            for further in &service.hosts {
                let (host, port) = split_port(further);
                let place = Place {
                    service: Arc::clone(&name),
                    port,
                    path: String::new(),
                };
                hosts.add(host, place);
            }
        }
        hosts
    }

    /// Version of the catalog that they are from.
    pub(in crate::usage) fn version(&self) -> u64 {
        self.version
    }

    #[cfg(test)]
    pub(super) fn at(services: &[(&str, &str)]) -> Self {
        let mut hosts = Self::default();
        for (slug, url) in services {
            let name: Arc<str> = (*slug).into();
            hosts.slugs.insert((*slug).to_owned(), Arc::clone(&name));
            hosts.add_url(&name, url);
        }
        hosts
    }

    fn add_url(&mut self, service: &Arc<str>, base_url: &str) {
        if let Ok(url) = Url::parse(base_url)
            && let Some(host) = url.host_str()
        {
            let place = Place {
                service: Arc::clone(service),
                port: url.port_or_known_default(),
                path: url.path().trim_end_matches('/').to_owned(),
            };
            self.add(host, place);
        }
    }

    fn add(&mut self, host: &str, place: Place) {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.places.entry(host).or_default().push(place);
    }

    /// Returns the service of this slug.
    pub(super) fn named(&self, slug: &str) -> Option<Arc<str>> {
        self.slugs.get(slug).cloned()
    }

    /// Returns the service at a host: of several the one whose base path begins the path and is longest. None
    /// where it would be a guess.
    pub(super) fn find(&self, host: &str, port: Option<u16>, path: &str) -> Option<Arc<str>> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let places = self.places.get(host.as_str())?;
        let fits = |place: &&Place| {
            let has_port = match (place.port, port) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            };
            let rest = path.strip_prefix(place.path.as_str());
            has_port && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        let fitting: Vec<&Place> = places.iter().filter(fits).collect();
        let longest = fitting.iter().map(|place| place.path.len()).max()?;
        let mut best = fitting.iter().filter(|place| place.path.len() == longest);
        let first = &best.next()?.service;
        best.all(|place| place.service == *first)
            .then(|| Arc::clone(first))
    }
}

fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        _ => (host, None),
    }
}
