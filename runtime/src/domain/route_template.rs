//! Routes of outgoing calls, learned from their paths: `/v1/customers/{id}/cards`. However many paths
//! there are, the templates of one service are few.

use std::collections::{BTreeMap, BTreeSet};

/// Template of every route that finds no place among the others.
pub const OTHER_ROUTES: &str = "/*";
/// Stands for a segment that differs from call to call.
const PARAMETER: &str = "{id}";
/// Literal segments side by side; one more, and they are all taken for a parameter.
const MAX_LITERALS: usize = 20;
/// Segments of a path; what follows is `*`.
const MAX_SEGMENTS: usize = 12;
/// Longer segments are values, whatever they look like.
const MAX_LITERAL_BYTES: usize = 64;
/// Bytes of a path that are looked at.
const MAX_PATH_BYTES: usize = 2_048;

/// Routes of one service: those that were given, and those that were learned as a tree of segments.
#[derive(Debug, Clone, Default)]
pub struct RouteTemplates {
    root: Node,
    learned: usize,
    given: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    literals: BTreeMap<String, Node>,
    parameter: Option<Box<Node>>,
    /// It had too many literals: unknown ones are parameters from then on.
    is_collapsed: bool,
    /// A path ends here.
    is_end: bool,
    /// A path ends here that goes on below the deepest segment.
    is_cut: bool,
}

impl RouteTemplates {
    /// Templates of one service.
    pub const MAX: usize = 500;

    /// Returns the number of templates, without [`OTHER_ROUTES`].
    pub fn len(&self) -> usize {
        self.learned + self.given.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a route that was given, if there is room for it.
    pub fn given(&mut self, route: &str) -> String {
        let route = without_query(route);
        let is_known = || {
            self.find(&segments(route))
                .is_some_and(|known| known == route)
        };
        if self.given.contains(route) || is_known() {
            return route.to_owned();
        }
        let is_plain = route.starts_with('/')
            && route.len() <= MAX_PATH_BYTES
            && route.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || self.len() >= Self::MAX {
            return OTHER_ROUTES.to_owned();
        }
        self.given.insert(route.to_owned());
        route.to_owned()
    }

    /// Returns the template of a path, and learns it if it is new. The path may be a template, as it
    /// was returned before. A query is left out.
    pub fn learn(&mut self, path: &str) -> String {
        let path = without_query(path);
        let segments = segments(path);
        if let Some(found) = self.find(&segments) {
            return found;
        }
        if path == OTHER_ROUTES || self.len() >= Self::MAX {
            return OTHER_ROUTES.to_owned();
        }
        let has_collapsed = self.root.insert(&segments);
        self.learned = if has_collapsed {
            self.root.ends()
        } else {
            self.learned + 1
        };
        self.find(&segments)
            .unwrap_or_else(|| OTHER_ROUTES.to_owned())
    }

    /// Returns the template that a path has already.
    fn find(&self, segments: &[&str]) -> Option<String> {
        let mut node = &self.root;
        let mut template = String::new();
        for (depth, segment) in segments.iter().enumerate() {
            if depth == MAX_SEGMENTS {
                template.push_str("/*");
                return node.is_cut.then_some(template);
            }
            template.push('/');
            let (next, word) = node.step(segment)?;
            template.push_str(word);
            node = next;
        }
        if template.is_empty() {
            template.push('/');
        }
        node.is_end.then_some(template)
    }
}

impl Node {
    /// Returns where a segment leads, and what it is called.
    fn step<'a>(&'a self, segment: &'a str) -> Option<(&'a Node, &'a str)> {
        if !is_parameter(segment)
            && let Some(literal) = self.literals.get(segment)
        {
            return Some((literal, segment));
        }
        let parameter = self.parameter.as_deref()?;
        (self.is_collapsed || is_parameter(segment)).then_some((parameter, PARAMETER))
    }

