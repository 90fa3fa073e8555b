//! Units of a call, read beside its answer: tokens, messages, segments, or what paths of the settings
//! name. The reader sees the body piece by piece and holds little of it. One that can't follow gives up,
//! and says what was used at least.

mod amount;
mod json_path;
mod settings;
mod stream;
mod usage_fields;

use std::collections::BTreeMap;
use std::io::Write;

use flate2::write::GzDecoder;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::CallUnits;

pub use amount::{is_unit_name, parse_amount};
pub use json_path::UnitPath;

use stream::{Body, Form};
use usage_fields::Vendor;

/// Bytes of an answer, after inflation, that are looked at: far more than a usage field needs, and an
/// end to an answer made to grow.
const MAX_INFLATED_BYTES: u64 = 64 << 20;

/// What is read in the answers of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "settings::Settings", into = "settings::Settings")]
pub enum UnitRules {
    /// Nothing: calls have no units.
    #[default]
    None,
    /// `usage` of OpenAI and what speaks like it. `input_tokens` are those that were not cached.
    OpenAi,
    /// `usage` of Anthropic.
    Anthropic,
    /// `usageMetadata` of Gemini.
    Gemini,
    /// Messages of Twilio, and their segments.
    Twilio,
    /// Values at these paths; those that one path finds are added up.
    Paths(Vec<UnitPath>),
}

impl UnitRules {
    /// Names of the vendors that are known.
    pub const VENDORS: [&str; 4] = ["openai", "anthropic", "gemini", "twilio"];

    /// Returns the rules of a vendor, by a name of [`Self::VENDORS`].
    pub fn of_vendor(name: &str) -> Option<Self> {
        let rules = [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Twilio];
        let known = Self::VENDORS.iter().position(|known| *known == name)?;
        rules.into_iter().nth(known)
    }
}

/// Reads the units of one answer.
pub struct UnitReader(Decoded);

enum Decoded {
    /// Nothing is wanted.
    Idle,
    Plain(Body),
    Gzip(Box<GzDecoder<Inflated>>),
    /// Not followed to the end: what was found until then.
    GivenUp(BTreeMap<String, Decimal>),
}

impl UnitReader {
    /// `content_type` and `content_encoding` are the header fields of the answer, if it has them.
    pub fn new(
        rules: &UnitRules,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Self {
        let fields = match rules {
            UnitRules::None => return Self(Decoded::Idle),
            UnitRules::OpenAi => Vendor::OpenAi.into(),
            UnitRules::Anthropic => Vendor::Anthropic.into(),
            UnitRules::Gemini => Vendor::Gemini.into(),
            UnitRules::Twilio => Vendor::Twilio.into(),
            UnitRules::Paths(paths) => paths.clone().into(),
        };
        let Some(form) = Form::of(content_type.unwrap_or_default()) else {
            return Self(Decoded::GivenUp(BTreeMap::new()));
        };
        let body = Body::new(form, fields);
        let encoding = content_encoding.unwrap_or_default().trim();
        Self(
            if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
                Decoded::Plain(body)
            } else if ["gzip", "x-gzip"]
                .iter()
                .any(|gzip| encoding.eq_ignore_ascii_case(gzip))
            {
                Decoded::Gzip(Box::new(GzDecoder::new(Inflated { body, bytes: 0 })))
            } else {
                Decoded::GivenUp(BTreeMap::new())
            },
        )
    }

    /// Takes the next piece of the body, as it came. Never fails; what can't be followed is given up.
    pub fn feed(&mut self, piece: &[u8]) {
        let has_failed = match &mut self.0 {
            Decoded::Plain(body) => {
                body.feed(piece);
                body.is_given_up()
            }
            Decoded::Gzip(decoder) => {
                decoder.write_all(piece).is_err() || decoder.get_ref().body.is_given_up()
            }
            Decoded::Idle | Decoded::GivenUp(_) => false,
        };
        if has_failed {
            let before = std::mem::replace(&mut self.0, Decoded::Idle);
            self.0 = Decoded::GivenUp(before.into_body().map(Body::least).unwrap_or_default());
        }
    }

    /// Returns what the call used. The body may have broken off.
    pub fn finish(self) -> CallUnits {
        match self.0 {
            Decoded::Idle => CallUnits::default(),
            Decoded::GivenUp(least) => CallUnits::AtLeast(least),
            Decoded::Plain(body) => body.finish(true),
            Decoded::Gzip(mut decoder) => {
                let is_whole = decoder.try_finish().is_ok();
                match Decoded::Gzip(decoder).into_body() {
                    Some(body) => body.finish(is_whole),
                    None => CallUnits::AtLeast(BTreeMap::new()),
                }
            }
        }
    }
}

impl Decoded {
    fn into_body(self) -> Option<Body> {
        match self {
            Decoded::Plain(body) => Some(body),
            // What the decoder has is taken out of it, for it can't be ended in the middle.
            Decoded::Gzip(mut decoder) => Some(decoder.get_mut().body.take()),
            Decoded::Idle | Decoded::GivenUp(_) => None,
        }
    }
}

/// What comes out of the decoder.
struct Inflated {
    body: Body,
    bytes: u64,
}

impl Write for Inflated {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.bytes += piece.len() as u64;
        if self.bytes > MAX_INFLATED_BYTES || self.body.is_given_up() {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.body.feed(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
