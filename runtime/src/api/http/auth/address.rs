//! The address of the client: the peer, or the one that a trusted proxy forwards.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{FORWARDED, HeaderName};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::http::caller::ClientAddress;
use crate::api::http::state::ApiState;
use crate::domain::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Middleware, outermost: limits and the audit log go by the client.
pub(crate) async fn identify(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = client_address(
            &state.settings.trusted_proxies,
            peer.ip(),
            request.headers(),
        );
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// `X-Forwarded-For` counts, and without it `Forwarded` (RFC 7239). Both are lists over all lines
/// of that name.
fn client_address(proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let lines = |name: &HeaderName| -> Vec<&str> {
        headers
            .get_all(name)
            .iter()
            .map(|line| line.to_str().unwrap_or("unreadable"))
            .collect()
    };
    let lists = lines(&X_FORWARDED_FOR);
    if !lists.is_empty() {
        return proxies.client(peer, lists.iter().flat_map(|list| list.split(',')));
    }
    let lists = lines(&FORWARDED);
    let elements = lists.iter().flat_map(|list| list.split(','));
    let hops: Vec<&str> = elements.map(forwarded_for).collect();
    proxies.client(peer, hops.into_iter())
}

/// Returns the address in one element of `Forwarded`. An element without one is a hop without an
/// address.
fn forwarded_for(element: &str) -> &str {
    let mut pairs = element
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
        .map_or("", |(_, hop)| hop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_trusted_proxy_says() {
        let proxies = TrustedProxies::parse("10.0.0.0/8").unwrap();
        type Headers = [(&'static str, &'static str)];
        let table: &[(&str, &Headers, &str)] = &[
            ("10.0.0.1", &[], "10.0.0.1"),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "6.6.6.6, 192.0.2.1")],
                "192.0.2.1",
            ),
            (
                "10.0.0.1",
                &[
                    ("x-forwarded-for", "6.6.6.6"),
                    ("x-forwarded-for", "192.0.2.1, 10.0.0.2"),
                ],
                "192.0.2.1",
            ),
            ("192.0.2.9", &[("x-forwarded-for", "6.6.6.6")], "192.0.2.9"),
            (
                "10.0.0.1",
                &[(
                    "forwarded",
                    "for=6.6.6.6, proto=https;For=\"[2001:db8::1]:80\";by=10.0.0.1",
                )],
                "2001:db8::1",
            ),
            (
                "10.0.0.1",
                &[
                    ("forwarded", "for=192.0.2.3"),
                    ("x-forwarded-for", "192.0.2.1"),
                ],
                "192.0.2.1",
            ),
            (
                "10.0.0.1",
                &[("forwarded", "for=192.0.2.3, proto=https")],
                "10.0.0.1",
            ),
        ];
        for (peer, headers, wanted) in table {
            let mut map = HeaderMap::new();
            for (name, value) in *headers {
                map.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            let found = client_address(&proxies, peer.parse().unwrap(), &map);
            assert_eq!(
                found,
                wanted.parse::<IpAddr>().unwrap(),
                "{peer} {headers:?}"
            );
        }
    }
}
