//! The request as it goes to the vendor: its address there, its headers, and the credential.

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use url::form_urlencoded::{Serializer, parse};
use url::{Position, Url};

use super::body::RequestBody;
use super::headers;
use super::refusal::Refusal;
use crate::domain::now_ms;
use crate::net::ClientIdentity;
use crate::plugin_host::{AppliedCredential, RequestSigner, RequestToSign, SignedPayload};

/// Head of a request to a vendor, which can be sent more than once.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) upgrade: Option<HeaderValue>,
    target: PathAndQuery,
    scheme: Scheme,
    authority: HeaderValue,
    pub(super) identity: Option<ClientIdentity>,
    /// Signs each attempt anew.
    signer: Option<RequestSigner>,
    /// The body, if the signature covers it.
    signed_body: Option<Bytes>,
}

impl Outgoing {
    /// `path` is what follows the base URL, as it was sent; `signed_body` what a signature covers.
    pub(super) fn new(
        parts: Parts,
        path: &str,
        base: &Url,
        credential: Option<&AppliedCredential>,
        signed_body: Option<Bytes>,
    ) -> Result<Self, Refusal> {
        let upgrade = headers::upgrade(&parts);
        let signer = credential.and_then(|credential| credential.signer.clone());
        let mut query = query(parts.uri.query(), credential);
        if let (Some(signer), Some(query)) = (&signer, &mut query) {
            *query = signer.query(query).into_owned();
        }
        let mut text = format!("{}{path}", base.path().trim_end_matches('/'));
        if let Some(query) = query {
            text.push('?');
            text.push_str(&query);
        }
        let wrong = |what| Refusal::request_wrong(format!("the {what} can't be sent on"));
        let mut outgoing = Self {
            method: parts.method,
            headers: parts.headers,
            upgrade,
            target: text.parse().map_err(|_| wrong("path"))?,
            scheme: if base.scheme() == "https" {
                Scheme::HTTPS
            } else {
                Scheme::HTTP
            },
            authority: HeaderValue::from_str(&base[Position::BeforeHost..Position::AfterPort])
                .map_err(|_| wrong("host"))?,
            identity: credential.and_then(|credential| credential.identity.clone()),
            signer,
            signed_body,
        };
        headers::for_vendor(&mut outgoing.headers, outgoing.upgrade.as_ref());
        for name in outgoing
            .signer
            .iter()
            .flat_map(RequestSigner::replaced_headers)
        {
            outgoing.headers.remove(*name);
        }
        for (name, value) in credential.iter().flat_map(|it| &it.headers) {
            put_secret(&mut outgoing.headers, name, value)?;
        }
        Ok(outgoing)
    }

    /// One HTTP version names the host in a header, the other in the address.
    pub(super) fn request(
        &self,
        is_http2: bool,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, Refusal> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        if is_http2 {
            *request.version_mut() = Version::HTTP_2;
            *request.uri_mut() = Uri::builder()
                .scheme(self.scheme.clone())
                .authority(self.authority.as_bytes())
                .path_and_query(self.target.clone())
                .build()
                .map_err(|_| Refusal::request_wrong("the address can't be sent on"))?;
        } else {
            *request.uri_mut() = Uri::from(self.target.clone());
            request.headers_mut().insert(HOST, self.authority.clone());
        }
        self.sign(request.headers_mut())?;
        Ok(request)
    }

    /// Adds the signature of the credential, if it is one that signs.
    fn sign(&self, headers: &mut HeaderMap) -> Result<(), Refusal> {
        let Some(signer) = &self.signer else {
            return Ok(());
        };
        let sent = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        let request = RequestToSign {
            method: self.method.as_str(),
            authority: self.authority.to_str().unwrap_or_default(),
            is_tls: self.scheme == Scheme::HTTPS,
            path: self.target.path(),
            query: self.target.query(),
            headers: sent,
            payload: match &self.signed_body {
                Some(body) => SignedPayload::Whole(body),
                None => SignedPayload::Passing,
            },
        };
        let added = signer.sign(&request, now_ms()).map_err(Refusal::unsigned)?;
        for (name, value) in added {
            put_secret(headers, &name, &value)?;
        }
        Ok(())
    }
}

/// Puts a header of the credential in the place of the client's.
fn put_secret(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Refusal> {
    let wrong = || Refusal::request_wrong("the credential can't be sent on");
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// The query as it was sent, with the credential's parameters in the place of those of their names.
fn query(sent: Option<&str>, credential: Option<&AppliedCredential>) -> Option<String> {
    let ours = credential.map_or(&[][..], |credential| credential.parameters.as_slice());
    if ours.is_empty() {
        return sent.map(str::to_owned);
    }
    let is_ours = |pair: &&str| {
        let name = parse(pair.as_bytes()).next().map(|(name, _)| name);
        ours.iter()
            .any(|(known, _)| name.as_deref() == Some(known.as_str()))
    };
    let kept: Vec<&str> = sent
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !is_ours(pair))
        .collect();
    let mut query = kept.join("&");
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(&Serializer::new(String::new()).extend_pairs(ours).finish());
    Some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_of_the_credential_takes_the_place_of_the_clients() {
        let mut credential = AppliedCredential::default();
        credential.parameters = vec![("key".to_owned(), "s & t".to_owned())];
        for (sent, wanted) in [
            (None, "key=s+%26+t"),
            (Some("a=1&key=x&%6bey=y&b=%2f"), "a=1&b=%2f&key=s+%26+t"),
        ] {
            assert_eq!(query(sent, Some(&credential)).unwrap(), wanted);
        }
        assert_eq!(query(Some("a=%2f&&"), None).unwrap(), "a=%2f&&");
    }
}
