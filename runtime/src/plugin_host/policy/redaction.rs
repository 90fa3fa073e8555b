//! Takes secrets out of everything that comes back to a guest or goes to people: answers, error
//! texts, log lines. A guard against services that echo what they are sent, not against one that
//! sends a secret back in disguise.

mod spellings;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memchr::memmem::Finder;

pub(in crate::plugin_host) use spellings::in_url;

use crate::domain::MIN_HIDDEN_BYTES;

/// Text in the place of a secret.
const MASK: &str = "***";

/// The secrets of one run. Clones share them: what one learns, all take out.
#[derive(Clone, Default)]
pub(in crate::plugin_host) struct Redactor {
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    secrets: Vec<String>,
    /// Made when the first answer comes: many runs end before.
    finders: Option<Arc<[Finder<'static>]>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(***)")
    }
}

impl Redactor {
    pub(in crate::plugin_host) fn add(&self, secret: &str) {
        let mut known = self.lock();
        if secret.len() >= MIN_HIDDEN_BYTES && !known.secrets.iter().any(|known| known == secret) {
            known.secrets.push(secret.to_owned());
            known.finders = None;
        }
    }

    /// Whether a secret is in the text, in any spelling.
    pub(in crate::plugin_host) fn finds_any(&self, text: &[u8]) -> bool {
        self.finders()
            .iter()
            .any(|finder| finder.find(text).is_some())
    }

    pub(in crate::plugin_host) fn text(&self, text: &str) -> String {
        replaced_text(&self.finders(), text).unwrap_or_else(|| text.to_owned())
    }

