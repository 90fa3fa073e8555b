//! One request with the redirects that follow it, hop by hop.

use std::borrow::Cow;

use super::cookies::CookieJar;
use super::draft::Draft;
use super::text::Text;
use super::{Request, Response, redirect};
use crate::net::Phases;
use crate::wit::http as wit;

pub(super) struct Exchange {
    /// Request of the next hop.
    draft: Draft,
    /// Redirects that may be followed.
    redirects: u32,
    hop: u32,
    jar: CookieJar,
    /// The jar is for further requests, too.
    keeps_cookies: bool,
    /// Phases of the hops that are over.
    phases: Option<Phases>,
}

impl Exchange {
    pub(super) fn new(request: Request) -> Self {
        Self {
            draft: request.draft,
            redirects: request.redirects,
            hop: 0,
            jar: CookieJar::default(),
            keeps_cookies: false,
            phases: None,
        }
    }

    /// Begins with the cookies of earlier answers, and keeps those of the last one.
    pub(super) fn with_jar(request: Request, jar: CookieJar) -> Self {
        Self {
            jar,
            keeps_cookies: true,
            ..Self::new(request)
        }
    }

    pub(super) fn into_jar(self) -> CookieJar {
        self.jar
    }

    /// Returns the request to send next, with the cookies that were set on the way.
    pub(super) fn next_hop(&self) -> Cow<'_, Draft> {
        if self.hop == 0 && self.jar.is_empty() {
            return Cow::Borrowed(&self.draft);
        }
        match self.jar.header(&self.draft.url.shown()) {
            Some(cookies) => Cow::Owned(with_cookies(&self.draft, &cookies)),
            None => Cow::Borrowed(&self.draft),
        }
    }

    /// Returns the response if the answer is the last one; none if there is a hop to follow.
    pub(super) fn answered(&mut self, answer: wit::Response) -> Option<Response> {
        let url = self.draft.url.shown();
        let total = sum(self.phases.take(), &answer.phases);
        let target = (self.hop < self.redirects)
            .then(|| redirect::target(&url, &answer))
            .flatten();
        let Some(target) = target else {
            if self.keeps_cookies {
                self.jar.take(&url, &answer.headers);
            }
            return Some(Response::new(answer, total, url, self.hop));
        };
        self.phases = Some(total);
        self.jar.take(&url, &answer.headers);
        redirect::follow(&mut self.draft, target, answer.status);
        self.hop += 1;
        None
    }
}

/// The plugin's own cookies come first.
fn with_cookies(draft: &Draft, cookies: &str) -> Draft {
    let mut draft = draft.clone();
    let is_cookie = |(name, _): &(String, Text)| name.eq_ignore_ascii_case("cookie");
    match draft.headers.iter_mut().find(|header| is_cookie(header)) {
        Some((_, own)) => {
            own.push("; ");
            own.push(cookies);
        }
        None => draft.headers.push(("cookie".to_owned(), cookies.into())),
    }
    draft
}

fn sum(before: Option<Phases>, now: &Phases) -> Phases {
    let Some(before) = before else {
        return now.clone();
    };
    let add = |a: Option<u64>, b: Option<u64>| a.map_or(b, |a| Some(a + b.unwrap_or(0)));
    Phases {
        dns_us: add(before.dns_us, now.dns_us),
        connect_us: add(before.connect_us, now.connect_us),
        tls_us: add(before.tls_us, now.tls_us),
        first_byte_us: add(before.first_byte_us, now.first_byte_us),
        body_us: add(before.body_us, now.body_us),
        total_us: before.total_us + now.total_us,
        attributes: now.attributes.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::fake::{Host, response};
    use crate::http;
    use crate::net::NetError;

    #[test]
    fn a_jar_carries_cookies_from_one_request_to_the_next() {
        let host = Host::install();
        let set = |cookie: &str| response(200, "").with_header("set-cookie", cookie);
        host.answer_http("GET https://a.example/in", set("session=1; Path=/"));
        host.answer_http("GET https://a.example/on", set("session=2; Path=/"));
        host.answer_http("GET https://a.example/out", response(200, ""));
        host.answer_http("GET https://b.example/", response(200, ""));
        let mut jar = http::CookieJar::default();
        for url in [
            "a.example/in",
            "a.example/on",
            "b.example/",
            "a.example/out",
        ] {
            let request = http::get(format!("https://{url}"));
            request.send_with(&mut jar).unwrap();
        }
        http::get("https://a.example/out").send().unwrap();
        let sent = host.http_requests();
        let cookies: Vec<Option<&str>> = sent.iter().map(|one| one.header("cookie")).collect();
        let (first, second) = (Some("session=1"), Some("session=2"));
        assert_eq!(cookies, [None, first, None, second, None]);
    }

    #[test]
    fn requests_side_by_side_follow_their_own_redirects() {
        let host = Host::install();
        let moved = |to: &str| response(302, "").with_header("location", to);
        host.answer_http(
            "GET https://a.example/1",
            moved("/one").with_header("set-cookie", "a=1"),
        );
        host.answer_http("GET https://a.example/one", response(200, "one"));
        host.answer_http(
            "GET https://b.example/2",
            NetError::Timeout("no answer".to_owned()),
        );
        host.answer_http("GET https://a.example/3", moved("https://b.example/x"));
        let urls = ["https://a.example/1", "https://b.example/2"];
        let requests = urls.map(|url| http::get(url).follow_redirects(2));
        let answers = http::send_all(
            requests
                .into_iter()
                .chain([http::get("https://a.example/3")]),
        );
        let [Ok(first), Err(NetError::Timeout(_)), Ok(third)] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(
            (first.body.as_slice(), first.redirects),
            (b"one".as_slice(), 1)
        );
        assert_eq!(first.phases.total_us, 40_000);
        assert_eq!((third.status, third.redirects), (302, 0));
        let sent = host.http_requests();
        let urls: Vec<&str> = sent.iter().map(|request| request.url.as_str()).collect();
        assert_eq!(
            urls,
            [
                "https://a.example/1",
                "https://b.example/2",
                "https://a.example/3",
                "https://a.example/one"
            ]
        );
        assert_eq!(sent[3].header("cookie"), Some("a=1"));
        assert!(http::send_all([]).is_empty());
    }
}
