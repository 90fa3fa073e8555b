//! One name at the name servers: with the search domains as the C library tries them, for both
//! families at once.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::timeout;

use super::system::ResolvConf;
use crate::net::dns::ask::ask;
use crate::net::dns::wire::rcode_text;
use crate::net::failure::NetError;

/// How long an answer for IPv6 is waited for once there are addresses for IPv4 (RFC 8305, 3): some
/// servers drop such questions.
const SECOND_FAMILY: Duration = Duration::from_millis(50);

/// Addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 64;

/// The addresses of the first form of the name that has any. A form without an answer at all ends
/// the search.
pub(super) async fn search(
    conf: &ResolvConf,
    servers: &[SocketAddr],
    name: &str,
    pace: Duration,
) -> Result<Vec<IpAddr>, NetError> {
    let mut reason = "there is no such name".to_owned();
    for (form, is_as_written) in forms(conf, name)? {
        let asked = addresses(conf, servers, &form, pace).await;
        match asked.map_err(|error| NetError::Dns(format!("`{name}` does not resolve: {error}")))? {
            Ok(addresses) => return Ok(addresses),
            Err(none) if is_as_written => reason = none,
            Err(_) => {}
        }
    }
    Err(NetError::Dns(format!(
        "`{name}` does not resolve: {reason}"
    )))
}

/// The name as it is written and below each search domain: first as written if it has `ndots` dots,
/// else last.
fn forms(conf: &ResolvConf, name: &str) -> Result<Vec<(Name, bool)>, NetError> {
    let wrong = |error| {
        NetError::Dns(format!(
            "`{name}` does not resolve: it is not a domain name: {error}"
        ))
    };
    let mut written = Name::from_ascii(name).map_err(wrong)?;
    written.set_fqdn(false);
    let mut forms: Vec<(Name, bool)> = Vec::with_capacity(conf.search.len() + 1);
    for domain in &conf.search {
        // A name that gets too long there has no such form.
        if let Ok(form) = written.clone().append_domain(domain) {
            forms.push((form, false));
        }
    }
    let is_first = name.matches('.').count() >= conf.ndots;
    let place = if is_first { 0 } else { forms.len() };
    written.set_fqdn(true);
    forms.insert(place, (written, true));
    Ok(forms)
}

/// The inner error has the reason why there is none, which another form of the name may mend.
async fn addresses(
    conf: &ResolvConf,
    servers: &[SocketAddr],
    name: &Name,
    pace: Duration,
) -> Result<Result<Vec<IpAddr>, String>, NetError> {
    let question = |record_type| Query::query(name.clone(), record_type);
    let (for_v4, for_v6) = (question(RecordType::A), question(RecordType::AAAA));
    let mut asked_v6 = pin!(ask(servers, &for_v6, pace));
    let mut v6 = None;
    let v4 = {
        let mut asked_v4 = pin!(ask(servers, &for_v4, pace));
        loop {
            tokio::select! {
                biased;
                answer = &mut asked_v6, if v6.is_none() && !conf.no_aaaa => v6 = Some(answer),
                answer = &mut asked_v4 => break answer,
            }
        }
    };
    let mut found = v4
        .as_ref()
        .map(|(_, message)| in_answer(message))
        .unwrap_or_default();
    if v6.is_none() && !conf.no_aaaa {
        v6 = if found.is_empty() {
            Some(asked_v6.await)
        } else {
            timeout(SECOND_FAMILY, asked_v6).await.ok()
        };
    }
    if let Some(Ok((_, message))) = &v6 {
        found.extend(in_answer(message));
    }
    if !found.is_empty() {
        found.truncate(MAX_ADDRESSES);
        return Ok(Ok(found));
    }
    let (server, message) = v4?;
    Ok(Err(match message.metadata.response_code {
        ResponseCode::NoError => "it has no address".to_owned(),
        ResponseCode::NXDomain => "there is no such name (NXDOMAIN)".to_owned(),
        code => format!("the name server `{server}` answered {}", rcode_text(code)),
    }))
}

/// Returns the addresses behind the CNAMEs that a recursive server has followed.
fn in_answer(message: &Message) -> Vec<IpAddr> {
    let addresses = message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tried_in_the_order_of_the_c_library() {
        let search = ["shop.svc.cluster.local.", "cluster.local."]
            .map(|domain| Name::from_ascii(domain).unwrap());
        for (name, ndots, wanted) in [
            (
                "db",
                1,
                &["db.shop.svc.cluster.local.", "db.cluster.local.", "db."][..],
            ),
            (
                "db.shop",
                1,
                &[
                    "db.shop.",
                    "db.shop.shop.svc.cluster.local.",
                    "db.shop.cluster.local.",
                ],
            ),
            (
                "api.shop.example",
                5,
                &[
                    "api.shop.example.shop.svc.cluster.local.",
                    "api.shop.example.cluster.local.",
                    "api.shop.example.",
                ],
            ),
            (
                "_dmarc.shop",
                0,
                &[
                    "_dmarc.shop.",
                    "_dmarc.shop.shop.svc.cluster.local.",
                    "_dmarc.shop.cluster.local.",
                ],
            ),
        ] {
            let conf = ResolvConf {
                search: search.to_vec(),
                ndots,
                ..ResolvConf::default()
            };
            let forms = forms(&conf, name).unwrap();
            let texts: Vec<String> = forms.iter().map(|(form, _)| form.to_string()).collect();
            assert_eq!(texts, wanted, "{name}");
            let written: Vec<String> = forms
                .iter()
                .filter(|(_, is)| *is)
                .map(|(form, _)| form.to_string())
                .collect();
            assert_eq!(written, [format!("{name}.")]);
        }
    }
}