    /// Takes secrets out of many texts, most of which have none.
    pub(in crate::plugin_host) fn texts<'a>(
        &self,
        texts: impl IntoIterator<Item = &'a mut String>,
    ) {
        let finders = self.finders();
        for text in texts {
            if let Some(replaced) = replaced_text(&finders, text) {
                *text = replaced;
            }
        }
    }

    /// Takes secrets out of a body; one that was cut off loses its end if a secret may begin there.
    pub(in crate::plugin_host) fn body(&self, mut body: Bytes, is_cut_off: bool) -> Bytes {
        let finders = self.finders();
        let found = find(&finders, &body);
        if is_cut_off {
            body.truncate(begin(&finders, &found, &body));
        }
        replaced(&body, &found).map_or(body, Bytes::from)
    }

    /// Takes secrets out of bytes that go on, and returns those apart with which one may begin.
    pub(in crate::plugin_host) fn begun(&self, mut bytes: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        let finders = self.finders();
        let found = find(&finders, &bytes);
        let begun = bytes.split_off(begin(&finders, &found, &bytes));
        (replaced(&bytes, &found).unwrap_or(bytes), begun)
    }

    /// Whether there is nothing to take out.
    pub(in crate::plugin_host) fn is_empty(&self) -> bool {
        self.lock().secrets.is_empty()
    }

    fn finders(&self) -> Arc<[Finder<'static>]> {
        let mut known = self.lock();
        if let Some(finders) = &known.finders {
            return finders.clone();
        }
        let finders: Arc<[Finder<'static>]> = spellings::of(&known.secrets)
            .iter()
            .map(|spelling| Finder::new(spelling).into_owned())
            .collect();
        known.finders = Some(finders.clone());
        finders
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places of secrets in order, without overlaps.
fn find(finders: &[Finder<'static>], text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for finder in finders {
        found.extend(
            finder
                .find_iter(text)
                .map(|start| start..start + finder.needle().len()),
        );
    }
    found.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The text with secrets replaced; none when there is nothing to replace.
fn replaced_text(finders: &[Finder<'static>], text: &str) -> Option<String> {
    let bytes = replaced(text.as_bytes(), &find(finders, text.as_bytes()))?;
    // What is taken out is whole text, so that what is left is too.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text with secrets replaced; none when there is nothing to replace.
fn replaced(text: &[u8], found: &[Range<usize>]) -> Option<Vec<u8>> {
    let first = found.first()?;
    let mut kept = text[..first.start].to_vec();
    for (index, range) in found.iter().enumerate() {
        kept.extend_from_slice(MASK.as_bytes());
        let next = found.get(index + 1).map_or(text.len(), |next| next.start);
        kept.extend_from_slice(&text[range.end..next]);
    }
    Some(kept)
}

/// Place behind all that was found at which one more may begin; the end if none does.
fn begin(finders: &[Finder<'static>], found: &[Range<usize>], text: &[u8]) -> usize {
    let whole = found.last().map_or(0, |last| last.end);
    let begun = finders
        .iter()
        .map(|finder| overlap(text, finder.needle()))
        .max()
        .unwrap_or(0);
    (text.len() - begun).max(whole)
}

/// Length of the longest beginning of the needle, short of all of it, that the text ends with.
fn overlap(text: &[u8], needle: &[u8]) -> usize {
    let longest = text.len().min(needle.len().saturating_sub(1));
    (1..=longest)
        .rev()
        .find(|length| text.ends_with(&needle[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "S3cret/k3y+with \"quotes\" & ünicode";

    fn redactor(secrets: &[&str]) -> Redactor {
        let redactor = Redactor::default();
        secrets.iter().for_each(|secret| redactor.add(secret));
        redactor
    }

    #[test]
    fn takes_out_each_spelling_and_nothing_else() {
        let redactor = redactor(&[SECRET]);
        let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let mut url = url::Url::parse("https://a.example/").unwrap();
        url.set_path(SECRET);
        for spelling in [
            SECRET.to_owned(),
            SECRET.to_ascii_lowercase(),
            serde_json::Value::from(SECRET)
                .to_string()
                .trim_matches('"')
                .to_owned(),
            serde_json::Value::from(SECRET)
                .to_string()
                .trim_matches('"')
                .replace('/', "\\/"),
            form.replace('+', "%20"),
            form.replace('+', "%20")
                .replace("%2F", "%2f")
                .replace("%2B", "%2b")
                .replace("%C3%BC", "%c3%bc"),
            url::form_urlencoded::byte_serialize(form.as_bytes()).collect(),
            form,
            url.path()[1..].to_owned(),
            "S3cret/k3y+with &quot;quotes&quot; &amp; ünicode".to_owned(),
        ] {
            let text = format!("[before {spelling} after {spelling}]");
            assert_eq!(redactor.text(&text), "[before *** after ***]", "{spelling}");
        }
        assert_eq!(redactor.text("S3cret/k3y+with"), "S3cret/k3y+with");
        assert_eq!(Redactor::default().text(SECRET), SECRET);
    }

    #[test]
    fn short_secrets_and_debug_output() {
        let redactor = redactor(&["", "12345", "123456"]);
        assert_eq!(redactor.text("12345 123456"), "12345 ***");
        assert!(!format!("{redactor:?}").contains("123456"));
    }

    #[test]
    fn clones_learn_from_each_other() {
        let first = redactor(&["first-secret"]);
        let second = first.clone();
        assert_eq!(
            second.text("first-secret second-secret"),
            "*** second-secret"
        );
        first.add("second-secret");
        assert_eq!(second.text("first-secret second-secret"), "*** ***");
    }

    #[test]
    fn a_secret_that_comes_in_pieces_is_taken_out_all_the_same() {
        let redactor = redactor(&["first-secret"]);
        let text = b"a first-secret, a first-step and first-";
        for size in 1..text.len() {
            let (mut clean, mut begun) = (Vec::new(), Vec::new());
            for piece in text.chunks(size) {
                let head;
                (head, begun) = redactor.begun([begun.as_slice(), piece].concat());
                clean.extend(head);
            }
            assert_eq!(clean, b"a ***, a first-step and ", "{size}");
            assert_eq!(begun, b"first-", "{size}");
        }
    }

    #[test]
    fn a_body_without_secrets_is_not_copied() {
        let body = Bytes::from(vec![b'x'; 1 << 20]);
        let answer = redactor(&[SECRET, "another-secret"]).body(body.clone(), false);
        assert_eq!(answer.as_ptr(), body.as_ptr());
    }

    #[test]
    fn a_secret_that_the_end_of_a_body_cuts_does_not_show_its_beginning() {
        let redactor = redactor(&["abcabcabd"]);
        let body = |text: &str| {
            String::from_utf8(redactor.body(Bytes::from(text.to_owned()), true).to_vec()).unwrap()
        };
        let whole = "key: abcabcabd";
        for length in 5..whole.len() {
            assert_eq!(body(&whole[..length]), "key: ", "{length}");
        }
        assert_eq!(body(whole), "key: ***");
        assert_eq!(body("key: abcabcabdabc"), "key: ***");
        assert_eq!(body("nothing here!"), "nothing here!");
        assert_eq!(redactor.body(Bytes::from_static(b"abc"), false), "abc");
    }

    proptest! {
        #[test]
        fn no_coding_of_a_text_shows_the_secret(
            before in "\\PC{0,12}", secret in "[!-~]{6,60}", after in "\\PC{0,12}"
        ) {
            let redactor = redactor(&[&secret]);
            let text = format!("{before}{secret}{after}");
            prop_assert!(!redactor.text(&text).contains(&secret));
            for (coded, decode) in [
                (STANDARD.encode(&text), STANDARD.decode(redactor.text(&STANDARD.encode(&text)).replace(MASK, ""))),
                (URL_SAFE_NO_PAD.encode(&text), URL_SAFE_NO_PAD.decode(redactor.text(&URL_SAFE_NO_PAD.encode(&text)).replace(MASK, ""))),
            ] {
                prop_assert!(redactor.text(&coded).contains(MASK), "{coded}");
                // At most one character at each side is left of it.
                let left = String::from_utf8_lossy(&decode.unwrap_or_default()).into_owned();
                prop_assert!(!left.contains(&secret[1..secret.len() - 1]), "{left}");
            }
        }
    }
}
