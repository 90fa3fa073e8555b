//! Cookies that answers set (RFC 6265), for what follows to the same host: on the way of one request,
//! or from one request to the next.

use crate::url;

/// More, or larger ones, are a mistake of the service.
const MOST_COOKIES: usize = 50;
const MOST_BYTES: usize = 4096;

/// Cookies that answers set, for further requests; see [`Request::send_with`](super::Request::send_with).
#[derive(Debug, Default)]
pub struct CookieJar {
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
    is_secure: bool,
    is_hidden: bool,
}

impl CookieJar {
    /// Takes over what an answer from `url` sets, and drops what it takes back.
    pub(super) fn take(&mut self, url: &str, headers: &[(String, String)]) {
        let Some(host) = url::host(url) else { return };
        let date = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("date"))
            .map(|(_, value)| value.as_str());
        for (_, value) in headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        {
            let Some((cookie, is_over)) = read(&host, url, value, date) else {
                continue;
            };
            self.cookies.retain(|known| {
                (&known.host, &known.path, &known.name)
                    != (&cookie.host, &cookie.path, &cookie.name)
            });
            if !is_over && self.cookies.len() < MOST_COOKIES {
                self.cookies.push(cookie);
            }
        }
    }

    /// Keeps the values of those that are new out of the recording.
    pub(super) fn hide(&mut self) {
        for cookie in self.cookies.iter_mut().filter(|cookie| !cookie.is_hidden) {
            crate::secrets::hide(&cookie.value);
            cookie.is_hidden = true;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// The cookies for a request to `url`, as the value of a header.
    pub(super) fn header(&self, url: &str) -> Option<String> {
        let host = url::host(url)?;
        let (path, is_secure) = (url::path(url), url::is_https(url));
        let fitting = self.cookies.iter().filter(|cookie| {
            cookie.host == host && is_below(&path, &cookie.path) && (is_secure || !cookie.is_secure)
        });
        let pairs = fitting.map(|cookie| format!("{}={}", cookie.name, cookie.value));
        let all: Vec<String> = pairs.collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A cookie, and whether it is over already.
fn read(host: &str, url: &str, header: &str, date: Option<&str>) -> Option<(Cookie, bool)> {
    let mut parts = header.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || name.len() + value.len() > MOST_BYTES {
        return None;
    }
    let mut cookie = Cookie {
        host: host.to_owned(),
        path: folder(&url::path(url)),
        name: name.to_owned(),
        value: value.to_owned(),
        is_secure: false,
        is_hidden: false,
    };
    let (mut expires, mut max_age) = (None, None);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => cookie.path = value.to_owned(),
            "secure" => cookie.is_secure = true,
            "max-age" => max_age = value.parse::<i64>().ok(),
            "expires" => expires = moment(value),
            _ => {}
        }
    }
    let is_over = match (max_age, expires, date.and_then(moment)) {
        (Some(seconds), ..) => seconds <= 0,
        (None, Some(expires), Some(now)) => expires <= now,
        _ => false,
    };
    Some((cookie, is_over))
}

/// Year, month, day and time of day, to compare.
fn moment(text: &str) -> Option<(u32, u32, u32, String)> {
    const MONTHS: &str = "janfebmaraprmayjunjulaugsepoctnovdec";
    let (mut year, mut month, mut day, mut time) = (None, None, None, None);
    for word in text.split([' ', ',', '-']).filter(|word| !word.is_empty()) {
        match word.parse::<u32>() {
            Ok(number) if day.is_none() && word.len() <= 2 => day = Some(number),
            Ok(number) if word.len() == 4 => year = Some(number),
            Ok(number) if number < 100 => {
                year = Some(if number < 70 {
                    2000 + number
                } else {
                    1900 + number
                })
            }
            Ok(_) => return None,
            Err(_) if word.contains(':') => time = Some(word.to_owned()),
            Err(_) => {
                let start = word
                    .get(..3)
                    .map(str::to_ascii_lowercase)
                    .and_then(|start| MONTHS.find(&start));
                month = month.or(start.filter(|at| at % 3 == 0).map(|at| at as u32 / 3));
            }
        }
    }
    Some((year?, month?, day?, time?))
}

/// RFC 6265, 5.1.4.
fn folder(path: &str) -> String {
    match path.rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(slash) => path[..slash].to_owned(),
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(url: &str, cookies: &[&str]) -> CookieJar {
        let mut jar = CookieJar::default();
        let date = (
            "date".to_owned(),
            "Sun, 29 Nov 2026 16:00:00 GMT".to_owned(),
        );
        let set = cookies
            .iter()
            .map(|cookie| ("Set-Cookie".to_owned(), (*cookie).to_owned()));
        jar.take(url, &set.chain([date]).collect::<Vec<_>>());
        jar
    }

    #[test]
    fn a_cookie_follows_to_its_host_and_path_only() {
        for (cookies, to, wanted) in [
            (
                &["a=1; HttpOnly", "b=2"][..],
                "https://shop.example/up",
                Some("a=1; b=2"),
            ),
            (&["a=1"], "http://SHOP.example:8080/", Some("a=1")),
            (
                &["a=1; Domain=shop.example"],
                "https://www.shop.example/",
                None,
            ),
            (&["a=1"], "https://evil.example/shop.example", None),
            (&["a=1"], "https://evil.example\\@shop.example/", None),
            (&["a=1; Secure"], "http://shop.example/", None),
            (&["a=1; Secure"], "https://shop.example/", Some("a=1")),
            (&["a=1; Path=/in"], "https://shop.example/in/x", Some("a=1")),
            (&["a=1; Path=/in"], "https://shop.example/inner", None),
            (&["a=1", "a=2"], "https://shop.example/", Some("a=2")),
            (&["a=1", "a=; Max-Age=0"], "https://shop.example/", None),
            (
                &["a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
                "https://shop.example/",
                None,
            ),
            (
                &["a=1; expires=Mon, 30-Nov-26 16:00:00 GMT"],
                "https://shop.example/",
                Some("a=1"),
            ),
            (&["nothing", "=1"], "https://shop.example/", None),
        ] {
            assert_eq!(
                jar("https://shop.example/", cookies).header(to).as_deref(),
                wanted,
                "{cookies:?} {to}"
            );
        }
    }

    #[test]
    fn without_a_path_a_cookie_is_of_the_folder_that_set_it() {
        let jar = jar("https://shop.example/account/login?x=/y", &["a=1"]);
        assert_eq!(
            jar.header("https://shop.example/account/home").as_deref(),
            Some("a=1")
        );
        assert_eq!(jar.header("https://shop.example/"), None);
    }

    #[test]
    fn cookies_are_bounded() {
        let many: Vec<String> = (0..MOST_COOKIES + 10)
            .map(|number| format!("c{number}=1"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            jar("https://shop.example/", &many).cookies.len(),
            MOST_COOKIES
        );
        let large = format!("a={}", "x".repeat(MOST_BYTES));
        assert!(jar("https://shop.example/", &[&large]).cookies.is_empty());
    }
}
