//! Where a WebSocket is opened.

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_secure: bool,
    /// Path and query.
    pub(crate) path: String,
}

impl Address {
    /// A path that is a whole URL replaces the base URL, another one is put behind it.
    pub(crate) fn of(base_url: &str, path: Option<&str>) -> Result<Self, String> {
        let path = path.unwrap_or_default();
        let url = if path.contains("://") {
            path.to_owned()
        } else if path.is_empty() {
            base_url.to_owned()
        } else {
            let (base, path) = (base_url.trim_end_matches('/'), path.trim_start_matches('/'));
            format!("{base}/{path}")
        };
        let wrong = || format!("`{url}` is not the URL of a WebSocket, wanted `wss://host/path`");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "wss" | "https" => true,
            "ws" | "http" => false,
            _ => return Err(wrong()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = extrack_plugin::url::host_and_port(authority).ok_or_else(wrong)?;
        if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            host,
            port: port.unwrap_or(if is_secure { 443 } else { 80 }),
            is_secure,
            path: format!("{slash}{path}"),
        })
    }

    /// The value of the header `host`.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.is_secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}