    /// Adds a path. Returns whether literals became a parameter, so that others are counted anew.
    fn insert(&mut self, segments: &[&str]) -> bool {
        let mut has_collapsed = false;
        let mut node = self;
        for (depth, segment) in segments.iter().enumerate() {
            if depth == MAX_SEGMENTS {
                node.is_cut = true;
                return has_collapsed;
            }
            if !is_parameter(segment)
                && !node.is_collapsed
                && node.literals.len() >= MAX_LITERALS
                && !node.literals.contains_key(*segment)
            {
                node.collapse();
                has_collapsed = true;
            }
            node = if is_parameter(segment) || node.is_collapsed {
                node.parameter.get_or_insert_default()
            } else {
                node.literals.entry((*segment).to_owned()).or_default()
            };
        }
        node.is_end = true;
        has_collapsed
    }

    /// Takes all literals for values of one parameter.
    fn collapse(&mut self) {
        self.is_collapsed = true;
        let literals = std::mem::take(&mut self.literals);
        let parameter = self.parameter.get_or_insert_default();
        for (_, node) in literals {
            parameter.merge(node);
        }
    }

    fn merge(&mut self, other: Node) {
        self.is_end |= other.is_end;
        self.is_cut |= other.is_cut;
        if let Some(theirs) = other.parameter {
            self.parameter.get_or_insert_default().merge(*theirs);
        }
        let collapses = self.is_collapsed || other.is_collapsed;
        for (segment, node) in other.literals {
            self.literals.entry(segment).or_default().merge(node);
        }
        if !self.literals.is_empty() && (collapses || self.literals.len() > MAX_LITERALS) {
            self.collapse();
        }
        self.is_collapsed |= collapses;
        if self.is_collapsed {
            self.parameter.get_or_insert_default();
        }
    }

    /// Number of paths that end here or below.
    fn ends(&self) -> usize {
        let below = self.literals.values().map(Node::ends).sum::<usize>();
        let parameter = self.parameter.as_deref().map_or(0, Node::ends);
        usize::from(self.is_end) + usize::from(self.is_cut) + below + parameter
    }
}

/// Returns the path alone, up to the bytes that are looked at.
fn without_query(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut end = path.len().min(MAX_PATH_BYTES);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .take(MAX_SEGMENTS + 1)
        .collect()
}

