//! Currencies by ISO 4217, with the digits that their amounts have.

use std::fmt;
use std::sync::Arc;

/// Codes of currencies in use, without funds, metals and test codes.
const CODES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF \
CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR \
IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR \
MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS \
SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER \
ZAR ZMW ZWG";

const NO_DIGITS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
const THREE_DIGITS: &str = "BHD IQD JOD KWD LYD OMR TND";
const FOUR_DIGITS: &str = "CLF UYW";

/// Code of a currency that exists, e.g. `EUR`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(Arc<str>);

impl Currency {
    pub fn parse(code: &str) -> Option<Self> {
        let is_known = code.len() == 3 && has(CODES, code);
        is_known.then(|| Self(code.into()))
    }

    pub fn code(&self) -> &Arc<str> {
        &self.0
    }

    /// Digits behind the point of an amount that is paid.
    pub fn digits(&self) -> u32 {
        if has(NO_DIGITS, &self.0) {
            0
        } else if has(THREE_DIGITS, &self.0) {
            3
        } else if has(FOUR_DIGITS, &self.0) {
            4
        } else {
            2
        }
    }

    pub fn codes() -> impl Iterator<Item = &'static str> {
        CODES.split_whitespace()
    }
}

fn has(codes: &str, code: &str) -> bool {
    codes.split_whitespace().any(|known| known == code)
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        for (code, digits) in [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)] {
            assert_eq!(Currency::parse(code).unwrap().digits(), digits, "{code}");
        }
        for wrong in ["", "usd", "XXX", "USD EUR", "US"] {
            assert!(Currency::parse(wrong).is_none(), "{wrong}");
        }
        for code in [NO_DIGITS, THREE_DIGITS, FOUR_DIGITS]
            .into_iter()
            .flat_map(str::split_whitespace)
        {
            assert!(Currency::parse(code).is_some(), "{code}");
        }
    }
}
