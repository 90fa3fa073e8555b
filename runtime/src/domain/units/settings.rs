//! Units as settings name them: a vendor's name, or paths by unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{UnitPath, UnitRules};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Settings {
    None(()),
    Vendor(String),
    Paths(BTreeMap<String, String>),
}

impl From<UnitRules> for Settings {
    fn from(rules: UnitRules) -> Self {
        let vendor = |index: usize| Self::Vendor(UnitRules::VENDORS[index].to_owned());
        match rules {
            UnitRules::None => Self::None(()),
            UnitRules::OpenAi => vendor(0),
            UnitRules::Anthropic => vendor(1),
            UnitRules::Gemini => vendor(2),
            UnitRules::Twilio => vendor(3),
            UnitRules::Paths(paths) => Self::Paths(
                paths
                    .into_iter()
                    .map(|path| (path.unit, path.path))
                    .collect(),
            ),
        }
    }
}

impl TryFrom<Settings> for UnitRules {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        match settings {
            Settings::None(()) => Ok(Self::None),
            Settings::Vendor(name) => Self::named(&name),
            Settings::Paths(paths) => Self::at(&paths),
        }
    }
}

impl UnitRules {
    /// Returns the rules of a vendor; an error is for people.
    pub fn named(vendor: &str) -> Result<Self, String> {
        Self::of_vendor(vendor).ok_or_else(|| {
            format!(
                "`{vendor}` is no vendor whose units are known; write one of {}, or a path for each unit, e.g. \
                 `{{points: $.cost.points}}`",
                Self::VENDORS.map(|name| format!("`{name}`")).join(", ")
            )
        })
    }

    /// Returns rules of a path for each unit; an error is for people.
    pub fn at(paths: &BTreeMap<String, String>) -> Result<Self, String> {
        let paths = paths.iter().map(|(unit, path)| UnitPath::new(unit, path));
        Ok(Self::Paths(paths.collect::<Result<_, _>>()?))
    }
}