/// Whether a segment is a value rather than a word of the API: an id, a number, a date, an address.
fn is_parameter(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let has = |test: fn(&u8) -> bool| bytes.iter().any(test);
    let is_hex = bytes.len() >= 8 && bytes.iter().all(u8::is_ascii_hexdigit);
    let is_mixed = bytes.len() > 24
        && [
            has(u8::is_ascii_uppercase),
            has(u8::is_ascii_lowercase),
            has(u8::is_ascii_digit),
        ]
        .into_iter()
        .filter(|has| *has)
        .count()
            > 1;
    bytes.len() > MAX_LITERAL_BYTES
        || !bytes.iter().all(u8::is_ascii_graphic)
        || bytes.iter().all(is_digit)
        || has(|byte| matches!(byte, b'@' | b'%' | b'{' | b'}'))
        || bytes.windows(3).any(|run| run.iter().all(is_digit))
        || is_hex
        || is_mixed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learned(paths: &[&str]) -> Vec<String> {
        let mut templates = RouteTemplates::default();
        paths.iter().map(|path| templates.learn(path)).collect()
    }

    #[test]
    fn values_become_parameters_and_words_stay() {
        for (path, template) in [
            ("/", "/"),
            ("", "/"),
            ("/v1/customers", "/v1/customers"),
            ("/v1/customers/", "/v1/customers"),
            ("/v1/customers/42/cards?limit=3", "/v1/customers/{id}/cards"),
            ("/o/6f1c2a9e-0d4b-4a57-9d5e-2f6d1c9b7a10/x", "/o/{id}/x"),
            ("/git/deadbeef0/tree", "/git/{id}/tree"),
            ("/reports/2026-11-30", "/reports/{id}"),
            ("/users/a@b.example/keys", "/users/{id}/keys"),
            ("/files/a%20b", "/files/{id}"),
            (
                "/list-customer-payment-methods-of-all",
                "/list-customer-payment-methods-of-all",
            ),
            ("/s/NffrFeUfNV2HibNffrFeUfNV2Hib", "/s/{id}"),
            (
                "/2010-04-01/Accounts/AC123/Messages.json",
                "/{id}/Accounts/{id}/Messages.json",
            ),
            ("/a/b/c/d/e/f/g/h/i/j/k/l/m/n", "/a/b/c/d/e/f/g/h/i/j/k/l/*"),
        ] {
            assert_eq!(learned(&[path]), [template], "{path}");
        }
    }

    #[test]
    fn many_words_at_one_place_are_a_parameter_from_then_on() {
        let mut templates = RouteTemplates::default();
        let words = [
            "ada", "bob", "cy", "dan", "eve", "fay", "gus", "hal", "ida", "jo",
        ];
        for word in words {
            for suffix in ["", "x"] {
                let path = format!("/people/{word}{suffix}/mail");
                assert_eq!(templates.learn(&path), path);
            }
        }
        assert_eq!(templates.len(), 20);
        assert_eq!(templates.learn("/people/kim/mail"), "/people/{id}/mail");
        assert_eq!(templates.len(), 1);
        assert_eq!(templates.learn("/people/ada/mail"), "/people/{id}/mail");
        assert_eq!(templates.learn("/people/ada/keys"), "/people/{id}/keys");
    }

    #[test]
    fn a_hundred_thousand_paths_are_at_most_five_hundred_templates() {
        let mut templates = RouteTemplates::default();
        let mut found = BTreeSet::new();
        let word = |mut number: usize| {
            let mut word = String::new();
            loop {
                word.push(char::from(b'g' + (number % 20) as u8));
                number /= 20;
                if number == 0 {
                    return word;
                }
            }
        };
        for index in 0..100_000 {
            let path = match index % 4 {
                0 => format!("/users/{index}/orders/{}", index * 7),
                1 => format!("/{}/{}", word(index), word(index / 3)),
                2 => format!(
                    "/a/{}/b/{}/{}",
                    word(index % 19),
                    word(index % 18),
                    word(index % 17)
                ),
                _ => format!("/files/{}.json", word(index)),
            };
            found.insert(templates.learn(&path));
        }
        assert!(
            templates.len() <= RouteTemplates::MAX,
            "{}",
            templates.len()
        );
        // Those before a merge as well.
        assert!(found.len() <= RouteTemplates::MAX + 200, "{}", found.len());
        assert!(found.contains("/users/{id}/orders/{id}"));
    }

    #[test]
    fn routes_that_are_given_are_bounded_as_well() {
        let mut templates = RouteTemplates::default();
        for index in 0..600 {
            let route = format!("/things/t{index}");
            let wanted = if index < RouteTemplates::MAX {
                route.as_str()
            } else {
                OTHER_ROUTES
            };
            assert_eq!(templates.given(&route), wanted);
        }
        assert_eq!(templates.given("/things/t3"), "/things/t3");
        assert_eq!(templates.learn("/new"), OTHER_ROUTES);
        assert_eq!(RouteTemplates::default().given("not a path"), OTHER_ROUTES);
    }

    proptest! {
        #[test]
        fn whatever_the_paths_templates_are_few_plain_and_stable(
            paths in prop::collection::vec("(/[a-zA-Z0-9%@{}._ ü-]{0,12}){0,14}(\\?[a-z=&/]{0,9})?", 1..400),
        ) {
            let mut templates = RouteTemplates::default();
            for path in &paths {
                let template = templates.learn(path);
                prop_assert!(template.starts_with('/') && !template.contains('?'));
                prop_assert!(template.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert_eq!(&templates.learn(path), &template);
                prop_assert!(templates.len() <= RouteTemplates::MAX);
            }
            // At the end nothing changes any more, and a template is its own template.
            for path in &paths {
                let template = templates.learn(path);
                prop_assert_eq!(&templates.learn(path), &template);
                if !template.ends_with("/*") {
                    prop_assert_eq!(&templates.learn(&template), &template);
                }
            }
            prop_assert_eq!(templates.learned, templates.root.ends());
        }
    }
}
